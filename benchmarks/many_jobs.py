"""What a grid of very many jobs costs where it is started, beside the jobs themselves: to plan one of ten thousand by.

    python benchmarks/many_jobs.py [--jobs 1000] [--docs docs]

Runs a grid of two tiny jobs, then copies their folders until there are so many finished jobs, of ten learning rates, and times what a user
would type next:
    resume=true     the same grid once more: composes and checks the jobs, finds all of them done, prints and writes the table
    submitit        what it writes to disk for each job that is sent (two are, on this machine), if it is installed
    task=compare    all of them on one page
The time of a grid of two jobs, Python's and Hydra's start above all, is taken off. Memory is the process' largest.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from itertools import product
from pathlib import Path

from malaria_exp.sweeps.multirun_record import RECORD, Record
from malaria_exp.utils.atomic_files import human_bytes, write_between
from malaria_exp.utils.machine import machine

ROOT = Path(__file__).resolve().parent.parent
TINY = [
    *("model.image_size=32", "model.stem=4", "model.widths=[8]", "dataset.infected_patients=8", "dataset.healthy_patients=3"),
    *("dataset.cells_per_patient=6", "trainer.epochs=2", "trainer.precision=float32", "evaluation.resamples=20"),
]
RATES = [f"{rate / 1000:g}" for rate in range(1, 11)]


def main() -> None:
    """Measures, prints, and writes where asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--docs", type=Path, help="folder with scale.md")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="malaria_exp_many_jobs_") as temporary:
        text = measure(Path(temporary), asked.jobs)
    print(text)
    if asked.docs:
        write_between(asked.docs / "scale.md", "many", text)
        print(f"wrote {asked.docs / 'scale.md'}")


def measure(folder: Path, jobs: int) -> str:
    """Returns the table in Markdown."""
    grid = folder / "grid"
    os.environ["MALARIA_EXP_CACHE"], os.environ["MALARIA_EXP_OUTPUTS"] = str(folder / "cache"), str(folder / "outputs")
    run(*multirun(grid, RATES[:2], 1))
    start, _ = run(*multirun(grid, RATES[:2], 1), "resume=true")
    files = [path for path in (grid / "0").rglob("*") if path.is_file()]
    seeds = -(-jobs // len(RATES))
    jobs = multiply(grid, seeds)
    whole, memory = run(*multirun(grid, RATES, seeds), "resume=true")
    page = folder / "compared"
    compared, most = run("task=compare", f"runs={grid}", f"hydra.run.dir={page}")
    facts = machine()
    size = sum(path.stat().st_size for path in files)
    rows = [
        ("`-m ... resume=true`, all are done", each(whole - start, jobs), human_bytes(memory)),
        *sent(folder),
        (
            "`task=compare`",
            each(compared - start, jobs),
            f"{human_bytes(most)}; page {human_bytes((page / 'compare.html').stat().st_size)}",
        ),
    ]
    lines = [
        f"{facts['cores']} cores of {facts['processor']}; {jobs:,} jobs. A finished job's folder holds {len(files)} files, {human_bytes(size)}.",
        "",
        "| | ms a job | memory, disk |",
        "|---|---|---|",
        *(f"| {what} | {cost} | {room} |" for what, cost, room in rows),
    ]
    return "\n".join(lines)


def multirun(folder: Path, rates: list[str], seeds: int) -> list[str]:
    """Returns the arguments of a grid of learning rates and seeds."""
    return ["-m", *TINY, f"optimizer.learning_rate={','.join(rates)}", f"seed=range({seeds})", f"hydra.sweep.dir={folder}"]


def run(*arguments: str) -> tuple[float, float]:
    """Runs the program and returns its seconds and its largest memory in bytes.

    Raises:
        SystemExit: it did not end well.
    """
    with tempfile.TemporaryFile() as said:
        begin = time.perf_counter()
        process = subprocess.Popen([sys.executable, str(ROOT / "run.py"), *arguments], stdout=said, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begin
        if status:
            said.seek(0)
            raise SystemExit(f"python run.py {' '.join(arguments)}\n{said.read().decode()[-3000:]}")
    # What Linux counts in kB, macOS counts in bytes.
    return seconds, used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def multiply(grid: Path, seeds: int) -> int:
    """Makes a finished grid of many jobs out of one of two; each is the first with another rate and seed. Returns their number."""
    first = json.loads((grid / RECORD).read_text(encoding="utf-8"))["jobs"][0]
    config = (grid / "0" / "config.yaml").read_text(encoding="utf-8")
    made = []
    for number, (rate, seed) in enumerate(product(RATES, range(seeds))):
        own = {"optimizer.learning_rate": rate, "seed": str(seed)}
        made.append([f"{key}={own.get(key, value)}" for key, _, value in (item.partition("=") for item in first)])
        folder = grid / str(number)
        if number:
            shutil.copytree(grid / "0", folder, dirs_exist_ok=True)
        text = config.replace("\nseed: 0\n", f"\nseed: {seed}\n").replace(f"  learning_rate: {RATES[0]}\n", f"  learning_rate: {rate}\n")
        (folder / "config.yaml").write_text(text, encoding="utf-8")
    Record.of(made).write(grid)
    return len(made)


def sent(folder: Path) -> list[tuple[str, str, str]]:
    """Returns the row of what submitit writes for each job that is sent; none where it is not installed."""
    if not find_spec("submitit"):
        return []
    grid = folder / "sent"
    run(*multirun(grid, RATES[:2], 1), "hydra/launcher=submitit_local")
    files = [path for path in (grid / ".submitit").rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    return [("what submitit writes for it", "", f"{len(files) // 2} files, {human_bytes(size / 2)}")]


def each(seconds: float, jobs: int) -> str:
    """Returns milliseconds a job."""
    return f"{1000 * seconds / jobs:.1f}"


if __name__ == "__main__":
    main()
