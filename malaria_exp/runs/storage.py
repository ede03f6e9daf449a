"""Copying a finished run to the chosen storage, and recording in its status.json where the copy is, or why there is none."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from malaria_exp.config.registry import build, component
from malaria_exp.runs.run_folder import STATUS
from malaria_exp.runs.storage_copy import status_with
from malaria_exp.runs.storage_interface import Storage
from malaria_exp.utils.atomic_files import write_json
from malaria_exp.utils.redaction import redact, redact_overrides
from malaria_exp.utils.terminal_log import log

if TYPE_CHECKING:
    from malaria_exp.config.run_config import Choice, Config


def open_storage(config: "Config") -> Storage:
    """Returns the storage that the configuration chooses."""
    choice = config.one("storage")
    storage: Storage = build("storage", choice.name, choice.params)
    return storage


def keep_copy(config: "Config", folder: Path) -> None:
    """Copies a finished run. A copy that fails is logged and recorded, and leaves the local run as it is.

    Args:
        config: of the run.
        folder: the run's folder, whose status is final.
    """
    try:
        where = open_storage(config).keep(folder, name_of(folder))
    except BaseException as error:
        reason = redact(str(error)) or type(error).__name__
        write_json(folder / STATUS, status_with(folder, not_stored=reason))
        log.warning(f"storage   not copied: {reason}\nThe run itself is whole. To copy it later: {command(config.one('storage'), folder)}")
        if not isinstance(error, Exception):
            raise
    else:
        note_copy(folder, where)


def note_copy(folder: Path, where: str | None) -> None:
    """Records where a run was copied to; does nothing if it was not copied (None)."""
    if where is not None:
        write_json(folder / STATUS, status_with(folder, stored=where))
        log.info(f"storage   copied to {where}")


def name_of(folder: Path) -> str:
    """Returns the name of a run's copy: its folder's name; for a job of a multirun, whose name is a mere number, "<multirun>/<job>"."""
    folder = folder.resolve()
    is_job = folder.name.isdigit() or (folder.parent / "multirun.yaml").exists()
    return f"{folder.parent.name}/{folder.name}" if is_job else folder.name


def command(choice: "Choice", folder: Path) -> str:
    """Returns the command that copies a run later, without passwords."""
    defaults = {key: parameter.default for key, parameter in component("storage", choice.name).parameters.items()}
    own = [f"storage.{key}={_plain(value)}" for key, value in choice.params.items() if value != defaults.get(key)]
    return shlex.join(["python", "run.py", "task=upload", f"run={folder}", f"storage={choice.name}", *redact_overrides(own)])


def _plain(value: object) -> str:
    return f"[{','.join(map(str, value))}]" if isinstance(value, list) else str(value)
