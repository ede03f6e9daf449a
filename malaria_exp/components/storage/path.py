"""A folder of this machine, or one that is mounted."""

from pathlib import Path

from malaria_exp.config.registry import register
from malaria_exp.runs.storage_copy import Part, check_folder, copy_to_folder
from malaria_exp.runs.storage_interface import Storage


@register("storage", "path")
def path(*, path: str, what: list[Part] = ["everything"]) -> Storage:  # noqa: B006 - never changed, and shown as the default by task=list
    """Copies each finished run into a folder, such as a network drive's.

    Args:
        path: the folder; each run becomes a folder in it.
        what: everything, or parts: model, report, metrics, predictions, split, log; status, configuration and provenance always.
    """
    return FolderStorage(Path(path).expanduser(), what)


class FolderStorage:
    """See Storage.

    Args:
        folder: the folder that runs are copied into.
        what: which files.
    """

    def __init__(self, folder: Path, what: list[Part]) -> None:
        self.folder, self.what = folder, what

    def check(self) -> None:
        """Raises a ConfigError if the folder cannot be written."""
        check_folder(self.folder, "storage.path")

    def keep(self, folder: Path, name: str) -> str:
        """Copies the run and returns the copy's path."""
        return copy_to_folder(folder, self.what, self.folder / name)
