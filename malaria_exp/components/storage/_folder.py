"""A storage in a local or mounted folder."""

from pathlib import Path

from malaria_exp.runs.storage_copy import Part, check_folder, copy_to_folder


class FolderStorage:
    """See Storage.

    Args:
        folder: the folder that runs are copied into.
        what: which files.
        key: the key of the configuration that sets the folder, for messages.
    """

    def __init__(self, folder: Path, what: list[Part], key: str) -> None:
        self.folder, self.what, self.key = folder, what, key

    def check(self) -> None:
        """Raises a ConfigError if nothing can be written into the folder."""
        check_folder(self.folder, self.key)

    def keep(self, folder: Path, name: str) -> str:
        """Copies the run and returns the copy's path."""
        return copy_to_folder(folder, self.what, self.folder / name)
