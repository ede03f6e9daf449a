"""No storage: nothing is copied."""

from pathlib import Path

from malaria_exp.config.registry import register
from malaria_exp.runs.storage_interface import Storage


@register("storage", "none")
def none() -> Storage:
    """Copies nothing: the run is in its own folder only."""
    return NoStorage()


class NoStorage:
    """See Storage."""

    def check(self) -> None:
        """Needs nothing."""

    def keep(self, folder: Path, name: str) -> None:
        """Copies nothing."""
