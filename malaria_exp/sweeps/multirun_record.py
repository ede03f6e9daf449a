"""What a multirun leaves so that it can go on: the jobs it was made of, and what became of each."""

import hashlib
import json
import os
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from malaria_exp.runs.run_folder import STATUS
from malaria_exp.utils.atomic_files import write_json
from malaria_exp.utils.errors import RunFolderError
from malaria_exp.utils.redaction import redact_overrides, redact_yaml

RECORD, EARLIER = "multirun.json", "earlier"


@dataclass(frozen=True)
class Record:
    """The jobs of a multirun.

    Attributes:
        hash: of all their overrides, in order.
        jobs: of each its overrides, without secrets.
    """

    hash: str
    jobs: list[list[str]]

    @classmethod
    def of(cls, jobs: Sequence[Sequence[str]]) -> "Record":
        """Returns the record of jobs with these overrides."""
        text = json.dumps([list(job) for job in jobs])
        return cls(hashlib.sha256(text.encode()).hexdigest(), [redact_overrides(list(job)) for job in jobs])

    def write(self, folder: Path) -> None:
        """Writes it into the multirun's folder."""
        write_json(folder / RECORD, {"hash": self.hash, "jobs": self.jobs})


def read_record(folder: Path) -> Record | None:
    """Returns the record of a multirun's folder; None if it holds none."""
    content = _read(folder / RECORD)
    return Record(str(content.get("hash")), list(content.get("jobs", []))) if content else None


def earlier_multirun(folder: Path, record: Record, *, named: bool) -> Path:
    """Returns the folder of the newest multirun with the same jobs.

    Args:
        folder: where a new one would be; `named` says that the user named it, and then it is the one that is meant.
        record: of the jobs.
        named: see above.

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


def unfinished(folder: Path, record: Record) -> list[int]:
    """Returns the numbers of the jobs that are missing or did not end well.

    Raises:
        RunFolderError: one of them may still be running.
    """
    left = []
    for number in range(len(record.jobs)):
        status = _read(folder / str(number) / STATUS)
        if status.get("status") == "done":
            continue
        if status.get("status") == "running" and lives(status):
            where = f"process {status.get('pid')} of {status.get('host')}"
            raise RunFolderError(
                f"resume: job {number} is still running ({where}). Wait for it or stop it; if that machine is gone, remove '{folder / str(number) / STATUS}'."
            )
        left.append(number)
    return left


def lives(status: Mapping[str, Any]) -> bool:
    """Tells whether the process of a running status may be alive: on this machine it is looked for, of another nobody knows."""
    if status.get("host") != socket.gethostname():
        return True
    try:
        os.kill(int(status["pid"]), 0)
    except (ProcessLookupError, KeyError, ValueError):
        return False
    except PermissionError:
        return True
    return True


def mark_dead(folder: Path, numbers: Sequence[int]) -> list[int]:
    """Records as failed the jobs that a launcher is done with, but whose last word is that they are running; returns their numbers."""
    dead = []
    for number in numbers:
        path = folder / str(number) / STATUS
        status = _read(path)
        if status.get("status") == "running":
            reason = "its process ended without a word: it was killed, or the machine had no memory left"
            write_json(path, status | {"status": "failed", "reason": reason})
            dead.append(number)
    return dead


def mark_interrupted(folder: Path, numbers: Sequence[int], patience: float = 5.0) -> None:
    """Records as interrupted the jobs whose processes an interrupt ended before they could say so; those that live on are left alone.

    Args:
        folder: of the multirun.
        numbers: of the jobs that were handed to the launcher.
        patience: seconds in which processes of this machine may still end.
    """
    until = time.monotonic() + patience
    for number in numbers:
        path = folder / str(number) / STATUS
        while (status := _read(path)).get("status") == "running":
            if not lives(status):
                write_json(path, status | {"status": "interrupted", "reason": "stopped by Ctrl-C or a signal"})
            elif status.get("host") != socket.gethostname() or time.monotonic() > until:
                break
            else:
                time.sleep(0.1)


def move_aside(folder: Path, number: int) -> None:
    """Moves what an earlier attempt at a job left to earlier/; nothing is deleted."""
    path = folder / str(number)
    if not path.exists():
        return
    attempts = folder / EARLIER
    attempts.mkdir(exist_ok=True)
    count = len(list(attempts.glob(f"{number}-*")))
    path.rename(attempts / f"{number}-{count + 1}")


def begin_again(folder: Path, number: int, launch: str) -> bool:
    """Makes room for a job that a scheduler begins, perhaps not for the first time; tells whether it is still to be done.

    Raises:
        RunFolderError: it came with another launch too, and may be running there.
    """
    status = _read(folder / str(number) / STATUS)
    if status.get("status") == "running" and status.get("launch") != launch:
        raise RunFolderError(
            f"Job {number} in '{folder}' is running already, of an earlier start of this multirun ({status.get('host')}, process {status.get('pid')})."
        )
    if status and status.get("status") != "done":
        move_aside(folder, number)
    return status.get("status") != "done"


def covering(jobs: Mapping[int, Sequence[str]], most: int) -> list[int]:
    """Returns the numbers of jobs among whose overrides is every override that any job has, in order.

    Args:
        jobs: overrides of each.
        most: of so few jobs all are returned.
    """
    if len(jobs) <= most:
        return list(jobs)
    new: dict[str, int] = {}
    for number, overrides in jobs.items():
        for override in overrides:
            new.setdefault(override, number)
    return sorted(set(new.values()))


def changed_jobs(folder: Path, composed: Mapping[int, Mapping[str, Any]]) -> list[int]:
    """Returns the numbers of those jobs that are done whose configuration would be composed otherwise today."""
    changed = []
    for number, values in composed.items():
        try:
            ran = yaml.safe_load((folder / str(number) / "config.yaml").read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError):
            continue
        if ran != yaml.safe_load(redact_yaml(yaml.safe_dump(dict(values), sort_keys=False))):
            changed.append(number)
    return changed


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
