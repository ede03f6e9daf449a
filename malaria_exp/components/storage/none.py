"""Nothing is copied."""

from pathlib import Path

from malaria_exp.config.registry import register
from malaria_exp.runs.storage_interface import Storage


@register("storage", "none")
def none() -> Storage:
    """Copies nothing: the run stays in its folder alone."""
    return NoStorage()


class NoStorage:
    """See Storage."""

    def check(self) -> None:
        """Finds nothing to complain about."""

    def keep(self, folder: Path, name: str) -> None:
        """Copies nothing."""
