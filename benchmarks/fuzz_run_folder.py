"""Damages every file of a finished run in every way it knows, and reads the run as the program does.

    python benchmarks/fuzz_run_folder.py [--count 200] [--seed 0] [--run outputs/...] [--only metrics.json] [--keep folder]

Each damaged run is scored again (task=evaluate), compared (task=compare), started from (init_from), opened (load_run) and gone on with
(task=resume, up to its data), by those of the five that open the damaged file. Each must end with a result or with a message for the
user: no other error, no hang, nothing written outside of its own folder, no program started, the run's other files untouched. One child
process a file, with a limit of memory and of time for each reading; one that crashes or hangs costs its case alone. Without --run, a
tiny run on synthetic cells is made first.
Prints the machine, the outcomes by file and by reason; exit code 1 if there was any failure. Its input is then in --keep.
"""

import argparse
import contextlib
import dataclasses
import faulthandler
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import damaged_files  # noqa: E402
from benchmarks.file_guard import Guard  # noqa: E402
from malaria_exp.utils.errors import UserError  # noqa: E402
from malaria_exp.utils.machine import machine  # noqa: E402

TINY = [
    *("dataset.infected_patients=6", "dataset.healthy_patients=4", "dataset.cells_per_patient=6", "dataset.cell_size=40"),
    *("model.image_size=16", "model.stem=4", "model.widths=[8]", "trainer.epochs=2", "batch_size=16", "trainer.precision=float32"),
    *("evaluation.resamples=10", "evaluation.worst=2"),
]
SECONDS, MEMORY, SHOWN = 60, 14 * 2**30, 30


def main() -> int:
    """Runs a child for each file and prints what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200, help="damaged forms of each file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--run", type=Path, help="folder of a finished training run; without it, one is made")
    parser.add_argument("--only", help="this file alone")
    parser.add_argument("--keep", type=Path, default=Path("fuzz_failures"), help="folder for inputs that failed")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        name, first, last = arguments.child
        child(arguments.run, name, range(int(first), int(last)), arguments.seed)
        return 0
    with tempfile.TemporaryDirectory(prefix="fuzz_run_") as folder:
        run = arguments.run.resolve() if arguments.run else Path(folder) / "run"
        if not arguments.run:
            command = [sys.executable, str(ROOT / "run.py"), *TINY, f"hydra.run.dir={run}", f"cache.root={folder}/cache"]
            subprocess.run(command, check=True, capture_output=True)
        print(f"{machine()}; seed {arguments.seed}, {arguments.count} damaged forms of each file")
        (opened,) = in_child(run, Path(folder), ["", "0", "0"], arguments.seed)
        names = sorted(str(path.relative_to(run)) for path in run.rglob("*") if path.is_file())
        print(f"Opened by none: {', '.join(name for name in names if name not in opened['names'])}")
        reasons: Counter[str] = Counter()
        failures, total, began = 0, 0, time.perf_counter()
        for name in [name for name in opened["names"] if arguments.only in (None, name)]:
            start, outcomes = time.perf_counter(), Counter[str]()
            for case in read_all(run, name, arguments, Path(folder)):
                outcomes[case["outcome"]] += 1
                if case["outcome"] == "FAILURE":
                    failures += 1
                    print(f"FAILURE {name} {case['index']} ({case['how']}, {case['reader']}): {case['reason']}")
                    keep = arguments.keep / f"{name.replace('/', '_')}_{arguments.seed}_{case['index']}"
                    keep.mkdir(parents=True, exist_ok=True)
                    damaged_files.damage(run / name, keep / Path(name).name, case["index"], arguments.seed)
                elif case["reason"]:
                    reasons[re.sub(r"'[^']*'|\"[^\"]*\"|\d[\d,.]*", "#", case["reason"])[:140]] += 1
            total += sum(outcomes.values())
            told = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
            print(f"{name:34} {told}; {time.perf_counter() - start:.0f} s", flush=True)
        for reason, count in reasons.most_common(SHOWN):
            print(f"{count:8,}  {reason}")
        print(
            f"{total:,} readings in {time.perf_counter() - began:.0f} s, {failures} failures"
            + (f"; inputs in {arguments.keep}" * bool(failures))
        )
    return bool(failures)


def read_all(run: Path, name: str, arguments: argparse.Namespace, folder: Path) -> Iterator[dict[str, Any]]:
    """Yields the outcome of every reading of every damaged form of a file; a child that dies is begun again after its last case."""
    first = 0
    while first < arguments.count:
        *cases, last = in_child(run, folder, [name, str(first), str(arguments.count)], arguments.seed)
        yield from (case for case in [*cases, last] if case["outcome"] != "begun")
        first = arguments.count if last["outcome"] != "begun" else last["index"] + 1
        if last["outcome"] == "begun":
            yield last | {"outcome": "FAILURE", "reason": f"no end within {SECONDS} s, or a crash: {last['said']}"}


def in_child(run: Path, folder: Path, what: list[str], seed: int) -> list[dict[str, Any]]:
    """Returns what a child printed; to the last line the end of what it said is added."""
    (folder / "tmp").mkdir(exist_ok=True)
    command = [sys.executable, str(Path(__file__).resolve()), "--run", str(run), "--seed", str(seed), "--child", *what]
    environment = {**os.environ, "TMPDIR": str(folder / "tmp"), "MALARIA_EXP_CACHE": str(folder / "cache"), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, capture_output=True, env=environment, check=False, cwd=folder / "tmp")
    found = [json.loads(line) for line in done.stdout.decode().splitlines() if line.startswith('{"')]
    said = " / ".join(done.stderr.decode(errors="replace").splitlines()[-12:])[:600]
    if not found or (done.returncode and found[-1]["outcome"] != "begun"):
        raise SystemExit(f"The child of '{what[0]}' failed outside of its cases: {said}")
    found[-1]["said"] = f"exit code {done.returncode}: {said}"
    return found


def child(run: Path, name: str, indices: range, seed: int) -> None:
    """Reads the damaged forms of a file, and prints a line of JSON before and after each reading; without a name, the files it opens."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    own = Path(tempfile.mkdtemp())
    readers = make_readers(own)
    guard = Guard((own, Path(tempfile.gettempdir()), Path(os.environ["MALARIA_EXP_CACHE"]), Path(os.devnull)))
    sys.addaudithook(guard.hear)
    opening, inside = [], f"{run}/"
    opened: set[str] = set()
    for reader, read in readers.items():
        # Once undamaged: to see which files it opens, and so that what is made once, such as caches of packages, is there.
        guard.opened.clear()
        read(run, own / f"whole-{reader}")
        if str(run / name) in guard.opened:
            opening.append(reader)
        opened |= {path.removeprefix(inside) for path in guard.opened if path.startswith(inside)}
    if not name:
        print(json.dumps({"outcome": "opened", "names": sorted(opened)}))
        return
    guard.watching = True
    for index in indices:
        copy = own / "case" / "run"
        copy.mkdir(parents=True)
        for path in run.rglob("*"):
            if path.is_file() and str(path.relative_to(run)) != name:
                (copy / path.relative_to(run)).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, copy / path.relative_to(run))
        how = damaged_files.damage(run / name, copy / name, index, seed)
        before = {path: path.stat().st_mtime_ns for path in copy.rglob("*") if path.is_file()}
        for reader in opening:
            case = {"index": index, "how": how, "reader": reader, "reason": ""}
            print(json.dumps({"outcome": "begun", **case}), flush=True)
            faulthandler.dump_traceback_later(SECONDS, exit=True)
            guard.found.clear()
            try:
                readers[reader](copy, own / "case" / reader)
                case["outcome"] = "read"
            except UserError as error:
                case |= {"outcome": "refused", "reason": str(error).partition("\n")[0].replace(str(own), "")}
            except BaseException as error:  # noqa: BLE001 - finding them is what this is for
                case |= {"outcome": "FAILURE", "reason": f"{type(error).__name__}: {str(error)[:300]} at {_place(error)}"}
            faulthandler.cancel_dump_traceback_later()
            after = {path: path.stat().st_mtime_ns for path in copy.rglob("*") if path.is_file()}
            if guard.found or after != before:
                case |= {"outcome": "FAILURE", "reason": f"changed what is not its own: {guard.found or 'files of the run'}"}
            print(json.dumps(case), flush=True)
        shutil.rmtree(own / "case")
    shutil.rmtree(own, ignore_errors=True)


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "?"


def make_readers(own: Path) -> dict[str, Callable[[Path, Path], object]]:
    """Returns what reads a run: (its folder, a new folder of the reader's own)."""
    from malaria_exp.config.app import App
    from malaria_exp.config.registry import build
    from malaria_exp.evaluation.plots import run_figures, style
    from malaria_exp.main import compose_app
    from malaria_exp.runs.finished_runs import read_parent_splits
    from malaria_exp.runs.initial_weights import find_weights
    from malaria_exp.runs.parent_leaks import guard_against_parent_runs
    from malaria_exp.runs.resumption import read_cut_off
    from malaria_exp.runs.run import Run
    from malaria_exp.utils.tensorflow_setup import load_tensorflow

    load_tensorflow()
    apps = {task: compose_app([f"task={task}", "evaluation.resamples=10"]) for task in ("evaluate", "compare")}
    small = {"image_size": 16, "stem": 4, "widths": [8]}
    drawing = ("confusion_matrix", "roc", "precision_recall", "score_histogram", "training_curves", "per_patient", "worst_errors")
    # The pictures of an evaluation show what it computed itself, and are most of its time: an empty one stands for each.
    figure = style.new_figure(leaky=False, size=(1, 1))
    picture = style.png_bytes(figure)
    undrawn: dict[str, Any] = {name: lambda *_, **__: figure for name in drawing} | {"png_bytes": lambda _: picture}

    def task(name: str, out: Path, **keys: Any) -> None:
        app = apps[name]
        config = dataclasses.replace(app.config, **keys)
        build("task", name, {}, App(config, app.config_text, [], out))

    def evaluate(run: Path, out: Path) -> None:
        with mock.patch.multiple(run_figures, **undrawn):
            task("evaluate", out, run=str(run))

    def init_from(run: Path, out: Path) -> None:
        out.mkdir(parents=True)
        initial = find_weights(str(run), own, out)
        parents = read_parent_splits([run])
        if parents is not None:
            guard_against_parent_runs(parents, parents, allow_leak=True)
        initial(build("model", "cellnet", small))

    def load_run(run: Path, _: Path) -> None:
        found = Run(run)
        found.status, found.config, found.metrics, found.history, found.predictions  # noqa: B018 - read when they are asked for
        repr(found)
        found.model().predict(np.zeros((1, 16, 16, 3), np.float32), verbose=0)

    def resume(run: Path, out: Path) -> None:
        out.mkdir(parents=True)
        for path in run.iterdir():
            if path.is_file():
                os.link(path, out / path.name)
        status = (out / "status.json").read_bytes()
        (out / "status.json").unlink()
        (out / "status.json").write_bytes(status.replace(b'"done"', b'"interrupted"'))
        read_cut_off(out, force=True)

    return {
        "evaluate": evaluate,
        "compare": lambda run, out: task("compare", out, runs=[str(run)]),
        "init_from": init_from,
        "load_run": load_run,
        "resume": resume,
    }


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        sys.exit(main())
