"""The record of a multirun: the jobs it was made of, by which the same command finds it again and goes on."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from malaria_exp.sweeps.job_status import read_json
from malaria_exp.utils.atomic_files import write_json
from malaria_exp.utils.errors import RunFolderError
from malaria_exp.utils.redaction import redact_overrides, redact_yaml

RECORD = "multirun.json"


@dataclass(frozen=True)
class Record:
    """The jobs of a multirun.

    Attributes:
        hash: of the overrides of all jobs as they were typed, in order.
        jobs: the overrides of each job as it was begun, without secrets.
    """

    hash: str
    jobs: list[list[str]]

    @classmethod
    def of(cls, jobs: Sequence[Sequence[str]]) -> "Record":
        """Returns the record of jobs with these overrides."""
        text = json.dumps([list(job) for job in jobs])
        return cls(hashlib.sha256(text.encode()).hexdigest(), [redact_overrides(list(job)) for job in jobs])

    def with_jobs(self, jobs: Sequence[Sequence[str]]) -> "Record":
        """Returns the record of the same jobs with these overrides, to which the sweeper has added some of its own."""
        return replace(self, jobs=[redact_overrides(list(job)) for job in jobs])

    def write(self, folder: Path) -> None:
        """Writes it into the multirun's folder."""
        write_json(folder / RECORD, {"hash": self.hash, "jobs": self.jobs})


def read_record(folder: Path) -> Record | None:
    """Returns the record of a multirun's folder; None if it holds none."""
    content = read_json(folder / RECORD)
    return Record(str(content.get("hash")), list(content.get("jobs", []))) if content else None


def find_multirun(folder: Path, record: Record, *, named: bool) -> Path:
    """Returns the folder of the multirun that goes on: the newest one with the same jobs.

    Args:
        folder: where a new one would be.
        record: of the jobs.
        named: whether the user named the folder; then this one has to be the multirun that goes on.

    Raises:
        RunFolderError: there is none.
    """
    if named:
        found = read_record(folder)
        if found is None:
            raise RunFolderError(f"resume: '{folder}' holds no multirun. Leave resume=true out to begin one there.")
        if found.hash != record.hash:
            raise RunFolderError(
                f"resume: '{folder}' holds another multirun ({len(found.jobs)} jobs, this command makes {len(record.jobs)}). Repeat the command it was begun with."
            )
        return folder
    same = [path for path in folder.parent.glob(f"*/{RECORD}") if (read_record(path.parent) or Record("", [])).hash == record.hash]
    if not same:
        raise RunFolderError(
            f"resume: no earlier multirun of this command in '{folder.parent}'. Leave resume=true out to begin one, or name its folder: hydra.sweep.dir=..."
        )
    return max(same, key=lambda path: path.stat().st_mtime).parent


def covering(jobs: Mapping[int, Sequence[str]], most: int) -> list[int]:
    """Returns the numbers, in order, of jobs that together have every override that any job has.

    Args:
        jobs: overrides of each.
        most: if there are no more jobs than this, all are returned.
    """
    if len(jobs) <= most:
        return list(jobs)
    new: dict[str, int] = {}
    for number, overrides in jobs.items():
        for override in overrides:
            new.setdefault(override, number)
    return sorted(set(new.values()))


def changed_jobs(folder: Path, composed: Mapping[int, Mapping[str, Any]]) -> list[int]:
    """Returns the numbers of the jobs that are done whose saved configuration differs from what is composed today.

    Args:
        folder: of the multirun.
        composed: the configuration of each job as it is composed today.
    """
    # Imported only here, as in job_status.py.
    from malaria_exp.runs.read_files import read_config

    changed = []
    for number, values in composed.items():
        try:
            ran = read_config(folder / str(number))
        except RunFolderError:
            continue
        if ran != yaml.safe_load(redact_yaml(yaml.safe_dump(dict(values), sort_keys=False))):
            changed.append(number)
    return changed
