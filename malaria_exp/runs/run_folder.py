"""A run's folder: claimed by exactly one run, with a status.json that says how the run ended."""

import logging
import os
import socket
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from malaria_exp.utils.atomic_files import saying_disk_full, write_json, write_json_on_full_disk, write_text
from malaria_exp.utils.errors import DiskFullError, RunFolderError, UserError
from malaria_exp.utils.redaction import redact, redact_overrides, redact_yaml
from malaria_exp.utils.terminal_log import log, start_file_log, stop_file_log

STATUS = "status.json"
# An environment variable that launchers set in their processes: the launch that a job belongs to.
LAUNCH = "MALARIA_EXP_LAUNCH"


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


@contextmanager
def _unclaimed_on_full_disk(path: Path, *, again: bool) -> Iterator[None]:
    """Takes the claim back if there is no room for what it says: an empty status.json could not be read."""
    try:
        yield
    except DiskFullError:
        if not again:
            (path / STATUS).unlink(missing_ok=True)
        raise


@contextmanager
def claim_run(path: Path, *, config_text: str, overrides: list[str], task: str, again: bool = False) -> Iterator[RunFolder]:
    """Claims a new folder, keeps its status and its log, and records how the run ended.

    Creating status.json is the claim: the operating system lets exactly one process create it, so two runs never share a
    folder, not even when they start in the same instant.

    Args:
        path: the folder; it may exist, but not hold a run.
        config_text: the composed configuration as YAML.
        overrides: what the user typed.
        task: name of the task.
        again: continue in a folder that this task has claimed before, and append to its log.

    Raises:
        RunFolderError: the folder belongs to another run or cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not again:
            if any(path.iterdir()):
                raise FileExistsError
            os.close(os.open(path / STATUS, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        raise RunFolderError(
            f"The folder '{path}' already holds files; a run never writes over another. Choose a new hydra.run.dir."
        ) from None
    except OSError as error:
        raise RunFolderError(f"The folder '{path}' cannot be made: {error}. Choose another with hydra.run.dir=...") from None
    folder = RunFolder(path)
    started = datetime.now(UTC)
    clock = time.perf_counter()

    def write_status(status: str, **more: Any) -> None:
        known = {"task": task, "status": status, "started": started.isoformat(timespec="seconds"), "overrides": redact_overrides(overrides)}
        if LAUNCH in os.environ:
            known["launch"] = os.environ[LAUNCH]
        if "WANDB_SWEEP_ID" in os.environ:
            # Set by an agent of W&B: the name by which the sweep knows this run.
            known["wandb_run"] = os.environ.get("WANDB_RUN_ID", "")
        write_json_on_full_disk(path / STATUS, {**known, "seconds": round(time.perf_counter() - clock, 2), **folder.facts, **more})

    with _unclaimed_on_full_disk(path, again=again):
        write_status("running", pid=os.getpid(), host=socket.gethostname())
        write_text(path / "config.yaml", redact_yaml(config_text))
    handler = start_file_log(path / "run.log")
    try:
        with saying_disk_full(path):
            yield folder
    except KeyboardInterrupt:
        handler.emit(log.makeRecord(log.name, logging.ERROR, "", 0, "Interrupted.", (), None))
        write_status("interrupted", reason="stopped by Ctrl-C or a signal")
        raise
    except UserError as error:
        # To the run's log only: main shows it in the terminal.
        handler.emit(log.makeRecord(log.name, logging.ERROR, "", 0, redact(str(error)), (), None))
        write_status("failed", reason=redact(str(error)), error=type(error).__name__)
        raise
    except BaseException as error:
        handler.emit(log.makeRecord(log.name, logging.ERROR, "", 0, traceback.format_exc(), (), None))
        write_status("failed", reason=f"{type(error).__name__}: {error}", error=type(error).__name__)
        raise
    else:
        write_status("done")
    finally:
        stop_file_log(handler)
