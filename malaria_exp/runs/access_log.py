"""The test access log: every opening of a test subset, across runs, in a file beside them.

A model that was chosen by its test results among many looks better than it is, however honest each run was by itself. So each
opening is counted: a training run that scores its test subset, and each task=evaluate, on the run's own data or on others.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from malaria_exp.config.validation import check_dataclass
from malaria_exp.data.cell_table import UNKNOWN, CellTable
from malaria_exp.data.split_manifest import Manifest
from malaria_exp.data.verification import is_nih
from malaria_exp.evaluation.evaluation_result import EvaluationResult
from malaria_exp.evaluation.reports.comparison.configurations import LOCATIONS, SEEDS, text_of
from malaria_exp.runs.compared_runs import flat_config
from malaria_exp.runs.read_files import check_file, read_status
from malaria_exp.runs.run_folder import STATUS, RunFolder
from malaria_exp.tracking.run_facts import MULTIRUN_FILE, run_params
from malaria_exp.utils.errors import ConfigError, RunFolderError
from malaria_exp.utils.terminal_log import log

LOG = "test_access_log.jsonl"
# Runs that differ in these keys alone are of one configuration: beside seeds and places, the fold, and how scores are counted.
PLACES = ("dataset.path", "dataset.csv", "dataset.root", "dataset.url", "dataset.mappings", "dataset.data_dir", "split.path")
SAME = (
    *SEEDS,
    *LOCATIONS,
    *PLACES,
    "split.fold",
    "evaluation",
    "interval",
    "threshold",
    "explanation",
    "cache",
    "resume",
    "file",
    "engine",
    "override_sets",
)
LOCK_SECONDS = 60.0


@dataclass(frozen=True)
class Opening:
    """A line of the log.

    Attributes:
        time: when, UTC.
        task: train or evaluate.
        run: the folder of the run that opened it, as seen from the log's folder.
        started: when that run began; a run that goes on after it was cut off keeps it.
        dataset: name of the data; "nih" for cells of the NIH set from whatever source. Patients of one name are the same within it.
        test_set: SHA-256 of the cells.
        patients: of the cells; empty where they are not known.
        protocol: name of the split.
        seed: of the trained run.
        configuration: hash of the trained run's configuration, without seeds, folds and places.
        settings: the same configuration in short.
    """

    time: str
    task: str
    run: str
    started: str
    dataset: str
    test_set: str
    patients: list[str]
    protocol: str
    seed: int | None
    configuration: str
    settings: str

    @property
    def whose(self) -> set[str]:
        """What two openings have in common if they share cells of a person: patients; of unknown ones the set of cells."""
        return set(self.patients) or {self.test_set}


@dataclass(frozen=True)
class Access:
    """How often a test set has been opened.

    Attributes:
        openings: the largest number of openings of any one of its patients, this one included. So the folds of a cross-validation, which
            open every patient once, count as one.
        configurations: the largest number of different configurations that have opened any one of its patients.
        unread: lines of the log that are damaged, or not of this program.
        problem: why the log could not be read or written; empty if it could.
    """

    openings: int | None
    configurations: int | None
    unread: int = 0
    problem: str = ""

    def __str__(self) -> str:
        if self.openings is None:
            return f"How often this test set has been opened is not known: {LOG} beside the runs cannot be used ({self.problem})."
        times = "once" if self.openings == 1 else f"{self.openings} times"
        by = f"{self.configurations} configuration{'' if self.configurations == 1 else 's'}"
        unread = f" {self.unread} lines of the log cannot be read and are not counted." if self.unread else ""
        return f"This test set has been opened {times}, by {by} ({LOG} beside the runs).{unread}"

    def note(self, result: EvaluationResult) -> None:
        """Adds it to the metrics and to what the report says of the cells held out."""
        result.metrics["test_access"] = {"openings": self.openings, "configurations": self.configurations, "unread_lines": self.unread}
        result.held_out += f" {self}"


def record_opening(
    folder: RunFolder, table: CellTable, manifest: Manifest, subset: str, *, task: str, protocol: str, config: Mapping[str, Any]
) -> Access:
    """Writes an opening into the log, unless this run has done so before it was cut off, and counts all that share patients with it.

    A log that cannot be used stops no run; the terminal and the report say so.

    Args:
        folder: of the run that opens the subset.
        table: the data.
        manifest: which cells are in the subset.
        subset: "test", or "external" for all cells of other data.
        task: train or evaluate.
        protocol: the split of the trained run.
        config: the composed configuration of the trained run, nested, as it is saved.
    """
    rows = manifest.rows(subset)
    patients = sorted(set(manifest.patient[rows].tolist()))
    home = folder_of_runs(folder.path)
    flat = {key: text_of(value) for key, value in flat_config(config).items() if not _is(key, SAME)}
    seed = config.get("seed")
    opening = Opening(
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        task=task,
        run=folder.path.absolute().relative_to(home).as_posix(),
        started=str(read_status(folder.path).get("started")),
        dataset="nih" if is_nih(table) else table.name,
        test_set=manifest.subset_hash(subset),
        patients=[] if UNKNOWN in patients else patients,
        protocol=protocol,
        seed=seed if isinstance(seed, int) else None,
        configuration=hashlib.sha256(json.dumps(flat, sort_keys=True).encode()).hexdigest()[:16],
        settings=" ".join(f"{key}={value}" for key, value in run_params(config).items() if not _is(key, SAME)),
    )
    try:
        openings, unread = _append(home / LOG, opening)
    except (OSError, RunFolderError) as error:
        found = Access(None, None, problem=str(error).removeprefix("run: ").rstrip("."))
    else:
        found = count(openings, opening, unread)
    (log.warning if found.unread or found.problem else log.info)(f"access    {found}")
    return found


def count(openings: Sequence[Opening], opening: Opening, unread: int = 0) -> Access:
    """Counts the openings of a test set, as Access says.

    Args:
        openings: all of the log.
        opening: one of them, whose patients are counted.
        unread: lines of the log that are no openings.
    """
    shared = [(one.whose & opening.whose, one) for one in openings if one.dataset == opening.dataset]
    by_patient = {name: [one for names, one in shared if name in names] for name in opening.whose}
    return Access(
        max(len(found) for found in by_patient.values()),
        max(len({one.configuration for one in found}) for found in by_patient.values()),
        unread,
    )


def folder_of_runs(run: Path) -> Path:
    """Returns the folder that holds the runs; for a job of a multirun or a trial of a search the one that holds the multirun or search."""
    around = run.absolute().parent
    if (around / MULTIRUN_FILE).exists():
        return around.parent
    # A search keeps its trials in a folder of its own run folder.
    return around.parent.parent if (around.parent / STATUS).exists() else around


def _append(path: Path, opening: Opening) -> tuple[list[Opening], int]:
    """Appends a line unless the run has one already; returns all openings, and the number of lines that are none.

    Nothing that stands in the file is changed. The line is written in one piece, so that it stays whole also where files cannot be locked.
    """
    with _locked(path):
        before = b""
        if path.exists():
            check_file(path)
            before = path.read_bytes()
        known = [_read_line(line) for line in before.splitlines() if line.strip()]
        openings = [one for one in known if one is not None]
        if not any((one.run, one.started) == (opening.run, opening.started) for one in openings):
            line = json.dumps(asdict(opening), ensure_ascii=False).encode() + b"\n"
            with path.open("ab", buffering=0) as file:
                # A process that was killed while it wrote may have left half a line.
                file.write(line if before[-1:] in (b"", b"\n") else b"\n" + line)
                os.fsync(file.fileno())
            openings.append(opening)
    return openings, known.count(None)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Holds the log's lock. A filesystem without locks, or one that is never released, does not stop the run."""
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    with suppress(NotImplementedError, Timeout):
        lock.acquire(timeout=LOCK_SECONDS)
    try:
        yield
    finally:
        lock.release()


def _read_line(line: bytes) -> Opening | None:
    try:
        found: Opening = check_dataclass("", json.loads(line), Opening)
    except (ValueError, RecursionError, ConfigError):
        return None
    return found


def _is(key: str, roots: Sequence[str]) -> bool:
    return any(key == root or key.startswith(f"{root}.") for root in roots)
