"""How much of a machine trains while a grid runs: each launcher on the same grid of one-minute runs, and what a job costs beside its training.

    python benchmarks/throughput.py [cell_images.zip] [--jobs 16] [--epochs 6] [--launchers basic joblib ...] [--docs docs] [override ...]
    python benchmarks/throughput.py --from FOLDER [--docs docs]      from grids that were run before
    python benchmarks/throughput.py --jobs 2 --epochs 1 dataset.cells_per_patient=8      to try it, on synthetic cells

First one run with an empty cache, which decodes the images and measures the precision; then a grid over seeds for each launcher, whose
command is printed. As many jobs run at a time as the machine has cores, a thread each; `basic` runs one at a time with all cores. Every
number is read from the grids' own files:
    training     the jobs' training and validation, as in metrics.json
    before       from the claim of the job's folder to its first step: data, split, batches, the model; and saving it, which takes a moment
    after        from there to the end: scores, intervals, plots, report
    fraction     training of all jobs times their threads, over the grid's time from pressing enter to its table times cores
With --docs, writes the tables of docs/scale.md.
"""

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from malaria_exp.utils.atomic_files import write_between, write_json
from malaria_exp.utils.machine import cores, machine

ROOT = Path(__file__).resolve().parent.parent
CORES = cores()
# Of each launcher: the package it needs, and what makes it run a job a core.
LAUNCHERS: dict[str, tuple[str, list[str]]] = {
    "basic": ("hydra", []),
    "joblib": ("joblib", [f"hydra.launcher.n_jobs={CORES}"]),
    "submitit_local": ("submitit", [f"hydra.sweeper.max_batch_size={CORES}"]),
    "ray": ("ray", []),
}
FACTS = "grid.json"
Row = dict[str, Any]


def main() -> int:
    """Runs the grids, prints the tables, and writes them where asked to; returns 1 if a job did not end well."""
    asked, overrides = parse()
    folder: Path = asked.source or asked.runs or Path(tempfile.mkdtemp(prefix="malaria_exp_throughput_"))
    if not asked.source:
        run_all(asked, overrides, folder)
    grids = {path.parent.name: read_grid(path.parent) for path in sorted(folder.glob(f"*/{FACTS}"), key=lambda path: path.stat().st_mtime)}
    if "cold" not in grids or len(grids) < 2:
        print(f"{folder}: no finished grids")
        return 1
    text = describe(grids)
    print(text)
    if asked.docs:
        write_between(asked.docs / "scale.md", "throughput", text)
        print(f"wrote {asked.docs / 'scale.md'}")
    print(f"the runs are in {folder}")
    return int(any(grid["unfinished"] for grid in grids.values()))


def parse() -> tuple[argparse.Namespace, list[str]]:
    """Returns what was asked for, and the overrides for all runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", nargs="?", help="the NIH zip; synthetic cells without it")
    parser.add_argument("--jobs", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=6, help="of each job")
    parser.add_argument("--launchers", nargs="+", choices=list(LAUNCHERS), help="all that are installed if not given")
    parser.add_argument("--runs", type=Path, help="where the runs go; a temporary folder if not given")
    parser.add_argument("--from", dest="source", type=Path, metavar="FOLDER", help="folder of grids that were run before")
    parser.add_argument("--docs", type=Path, help="folder with scale.md")
    asked, overrides = parser.parse_known_args()
    if asked.archive and "=" in asked.archive:
        overrides, asked.archive = [asked.archive, *overrides], None
    wrong = [item for item in overrides if "=" not in item or item.startswith("-")]
    if wrong:
        parser.error(f"unknown: {wrong[0]}")
    return asked, overrides


def run_all(asked: argparse.Namespace, overrides: list[str], folder: Path) -> None:
    """Runs the single run with an empty cache, then the grids."""
    data = ["dataset=nih", f"dataset.path={asked.archive}"] if asked.archive else []
    common = [*data, f"trainer.epochs={asked.epochs}", *overrides]
    names = asked.launchers or [name for name, (package, _) in LAUNCHERS.items() if find_spec(package)]
    run("cold", [*common, f"hydra.run.dir={folder / 'cold' / '0'}"], folder, at_a_time=1)
    for name in names:
        chosen = [] if name == "basic" else [f"hydra/launcher={name}"]
        arguments = ["-m", *chosen, *LAUNCHERS[name][1], *common, f"seed=range({asked.jobs})", f"hydra.sweep.dir={folder / name}"]
        run(name, arguments, folder, at_a_time=1 if name == "basic" else CORES)


def run(name: str, arguments: list[str], folder: Path, *, at_a_time: int) -> None:
    """Runs the program and notes the time from pressing enter to its end; all share a cache that begins empty."""
    print(f"python run.py {shlex.join(arguments)}", flush=True)
    environment = os.environ | {"MALARIA_EXP_CACHE": str(folder / "cache")}
    begin = time.perf_counter()
    subprocess.run([sys.executable, str(ROOT / "run.py"), *arguments], env=environment, check=False)
    seconds = time.perf_counter() - begin
    facts = {"seconds": seconds, "at_a_time": at_a_time, "arguments": arguments, "machine": machine()}
    write_json(folder / name / FACTS, facts)


def read_grid(folder: Path) -> Row:
    """Returns what a grid's files say: its facts, its finished jobs in order, and how many are not finished."""
    facts: Row = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    paths = sorted((path.parent for path in folder.glob("*/status.json")), key=lambda path: int(path.name))
    jobs = [job for job in map(read_job, paths) if job]
    return facts | {"jobs": jobs, "unfinished": len(paths) - len(jobs)}


def read_job(folder: Path) -> Row | None:
    """Returns the seconds of a finished job before, during and after its training; None if it did not end well."""
    status = json.loads((folder / "status.json").read_text(encoding="utf-8"))
    if status["status"] != "done":
        return None
    training = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["training"]
    # The model is saved as soon as the training is over; status.json is written last.
    over, end = ((folder / name).stat().st_mtime for name in ("model.keras", "status.json"))
    return {
        "training": training["train_seconds"],
        "before": status["seconds"] - (end - over) - training["train_seconds"],
        "after": end - over,
    }


def describe(grids: dict[str, Row]) -> str:
    """Returns the tables in Markdown: medians of the jobs, smallest to largest in brackets."""
    machine = next(iter(grids.values()))["machine"]
    launched = {name: grid for name, grid in grids.items() if name != "cold"}
    lines = [
        f"{machine['cores']} cores of {machine['processor']}; seconds.",
        "",
        "| `hydra/launcher=` | jobs | at a time, threads each | the grid | a job before its training | training | after | fraction of the machine that trains |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, grid in launched.items():
        threads = machine["cores"] // grid["at_a_time"]
        fraction = sum(job["training"] for job in grid["jobs"]) * threads / (grid["seconds"] * machine["cores"])
        parts = " | ".join(spread(grid["jobs"], key) for key in ("before", "training", "after"))
        unfinished = f" ({grid['unfinished']} not finished)" if grid["unfinished"] else ""
        lines.append(
            f"| `{name}`{unfinished} | {len(grid['jobs'])} | {grid['at_a_time']}, {threads} | {grid['seconds']:.0f} | {parts} | {fraction:.0%} |"
        )
    lines += ["", "| what a job spends before its first step | seconds |", "|---|---|"]
    kinds = {
        "nothing is cached: images are decoded, precision is measured": grids["cold"]["jobs"],
        "a process of its own, the pixel cache is filled (`submitit_local`)": grids.get("submitit_local", {}).get("jobs", []),
        "a process that has run another job (`basic`, all but the first)": grids.get("basic", {}).get("jobs", [])[1:],
    }
    lines += [f"| {kind} | {spread(jobs, 'before')} |" for kind, jobs in kinds.items() if jobs]
    return "\n".join(lines)


def spread(jobs: list[Row], key: str) -> str:
    """Returns median, smallest and largest."""
    values = [job[key] for job in jobs]
    if not values:
        return ""
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})" if len(values) > 1 else f"{values[0]:.1f}"


if __name__ == "__main__":
    sys.exit(main())
