"""Google Drive, as Colab mounts it."""

from pathlib import Path

from malaria_exp.components.storage._folder import FolderStorage
from malaria_exp.config.registry import register
from malaria_exp.runs.storage_copy import Part
from malaria_exp.runs.storage_interface import Storage
from malaria_exp.utils.errors import ConfigError

# The folder of the user's own files in a drive that Colab has mounted.
OWN_FILES = "MyDrive"


@register("storage", "google_drive")
def google_drive(
    *,
    folder: str = "malaria_exp",
    mount: str = "/content/drive",
    what: list[Part] = ["everything"],  # noqa: B006 - never changed, and shown as the default by task=list
) -> Storage:
    """Copies each finished run to Google Drive, which has to be mounted, as in Colab.

    Args:
        folder: the folder in My Drive; each run becomes a folder in it.
        mount: where the drive is mounted.
        what: everything, or parts: model, report, metrics, predictions, split, log; status, configuration and provenance always.
    """
    return GoogleDrive(folder, Path(mount).expanduser(), what)


class GoogleDrive(FolderStorage):
    """See Storage.

    Args:
        folder: the folder in My Drive.
        mount: where the drive is mounted.
        what: which files.
    """

    def __init__(self, folder: str, mount: Path, what: list[Part]) -> None:
        self.mount = mount
        super().__init__(mount / OWN_FILES / folder.strip("/"), what, "storage.folder")

    def check(self) -> None:
        """Raises a ConfigError that says how to mount the drive, or that the folder cannot be written."""
        if not (self.mount / OWN_FILES).is_dir():
            raise ConfigError(
                f"storage.mount: Google Drive is not mounted: there is no folder '{self.mount / OWN_FILES}'. In Colab, run"
                f" from google.colab import drive; drive.mount('{self.mount}') in a cell first; elsewhere use storage=path."
            )
        super().check()

    def keep(self, folder: Path, name: str) -> str:
        """Copies the run and returns the copy's path."""
        # The drive may have been unmounted during the training.
        self.check()
        return super().keep(folder, name)
