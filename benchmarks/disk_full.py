"""Fills a small disk at many points of a run: each time one message, exit code 6, and a folder that can be read.

    sudo python benchmarks/disk_full.py [--points 30] [--seed 0] [key=value ...]

Cache, outputs and temporary files lie on a tmpfs, which only root (or `unshare -rm`) may mount. A run on a large one tells how much room
it takes; then the same run starts on disks of 1/(n+1), 2/(n+1), ... of that, moved at random by up to half a step. A run may also end
well, as the last files replace earlier ones. Further arguments are overrides of the run. Prints the machine, the counts and every
failure; exits with 1 if there was one.
"""

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from malaria_exp.utils.atomic_files import human_bytes
from malaria_exp.utils.errors import DiskFullError
from malaria_exp.utils.machine import machine

ROOT = Path(__file__).resolve().parent.parent
# Weights of some MB, written often, in every format; a pixel cache of some MB.
RUN = [
    "dataset.infected_patients=12",
    "dataset.healthy_patients=4",
    "dataset.cells_per_patient=20",
    "dataset.cell_size=64",
    "batch_size=32",
    "trainer.epochs=2",
    "trainer.precision=float32",
    "trainer.checkpoint='1 epochs'",
    "model.stem=32",
    "save_as=[keras,weights,saved_model]",
    "callback=[nan_guard,checkpoints]",
    "logger=[console,csv,jsonl]",
    "evaluation.resamples=20",
]
LARGE = 2**30
TEMPORARY = re.compile(r"\.[0-9a-f]{8}\..+")


def main() -> int:
    """Runs all points and prints what came of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=30, help="disks of different sizes")
    parser.add_argument("--seed", type=int, default=0, help="of the sizes")
    arguments, overrides = parser.parse_known_args()
    print(machine())
    with disk(LARGE) as folder:
        whole, used = run(folder, overrides)
        if whole.returncode:
            raise SystemExit(f"The run fails on a large disk too:\n{whole.stdout}{whole.stderr}")
    print(f"the run takes {human_bytes(used)} of room; {arguments.points} disks with less; seed {arguments.seed}\n")
    rng, outcomes, failures = random.Random(arguments.seed), Counter[str](), 0
    for point in range(1, arguments.points + 1):
        size = int(used * (point + rng.uniform(-0.5, 0.5)) / (arguments.points + 1))
        with disk(size) as folder:
            start = time.perf_counter()
            done, _ = run(folder, overrides)
            wrong = faults(done, folder)
            where = stage(done.stdout + done.stderr)
        outcomes["ended well" if not done.returncode else f"full {where}"] += 1
        failures += bool(wrong)
        print(
            f"{point:3}  {human_bytes(size):>8}  exit code {done.returncode}, {where}, {time.perf_counter() - start:.0f} s  {'; '.join(wrong)}"
        )
        if wrong:
            print("\n".join(f"       {line}" for line in (done.stdout + done.stderr).splitlines()[-12:]))
    print("\n" + "\n".join(f"{count:4}  {outcome}" for outcome, count in outcomes.most_common()))
    print(f"{failures} failures")
    return bool(failures)


@contextmanager
def disk(size: int) -> Iterator[Path]:
    """Yields a folder on a disk of so many bytes."""
    folder = Path(tempfile.mkdtemp(prefix="disk_full-"))
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True, text=True, check=False)
    if mounted.returncode:
        raise SystemExit(f"{mounted.stderr.strip()}\nOnly root may mount a tmpfs: sudo, or unshare -rm python benchmarks/disk_full.py")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
        folder.rmdir()


def run(folder: Path, overrides: list[str]) -> tuple[subprocess.CompletedProcess[str], int]:
    """Runs the program with everything it writes on a disk; returns how it ended and the most room that was taken."""
    environment = os.environ | {"MALARIA_EXP_CACHE": str(folder / "cache"), "TMPDIR": str(folder)}
    command = [sys.executable, str(ROOT / "run.py"), *RUN, *overrides, f"hydra.run.dir={folder}/run"]
    most, over = 0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not over.wait(0.02):
            facts = os.statvfs(folder)
            most = max(most, (facts.f_blocks - facts.f_bfree) * facts.f_frsize)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    finally:
        over.set()
        watching.join()
    return done, most


def faults(done: subprocess.CompletedProcess[str], folder: Path) -> list[str]:
    """Returns what is wrong with the way in which a run ended, and with what it left."""
    said = done.stdout + done.stderr
    messages = sum(line.startswith("error:") for line in said.splitlines())
    wrong = [f"'{word}' printed" for word in ("Traceback", "Logging error", "Exception ignored", "core dumped") if word in said]
    if done.returncode not in (0, DiskFullError.exit_code):
        wrong.append(f"exit code {done.returncode}")
    if messages != bool(done.returncode):
        wrong.append(f"{messages} messages")
    status = folder / "run" / "status.json"
    if status.exists():
        expected = "done" if done.returncode == 0 else "failed"
        wrong += [] if f'"status": "{expected}"' in status.read_text() else [f"status is not {expected}: {status.read_text()[:80]!r}"]
    for path in (path for path in folder.rglob("*") if path.is_file()):
        if TEMPORARY.fullmatch(path.name) or ".partial-" in str(path):
            wrong.append(f"left {path.name}")
        elif path.suffix == ".json":
            try:
                json.loads(path.read_text())
            except ValueError:
                wrong.append(f"{path.name} is no JSON")
    return wrong


def stage(said: str) -> str:
    """Returns the last part of a run that was reached, by what it printed."""
    words = {
        "dataset ": "before decoding",
        "cache ": "before the split",
        "split ": "in training",
        "trained ": "after training",
        "report ": "at the end",
    }
    return next((name for word, name in reversed(words.items()) if re.search(f"^{word}", said, re.MULTILINE)), "at the start")


if __name__ == "__main__":
    sys.exit(main())
