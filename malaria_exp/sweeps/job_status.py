"""What became of a job, read from its run folder; and what is recorded of jobs that could not do so themselves."""

import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from malaria_exp.runs.run_folder import PREVIOUS_ATTEMPTS, STATUS, has_checkpoint, may_be_running
from malaria_exp.utils.atomic_files import write_json
from malaria_exp.utils.errors import RunFolderError


def read_json(path: Path) -> dict[str, Any]:
    """Returns the object in a JSON file; an empty one if the file is missing, half written, or holds something else."""
    # Not at the top: Hydra imports this module at every start, and NumPy, which this needs, takes half as long as Hydra.
    from malaria_exp.runs import read_files

    try:
        return read_files.read_json(path)
    except RunFolderError:
        return {}


def read_status(folder: Path) -> dict[str, Any]:
    """Returns the content of status.json in a run folder; empty if it is missing, half written, or holds something else."""
    from malaria_exp.runs import read_files

    try:
        return read_files.read_status(folder)
    except RunFolderError:
        return {}


def unfinished(folder: Path, jobs: int) -> list[int]:
    """Returns the numbers of the jobs of a multirun that are missing or did not end well.

    Args:
        folder: of the multirun.
        jobs: their number.

    Raises:
        RunFolderError: one of them may still be running.
    """
    left = []
    for number in range(jobs):
        status = read_status(folder / str(number))
        if status.get("status") == "done":
            continue
        if status.get("status") == "running" and may_be_running(folder / str(number), status):
            where = f"process {status.get('pid')} of {status.get('host')}"
            raise RunFolderError(
                f"resume: job {number} is still running ({where}). Wait for it or stop it; if that machine is gone, remove '{folder / str(number) / STATUS}'."
            )
        left.append(number)
    return left


def mark_dead(folder: Path, numbers: Sequence[int]) -> list[int]:
    """Records as failed those jobs that their launcher is done with although their status is still running; returns their numbers."""
    dead = []
    for number in numbers:
        status = read_status(folder / str(number))
        if status.get("status") == "running":
            reason = "its process ended without a word: it was killed, or the machine had no memory left"
            write_json(folder / str(number) / STATUS, status | {"status": "failed", "reason": reason})
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
        while (status := read_status(folder / str(number))).get("status") == "running":
            if not may_be_running(folder / str(number), status):
                write_json(folder / str(number) / STATUS, status | {"status": "interrupted", "reason": "stopped by Ctrl-C or a signal"})
            elif status.get("host") != socket.gethostname() or time.monotonic() > until:
                break
            else:
                time.sleep(0.1)


def move_aside(folder: Path, number: int) -> None:
    """Moves what the previous attempt at a job left to earlier/ in the multirun's folder; nothing is deleted."""
    path = folder / str(number)
    if not path.exists():
        return
    attempts = folder / PREVIOUS_ATTEMPTS
    attempts.mkdir(exist_ok=True)
    count = len(list(attempts.glob(f"{number}-*")))
    path.rename(attempts / f"{number}-{count + 1}")


def begin_again(folder: Path, number: int) -> None:
    """Moves the previous attempt at a job aside; one with a checkpoint of its training stays, for the job goes on from there."""
    if not has_checkpoint(folder / str(number)):
        move_aside(folder, number)


def make_room(folder: Path, number: int, launch: str) -> bool:
    """Makes room for a job that a scheduler starts, perhaps not for the first time; tells whether it is still to be done.

    Args:
        folder: of the multirun.
        number: of the job.
        launch: id of the launch that the job came with.

    Raises:
        RunFolderError: another launch has started the job too, and it may be running there.
    """
    status = read_status(folder / str(number))
    running = status.get("status") == "running" and may_be_running(folder / str(number), status)
    if running and status.get("launch") != launch:
        raise RunFolderError(
            f"Job {number} in '{folder}' is running already, of an earlier start of this multirun ({status.get('host')}, process {status.get('pid')})."
        )
    if status and status.get("status") != "done":
        begin_again(folder, number)
    return status.get("status") != "done"
