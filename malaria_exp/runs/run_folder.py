"""A run's folder: claimed by exactly one run, with a status.json that says how the run ended."""

import logging
import os
import socket
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from malaria_exp.utils.atomic_files import write_json, write_text
from malaria_exp.utils.errors import ConfigError, RunFolderError, UserError
from malaria_exp.utils.redaction import redact, redact_overrides, redact_yaml
from malaria_exp.utils.terminal_log import log, start_file_log, stop_file_log

STATUS = "status.json"
# What a run writes before it does any work, besides its status.
BEFORE_WORK = ("config.yaml", "run.log", "provenance.json")
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
def claim_run(path: Path, *, config_text: str, overrides: list[str], task: str, again: bool = False) -> Iterator[RunFolder]:
    """Claims a new folder, keeps its status and its log, and records how the run ended; of a run that is refused nothing is kept.

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
    made = not path.exists()
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
        write_json(path / STATUS, {**known, "seconds": round(time.perf_counter() - clock, 2), **folder.facts, **more})

    write_status("running", pid=os.getpid(), host=socket.gethostname())
    write_text(path / "config.yaml", redact_yaml(config_text))
    handler = start_file_log(path / "run.log")
    try:
        yield folder
    except KeyboardInterrupt:
        handler.emit(log.makeRecord(log.name, logging.ERROR, "", 0, "Interrupted.", (), None))
        write_status("interrupted", reason="stopped by Ctrl-C or a signal")
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
