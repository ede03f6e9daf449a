"""A run's folder: claimed by exactly one run, with a status.json that says how the run ended."""

import json
import logging
import os
import shutil
import socket
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from malaria_exp.config.run_files import RESUME, RESUME_FILES, RESUME_PREDICTION
from malaria_exp.utils.atomic_files import TEMPORARY, saying_disk_full, write_json, write_json_on_full_disk, write_text
from malaria_exp.utils.errors import ConfigError, DiskFullError, RunFolderError, UserError
from malaria_exp.utils.redaction import redact, redact_overrides, redact_yaml
from malaria_exp.utils.terminal_log import log, start_file_log, stop_file_log

STATUS = "status.json"
# The tasks that task=resume goes on with.
MAY_GO_ON = ("train", "predict")
# The folder of a multirun in which attempts at its jobs lie that were begun again.
PREVIOUS_ATTEMPTS = "earlier"
# Locked by the process that works in the folder, for as long as it lives.
LOCK = ".run.lock"
# What a run writes before it does any work, besides its status.
BEFORE_WORK = ("config.yaml", "run.log", "provenance.json")
# An environment variable that launchers set in their processes: the launch that a job belongs to.
LAUNCH = "MALARIA_EXP_LAUNCH"
# Another, that a search sets for a trial which was cut off: its run goes on in its folder.
MAY_RESUME = "MALARIA_EXP_MAY_RESUME"


@dataclass
class RunFolder:
    """A claimed folder.

    Attributes:
        path: the folder.
        facts: plain values that the run adds to its status.json, such as headline metrics.
    """

    path: Path
    facts: dict[str, Any] = field(default_factory=dict)

    def __truediv__(self, name: str) -> Path:
        return self.path / name


def record_refusal(path: Path, *, overrides: list[str], reason: str) -> None:
    """Writes the status of a job that failed before it claimed its folder; a folder with files in it is left alone."""
    if not path.exists() or not any(path.iterdir()):
        write_json(path / STATUS, {"status": "failed", "overrides": redact_overrides(overrides), "reason": redact(reason)})


def forget_empty(path: Path) -> None:
    """Removes a folder that was made for a run in which nothing was written."""
    with suppress(OSError):
        path.rmdir()


def _forget_refused(path: Path, *, made: bool) -> None:
    """Removes what a run wrote before it did any work, if that is all there is; and the folder, if the run has made it."""
    found = {item.name for item in path.iterdir()}
    if {name for name in found if not name.startswith(".")} <= {STATUS, *BEFORE_WORK}:
        # The status goes last: until then the folder is claimed.
        for name in sorted(found, key=STATUS.__eq__):
            (path / name).unlink(missing_ok=True)
        if made:
            forget_empty(path)


@contextmanager
def _unclaimed_on_full_disk(path: Path, *, again: bool) -> Iterator[None]:
    """Takes the claim back if there is no room for what it says: an empty status.json could not be read."""
    try:
        yield
    except DiskFullError:
        if not again:
            for name in (STATUS, "config.yaml", LOCK):
                (path / name).unlink(missing_ok=True)
        raise


@contextmanager
def claim_run(path: Path, *, config_text: str, overrides: list[str], task: str, again: bool = False) -> Iterator[RunFolder]:
    """Claims a new folder, keeps its status and its log, and records how the run ended; of a run that is refused nothing is kept.

    Creating status.json is the claim: the operating system lets exactly one process create it, so two runs never share a
    folder, not even when they start in the same instant. As long as the run lives, it also holds a lock there.

    Args:
        path: the folder; it may exist, but not hold a run.
        config_text: the composed configuration as YAML.
        overrides: what the user typed.
        task: name of the task.
        again: continue in a folder that this task has claimed before, and append to its log.

    Raises:
        RunFolderError: the folder belongs to another run, another process works in it, or it cannot be made.
    """
    made = not path.exists()
    lock = _claim(path, again=again)
    folder = RunFolder(path)
    started = (_started_before(path) if again else None) or datetime.now(UTC).isoformat(timespec="seconds")
    clock = time.perf_counter()

    def write_status(status: str, **more: Any) -> None:
        known = {"task": task, "status": status, "started": started, "overrides": redact_overrides(overrides)}
        if LAUNCH in os.environ:
            known["launch"] = os.environ[LAUNCH]
        if "WANDB_SWEEP_ID" in os.environ:
            # Set by an agent of W&B: the name by which the sweep knows this run.
            known["wandb_run"] = os.environ.get("WANDB_RUN_ID", "")
        write_json_on_full_disk(path / STATUS, {**known, "seconds": round(time.perf_counter() - clock, 2), **folder.facts, **more})

    with _unclaimed_on_full_disk(path, again=again):
        config, text = path / "config.yaml", redact_yaml(config_text)
        if not again or not config.exists() or config.read_text(encoding="utf-8") != text:
            write_text(config, text)
        write_status("running", pid=os.getpid(), host=socket.gethostname())
    handler = start_file_log(path / "run.log")
    try:
        with saying_disk_full(path):
            yield folder
    except KeyboardInterrupt:
        handler.emit(log.makeRecord(log.name, logging.ERROR, "", 0, "Interrupted.", (), None))
        write_status("interrupted", reason="stopped by Ctrl-C or a signal")
        if task in MAY_GO_ON:
            log.warning(f"resume    python run.py task=resume run={path} goes on with this run")
        raise
    except UserError as error:
        # To the run's log only: main shows it in the terminal.
        handler.emit(log.makeRecord(log.name, logging.ERROR, "", 0, redact(str(error)), (), None))
        write_status("failed", reason=redact(str(error)), error=type(error).__name__)
        if isinstance(error, ConfigError | RunFolderError) and not again:
            # A mistake in the command is told in the terminal, and leaves no failed run behind.
            _forget_refused(path, made=made)
        raise
    except BaseException as error:
        handler.emit(log.makeRecord(log.name, logging.ERROR, "", 0, traceback.format_exc(), (), None))
        write_status("failed", reason=f"{type(error).__name__}: {error}", error=type(error).__name__)
        raise
    else:
        write_status("done")
    finally:
        stop_file_log(handler)
        (path / LOCK).unlink(missing_ok=True)
        lock.release()


def _claim(path: Path, *, again: bool) -> FileLock:
    """Makes the folder and its status.json, unless it goes on there, and returns the lock of the folder."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not again and not _never_began(path):
            raise FileExistsError
        lock = FileLock(path / LOCK)
        with suppress(NotImplementedError):  # a filesystem without locks
            lock.acquire(timeout=0)
        for left in [item for item in path.rglob(".*") if TEMPORARY.fullmatch(item.name)]:
            # Of a process that was killed while it wrote.
            shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)
        if not again:
            # Another may have begun there since the first look.
            if not _never_began(path):
                lock.release()
                raise FileExistsError
            (path / STATUS).unlink(missing_ok=True)
            os.close(os.open(path / STATUS, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        raise RunFolderError(
            f"The folder '{path}' already holds files; a run never writes over another. Choose a new hydra.run.dir; or go on with what"
            f" was cut off there: python run.py task=resume run={path}"
        ) from None
    except Timeout:
        raise RunFolderError(f"Another process works in '{path}'. Wait for it, or stop it first.") from None
    except OSError as error:
        raise RunFolderError(f"The folder '{path}' cannot be made: {error}. Choose another with hydra.run.dir=...") from None
    return lock


def _never_began(path: Path) -> bool:
    """Tells whether a folder is empty, or has only what a run leaves that is killed before it has written its status."""
    found = {item.name for item in path.iterdir() if not TEMPORARY.fullmatch(item.name)} - {LOCK}
    return not found or (STATUS in found and found <= {STATUS, "config.yaml"} and not (path / STATUS).stat().st_size)


def _started_before(path: Path) -> str | None:
    """Returns when a run that goes on was begun first."""
    try:
        return str(json.loads((path / STATUS).read_text(encoding="utf-8"))["started"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def has_checkpoint(path: Path) -> bool:
    """Tells whether a run in this folder left something to go on from: a checkpoint of its training, or images that it has scored."""
    return any((path / RESUME).glob(RESUME_FILES)) or (path / RESUME / RESUME_PREDICTION).is_file()


def may_be_running(path: Path, status: Mapping[str, Any]) -> bool:
    """Tells whether a process that wrote "running" into a folder may be alive.

    Where the lock is missing or cannot be tried, as in a folder that is only copied or read, the process' number is asked after; of a
    process of another machine nothing is known then, so the answer is yes.
    """
    if (path / LOCK).exists():
        try:
            with FileLock(path / LOCK, timeout=0):
                return False
        except Timeout:
            return True
        except (OSError, NotImplementedError):
            pass
    if status.get("host") != socket.gethostname():
        return True
    try:
        os.kill(int(status["pid"]), 0)
    except PermissionError:
        return True
    except (OSError, KeyError, ValueError, TypeError, OverflowError):
        return False
    return True
