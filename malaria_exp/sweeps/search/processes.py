"""Processes of a search: how they are started, and how they are ended without leaving anything behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from malaria_exp.sweeps.launched_job import threads_per_job
from malaria_exp.sweeps.search.supervisor import PATIENCE_SECONDS

THREADS = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


def start(command: Sequence[str], log: Path, *, beside: int, environment: Mapping[str, str] | None = None) -> "subprocess.Popen[bytes]":
    """Starts a command under a supervisor, in a session of its own: Ctrl-C reaches the search alone, which then ends the command in order.

    Args:
        command: program and arguments.
        log: file that its output is appended to.
        beside: how many such commands run at a time and share the cores.
        environment: None for that of this process.
    """
    environment = dict(os.environ if environment is None else environment)
    if beside > 1:
        for name in THREADS:
            environment.setdefault(name, threads_per_job(beside))
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603 - this program itself
            [sys.executable, "-m", "malaria_exp.sweeps.search.supervisor", str(os.getpid()), *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )


def stop(processes: Sequence["subprocess.Popen[bytes]"]) -> None:
    """Ends processes and waits for them; those that do not end in time are killed, at a second Ctrl-C at once."""
    try:
        for process in processes:
            if process.poll() is None:
                process.terminate()
        end = time.monotonic() + PATIENCE_SECONDS + 15
        for process in processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, end - time.monotonic()))
    finally:
        for process in processes:
            kill_session(process.pid)
            process.wait()


def kill_session(leader: int) -> None:
    """Kills what is left of a process and of all that it has started."""
    for process in session(leader):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(process, signal.SIGKILL)


def session(leader: int) -> list[int]:
    """Returns the processes of a session; a process that has lost its parent still belongs to it."""
    try:
        known = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    except OSError:
        listed = subprocess.run(["ps", "-A", "-o", "pid="], capture_output=True, text=True, check=False).stdout  # noqa: S607
        known = [int(word) for word in listed.split()]
    found = []
    for process in known:
        with suppress(ProcessLookupError, PermissionError):
            if os.getsid(process) == leader:
                found.append(process)
    return found
