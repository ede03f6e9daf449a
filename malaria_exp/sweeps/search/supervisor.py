"""Runs a command for a search: a trial, or an agent of W&B. The command ends with the search, however that ends.

python -m malaria_exp.sweeps.search.supervisor PID COMMAND ...: PID is the process of the search. On SIGTERM, or when the search is gone, the
command gets SIGTERM and time to write how it ended; after that its whole process group is killed. The exit code is the command's own.
"""

import math
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

# What is told to stop has so long to write how it ended.
PATIENCE_SECONDS = 60.0
POLL_SECONDS = 0.5


def supervise(search: int, command: list[str]) -> int:
    """Runs the command and returns its exit code, which is negative after a signal.

    Args:
        search: process that the command must not outlive.
        command: program and arguments.
    """
    process = subprocess.Popen(command)  # noqa: S603 - the command of the sweep's file, which is there to be run
    deadline = math.inf

    def end(*_: object) -> None:
        nonlocal deadline
        process.terminate()
        deadline = min(deadline, time.monotonic() + PATIENCE_SECONDS)

    signal.signal(signal.SIGTERM, end)
    while True:
        with suppress(subprocess.TimeoutExpired):
            return process.wait(POLL_SECONDS)
        if os.getppid() != search and deadline == math.inf:
            end()
        if time.monotonic() > deadline:
            os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    code = supervise(int(sys.argv[1]), sys.argv[2:])
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)
