"""The same grid by every launcher and by both engines of task=sweep: the same runs, and the same numbers to the last bit.

    python benchmarks/same_numbers.py [--ways basic,joblib,submitit_local,ray,local,wandb] [override ...]

Four tiny trainings a way on synthetic cells, the first two in another precision, so that a job which leaves something behind in
its process is seen by the next. W&B's agents get the sweep from a stand-in for its server, wandb_server.py. Ends with 0 if all
ways agree; takes the extras of the ways: malaria_exp[joblib,submitit,ray,sweeps,wandb].
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
# A nested parameter and a null are among them: W&B's agent hands these over as Python shows them.
SWEEP = """
program: run.py
method: grid
metric: {name: epoch/val_auc, goal: maximize}
parameters:
  trainer.precision: {values: [bfloat16, float32]}
  model.units: {values: [8, 16]}
  optimizer: {parameters: {learning_rate: {value: 0.002}, clip_norm: {value: null}}}
command: ["${env}", "${interpreter}", "${program}", "${args_no_hyphens}"]
"""
GRID = ["trainer.precision=bfloat16,float32", "model.units=8,16", "optimizer.learning_rate=0.002", "optimizer.clip_norm=null"]
TINY = [
    "model=lenet_sequential", "model.image_size=32", "dataset.infected_patients=8", "dataset.healthy_patients=3", "dataset.cells_per_patient=8",
    "dataset.cell_size=40", "batch_size=16", "trainer.epochs=1", "evaluation.resamples=20", "evaluation.test=true",
]  # fmt: skip
LAUNCHERS = ("basic", "joblib", "submitit_local", "ray")
WAYS = (*LAUNCHERS, "local", "wandb")
# Sums over other numbers of threads are other sums in their last bits.
ONE_THREAD = dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"), "1")


def main() -> int:
    """Runs the grid each way and compares; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ways", default=",".join(WAYS))
    asked, overrides = parser.parse_known_args()
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for way in asked.ways.split(","):
            found[way] = run(way, Path(folder), overrides)
            print(f"{way:<15}{len(found[way])} runs", flush=True)
    first, *others = found
    different = [way for way in others if found[way] != found[first]]
    if len(found[first]) != 4 or len({json.dumps(numbers) for numbers in found[first].values()}) != 4:
        different.append(f"{first}: its 4 runs are not 4 different ones")
    print(f"FAILED: other numbers than by {first}: {', '.join(different)}" if different else "the same numbers to the last bit")
    return bool(different)


def run(way: str, root: Path, overrides: list[str]) -> dict[str, Any]:
    """Returns what each run of the grid found, by what was varied in it."""
    folder, environment = root / way, os.environ | ONE_THREAD
    command = [sys.executable, "run.py", "-m"] if way in LAUNCHERS else [sys.executable, "run.py", "task=sweep"]
    with ExitStack() as stack:
        if way in LAUNCHERS:
            threads = [] if way == "basic" else [f"hydra.job.env_set.{name}='1'" for name in ONE_THREAD]
            command += [*GRID, f"hydra/launcher={way}", *threads, f"hydra.sweep.dir={folder}"]
        else:
            (root / "grid.yaml").write_text(SWEEP)
            command += [f"file={root / 'grid.yaml'}", f"engine={way}", f"hydra.run.dir={folder}"]
        if way == "wandb":
            from wandb_server import WandbServer  # type: ignore[import-not-found]

            server = stack.enter_context(closing(WandbServer()))
            # The runs stay offline: that the sweep lives at the server is no reason for them to go there.
            environment = server.environment(root / "home") | ONE_THREAD | {"WANDB_MODE": "offline"}
        done = subprocess.run([*command, *TINY, *overrides], cwd=ROOT, env=environment, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"FAILED: {way}:\n{done.stderr[-3000:]}")
    return dict(sorted(result(path.parent) for path in folder.rglob("metrics.json")))


def result(folder: Path) -> tuple[str, Any]:
    """Returns what was varied in a run, and all its results and the course of its training but for what a clock says."""
    from malaria_exp.sweeps.search.trials import read_values

    values = read_values(json.loads((folder / "status.json").read_text())["overrides"])
    metrics = json.loads((folder / "metrics.json").read_text())
    # How often a test set was opened depends on which job came first.
    del metrics["training"]["train_seconds"], metrics["test_access"]
    with (folder / "history.csv").open(newline="") as file:
        rows = [{name: text for name, text in row.items() if name not in ("seconds", "cells_per_second")} for row in csv.DictReader(file)]
    varied = [values[name] for name in ("trainer.precision", "model.units", "optimizer.learning_rate", "optimizer.clip_norm")]
    return json.dumps(varied), [metrics, rows]


if __name__ == "__main__":
    sys.exit(main())
