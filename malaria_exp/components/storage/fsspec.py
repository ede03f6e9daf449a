"""Object stores and other filesystems with URLs: gs://, s3://, memory://, file:// and whatever else is installed."""

from pathlib import Path

from malaria_exp.components.storage._folder import FolderStorage
from malaria_exp.config.registry import register
from malaria_exp.runs.storage_copy import Part, below, check_place, copy_to_place
from malaria_exp.runs.storage_interface import Storage
from malaria_exp.utils.filesystems import local_path, scheme_of

KEY = "storage.url"


@register("storage", "fsspec")
def fsspec(*, url: str, what: list[Part] = ["everything"]) -> Storage:  # noqa: B006 - never changed, and shown as the default by task=list
    """Copies each finished run to a URL: gs://bucket/folder, s3://bucket/folder, file:///folder ...

    gs:// is read and written by TensorFlow itself, with the machine's own credentials; most others need the extra `remote` and the
    package of their file system.

    Args:
        url: the folder; each run becomes a folder in it.
        what: everything, or parts: model, report, metrics, predictions, split, log; status, configuration and provenance always.
    """
    if scheme_of(url) in ("", "file"):
        return FolderStorage(local_path(url), what, KEY)
    return UrlStorage(url, what)


class UrlStorage:
    """See Storage.

    Args:
        url: the folder that runs are copied into.
        what: which files.
    """

    def __init__(self, url: str, what: list[Part]) -> None:
        self.url, self.what = url, what

    def check(self) -> None:
        """Raises a ConfigError if a package is missing, or nothing can be written there."""
        check_place(self.url, KEY)

    def keep(self, folder: Path, name: str) -> str:
        """Copies the run and returns the copy's URL."""
        return copy_to_place(folder, self.what, below(self.url, name), KEY)
