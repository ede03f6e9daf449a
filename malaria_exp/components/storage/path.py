"""A folder of this machine, such as a mounted network drive."""

from pathlib import Path

from malaria_exp.components.storage._folder import FolderStorage
from malaria_exp.config.registry import register
from malaria_exp.runs.storage_copy import Part
from malaria_exp.runs.storage_interface import Storage


@register("storage", "path")
def path(*, path: str, what: list[Part] = ["everything"]) -> Storage:  # noqa: B006 - never changed, and shown as the default by task=list
    """Copies each finished run into a folder.

    Args:
        path: the folder; each run becomes a folder in it.
        what: everything, or parts: model, report, metrics, predictions, split, log; status, configuration and provenance always.
    """
    return FolderStorage(Path(path).expanduser(), what, "storage.path")
