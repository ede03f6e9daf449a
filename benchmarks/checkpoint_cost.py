"""What checkpoints cost: the time to write one, and its fraction of a training with trainer.checkpoint=auto.

    python benchmarks/checkpoint_cost.py [--epochs 4] [cell_images.zip]

Each model trains on its default settings, the three ways of writing in one process, in turns: `auto`, `1 epochs` and `null`. Without a zip
it runs on synthetic cells. Prints the machine, and for each model the parameters, a checkpoint's size, the median (smallest to largest) of
the seconds that one takes, and what they took of the seconds of the training.
"""

import argparse
import json
import logging
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from malaria_exp.main import run_in_process
from malaria_exp.training.checkpoint import Checkpoint
from malaria_exp.training.checkpoint_files import Checkpoints
from malaria_exp.utils.atomic_files import human_bytes
from malaria_exp.utils.machine import machine
from malaria_exp.utils.terminal_log import set_terminal_level, start_terminal_log

MODELS = {
    "cellnet": [],
    "lenet_sequential": ["model=lenet_sequential", "model.image_size=64"],
    "resnet_functional": ["model=resnet_functional"],
}
ROUNDS = 2


def main() -> None:
    """Measures and prints."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--epochs", type=int, default=4)
    arguments.add_argument("zip", nargs="?")
    given = arguments.parse_args()
    data = ["dataset=nih", f"dataset.path={given.zip}"] if given.zip else []
    print(machine())
    start_terminal_log()
    print(f"{'model':<20} {'parameters':>11} {'size':>8}  {'checkpoint':<10} {'written':>7}  {'seconds each':<24} of the training")
    write = Checkpoints.write
    for name, words in MODELS.items():
        for every in ("auto", "'1 epochs'", "null"):
            seconds: list[float] = []
            sizes: list[int] = []
            fractions: list[float] = []
            parameters = 0
            for _ in range(ROUNDS):
                spent: list[float] = []

                def timed(self: Checkpoints, make: Callable[[], Checkpoint], spent: list[float] = spent, sizes: list[int] = sizes) -> None:
                    began = time.perf_counter()
                    write(self, make)
                    spent.append(time.perf_counter() - began)
                    sizes.append(max(path.stat().st_size for path in self.folder.iterdir()))

                Checkpoints.write = timed  # type: ignore[method-assign]
                with tempfile.TemporaryDirectory() as folder:
                    set_terminal_level(logging.ERROR)
                    overrides = [*words, *data, f"trainer.epochs={given.epochs}", f"trainer.checkpoint={every}", "evaluation.resamples=10"]
                    run = run_in_process([*overrides, "logger=[csv]", f"hydra.run.dir={Path(folder) / 'run'}"])
                    training = json.loads((run / "metrics.json").read_text())["training"]
                parameters = training["parameters"]
                seconds += spent
                fractions.append(sum(spent) / training["train_seconds"])
            Checkpoints.write = write  # type: ignore[method-assign]
            each = f"{statistics.median(seconds):.3f} ({min(seconds):.3f} to {max(seconds):.3f})" if seconds else "-"
            size = human_bytes(max(sizes)) if sizes else "-"
            shown = f"{statistics.median(fractions):.2%} ({min(fractions):.2%} to {max(fractions):.2%})"
            print(f"{name:<20} {parameters:>11,} {size:>8}  {every:<10} {len(seconds) / ROUNDS:>7.1f}  {each:<24} {shown}", flush=True)


if __name__ == "__main__":
    main()
