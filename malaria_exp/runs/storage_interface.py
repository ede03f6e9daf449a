"""The protocol of a storage."""

from pathlib import Path
from typing import Protocol


class Storage(Protocol):
    """A place that runs are copied to when they are done; the local run stays."""

    def check(self) -> None:
        """Raises a ConfigError before any work if nothing can be written there."""
        ...

    def keep(self, folder: Path, name: str) -> str | None:
        """Copies the folder of a finished run.

        Args:
            folder: the run's folder.
            name: what the copy is called there, such as "20261123-142233-000000-1a2b3c" or "multirun-.../0".

        Returns:
            Path or URL of the copy, without passwords; None if nothing is copied.

        Raises:
            UserError: it cannot be copied, or another run is there already. Then no file of this run is left there.
        """
        ...
