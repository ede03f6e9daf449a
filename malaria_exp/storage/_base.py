"""What a storage is."""

from pathlib import Path
from typing import Protocol


class Storage(Protocol):
    """A place that runs are copied to when they end; the local run stays."""

    def check(self) -> None:
        """Raises a ConfigError before any work if nothing can be written there."""
        ...

    def keep(self, folder: Path) -> str | None:
        """Copies the run's folder and returns where it stands now; None if nothing is copied. Raises a UserError if it fails."""
        ...
