"""How do time and memory of every stage grow with the number of cells?

    python benchmarks/growth.py [--sizes 1000 10000 100000 1000000] [--work FOLDER] [--plot growth.png] [key=value ...]

For each size two training runs (seeds 0 and 1, the second with the pixel cache of the first), `task=compare` and `task=pool` of both, each a command
as a user types it, in a process of its own. The cells are synthetic, small, 100 a patient; the network is tiny and sees each cell once, so that what
is not training can be seen. A stage ends when the run's own log or file says so; memory is the highest that the process held in the stage, read
five times a second, without pages of files that the system may drop. Runs are kept in the work folder, and what is there is not measured again.

Growth is the exponent between the two largest sizes: 1 is as much work a cell as before, 2 is quadratic.
"""

import argparse
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from malaria_exp.utils.machine import machine

CELLS_A_PATIENT = 100
TINY = [
    f"dataset.cells_per_patient={CELLS_A_PATIENT}",
    "dataset.cell_size=40",
    "model.image_size=32",
    "model.stem=4",
    "model.widths=[8]",
    "trainer.epochs=1",
    "trainer.precision=float32",
    "logger=[csv]",
]
ROOT = Path(__file__).parents[1]
# The stages of a training run; each ends with a line of run.log that begins so, or with the writing of a file.
STAGES: dict[str, str] = {
    "start, table": "dataset ",
    "draw cells, split": "split ",
    "train": "trained ",
    "calibrate, fit OOD detector, save": "access ",
    "score, evaluate": "metrics.json",
    "report": "",
}
# The second run finds the cells in the pixel cache.
WARM = "open filled cache, split"


def main() -> None:
    """Measures every size and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000, 1_000_000], help="numbers of cells")
    parser.add_argument("--work", type=Path, help="folder for runs, cache and what was measured; a temporary one without it")
    parser.add_argument("--plot", type=Path, help="PNG to draw the growth into")
    given, overrides = parser.parse_known_args()
    print(machine())
    with tempfile.TemporaryDirectory() as temporary:
        work = (given.work or Path(temporary)).resolve()
        found = {size: measure(size, work / str(size), overrides) for size in sorted(given.sizes)}
    print("\n".join(table(found)))
    if given.plot:
        draw(found, given.plot)


def measure(size: int, folder: Path, overrides: list[str]) -> dict[str, tuple[float, float]]:
    """Returns seconds and peak memory in MB of each stage at a number of cells."""
    kept = folder / "measured.json"
    if kept.exists():
        return {stage: (seconds, memory) for stage, (seconds, memory) in json.loads(kept.read_text(encoding="utf-8")).items()}
    patients = max(size // CELLS_A_PATIENT, 10)
    healthy = patients // 4
    data = [f"dataset.infected_patients={patients - healthy}", f"dataset.healthy_patients={healthy}"]
    found: dict[str, tuple[float, float]] = {}
    for seed in (0, 1):
        out = folder / "outputs" / str(seed)
        watched = Watched([*data, *TINY, f"seed={seed}", f"hydra.run.dir={out}", *overrides], folder)
        marks = stage_ends(out, watched.began, watched.ended)
        stages = watched.split(marks)
        if seed == 0:
            found |= stages
        else:
            found[WARM] = stages["draw cells, split"]
    runs = f"runs=[{folder / 'outputs' / '0'},{folder / 'outputs' / '1'}]"
    for task in ("compare", "pool"):
        watched = Watched([f"task={task}", runs, f"hydra.run.dir={folder / 'outputs' / task}"], folder)
        found[f"task={task}"] = watched.ended - watched.began, max(memory for _, memory in watched.memory)
    kept.write_text(json.dumps(found), encoding="utf-8")
    print(f"{size:,} cells: {sum(seconds for seconds, _ in found.values()):.0f} s", flush=True)
    return found


class Watched:
    """A command of the project that has run to its end, with the memory it held meanwhile."""

    def __init__(self, arguments: list[str], folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        environment = os.environ | {"MALARIA_EXP_CACHE": str(folder / "cache"), "PYTHONPATH": str(ROOT)}
        self.began = time.time()
        self.memory: list[tuple[float, float]] = []
        with (folder / "terminal.txt").open("w", encoding="utf-8") as terminal:
            process = subprocess.Popen(
                [sys.executable, str(ROOT / "run.py"), *arguments], stdout=terminal, stderr=terminal, env=environment
            )
            watcher = threading.Thread(target=self._watch, args=[process.pid], daemon=True)
            watcher.start()
            code = process.wait()
        self.ended = time.time()
        watcher.join()
        if code:
            raise SystemExit(f"{' '.join(arguments)}: exit code {code}\n{(folder / 'terminal.txt').read_text(encoding='utf-8')[-2000:]}")

    def _watch(self, pid: int) -> None:
        while True:
            try:
                status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
            except OSError:
                return
            held = re.findall(r"^Rss(?:Anon|Shmem):\s+(\d+)", status, re.MULTILINE)
            if not held:
                # The process has ended, and its parent has not asked how yet.
                return
            self.memory.append((time.time(), sum(map(int, held)) * 1024 / 1e6))
            time.sleep(0.2)

    def split(self, ends: dict[str, float]) -> dict[str, tuple[float, float]]:
        """Returns seconds and peak memory of stages that follow one another, of which each one's end is given."""
        found, began = {}, self.began
        for stage, end in ends.items():
            held = [memory for moment, memory in self.memory if began <= moment <= end]
            # A stage shorter than the interval has the memory of the moment before its end.
            before = [memory for moment, memory in self.memory if moment <= end]
            found[stage] = end - began, max(held or before[-1:] or [0.0])
            began = end
        return found


def stage_ends(run: Path, began: float, ended: float) -> dict[str, float]:
    """Returns when each stage of a training run ended, in seconds since the epoch, by its log and files."""
    ends, last = {}, began
    lines = [line.split(" INFO ", 1) for line in (run / "run.log").read_text(encoding="utf-8").splitlines() if " INFO " in line]
    for stage, mark in STAGES.items():
        if not mark:
            moment = ended
        elif mark.endswith(" "):
            moment = next(datetime.strptime(when, "%Y-%m-%d %H:%M:%S,%f").timestamp() for when, text in lines if text.startswith(mark))
        else:
            moment = (run / mark).stat().st_mtime
        ends[stage] = last = max(moment, last)
    return ends


def exponent(found: dict[int, dict[str, tuple[float, float]]], pick: Callable[[tuple[float, float]], float], stage: str) -> float:
    """Returns the growth between the two largest sizes: the slope of log y over log cells; nan for a single size."""
    if len(found) < 2:
        return math.nan
    small, large = sorted(found)[-2:]
    return math.log(max(pick(found[large][stage]), 1e-3) / max(pick(found[small][stage]), 1e-3)) / math.log(large / small)


def table(found: dict[int, dict[str, tuple[float, float]]]) -> list[str]:
    """Returns the lines of a Markdown table: a row for each stage, seconds and MB for each size."""
    sizes = sorted(found)
    lines = ["| stage: seconds, peak MB | " + " | ".join(f"{size:,} cells" for size in sizes) + " | growth of time, of memory |"]
    lines.append("|---" * (len(sizes) + 2) + "|")
    for stage in found[sizes[0]]:
        cells = " | ".join(f"{found[size][stage][0]:.1f}, {found[size][stage][1]:,.0f}" for size in sizes)
        growth = [exponent(found, pick, stage) for pick in (lambda pair: pair[0], lambda pair: pair[1])]
        lines.append(f"| {stage} | {cells} | {growth[0]:.2f}, {growth[1]:.2f} |")
    return lines


def draw(found: dict[int, dict[str, tuple[float, float]]], path: Path) -> None:
    """Draws seconds and memory of the stages over the number of cells, both axes logarithmic."""
    from matplotlib.figure import Figure

    from malaria_exp.evaluation.plots.style import BLACK, BLUE, GRAY, GREEN, ORANGE, PURPLE, SKY, VERMILLION

    colors = (BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY, BLACK, GRAY, BLUE)
    sizes = sorted(found)
    figure = Figure(figsize=(10, 5), layout="constrained")
    axes: Any = figure.subplots(1, 2)
    markers = "os^Dv<>Pp"
    for place, (what, scale) in enumerate((("seconds", 1.0), ("peak memory, GB", 1e-3))):
        for number, stage in enumerate(found[sizes[0]]):
            values = [found[size][stage][place] * scale for size in sizes]
            axes[place].plot(sizes, values, marker=markers[number % len(markers)], color=colors[number % len(colors)], label=stage)
        axes[place].set(xscale="log", yscale="log", xlabel="cells", ylabel=what)
        axes[place].grid(alpha=0.3)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=8)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
