"""Copying a finished run to a storage."""

from typing import TYPE_CHECKING

from malaria_exp.config.registry import register
from malaria_exp.runs.run_folder import STATUS
from malaria_exp.utils.errors import ConfigError, RunFolderError

if TYPE_CHECKING:
    from malaria_exp.config.app import App


@register("task", "upload")
def upload(app: "App", /) -> None:
    """Copies a finished run (run=outputs/...) to a storage, as storage=... does at the end of a run."""
    from malaria_exp.runs.read_files import read_json
    from malaria_exp.runs.storage import name_of, note_copy, open_storage
    from malaria_exp.utils.filesystems import local_path, scheme_of

    config = app.config
    config.check_components()
    if config.run is None or scheme_of(config.run) not in ("", "file"):
        raise ConfigError(f"run: received {config.run!r}; task=upload needs the local folder of a finished run: run=outputs/...")
    if config.one("storage").name == "none":
        raise ConfigError("storage: received 'none'; task=upload needs a storage to copy to: storage=path storage.path=/mnt/runs")
    folder = local_path(config.run)
    status = read_json(folder / STATUS).get("status")
    if status != "done":
        raise RunFolderError(f"run: '{folder}' is no finished run: status {status}.")
    storage = open_storage(config)
    storage.check()
    note_copy(folder, storage.keep(folder, name_of(folder)))
