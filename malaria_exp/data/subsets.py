"""The cells of a subset, and the seal on the test subset."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from malaria_exp.data.pixel_cache import PixelCache
from malaria_exp.data.shards.shard_cache import ShardCache
from malaria_exp.data.split_manifest import Manifest


@dataclass(frozen=True, eq=False)
class Cells:
    """The cells of one subset: their rows in the manifest, their labels and their decoded images.

    Attributes:
        subset: its name.
        rows: int64 (N,), rows of the manifest.
        labels: int8 (N,), 1 = parasitized.
        pixel_cache: the decoded images.
    """

    subset: str
    rows: np.ndarray
    labels: np.ndarray
    pixel_cache: PixelCache

    def __len__(self) -> int:
        return len(self.rows)

    def images(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Returns images start to stop of the subset, uint8 (n, size, size, 3)."""
        return self.pixel_cache.take(self.rows[start:stop])


@dataclass(eq=False)
class Data:
    """The subsets of a run. Training sees two of them; only evaluation opens the test subset, and that is recorded.

    Attributes:
        manifest: the split.
        pixel_cache: the decoded images, row by row of the manifest.
        weight: of each cell of the manifest in training, float32 (N,); None where all weigh the same.
        columns: of each cell of the manifest, str (N,), by name: what subgroups are made of beside names and labels.
        access_log: name of each subset that evaluation opened, with the reason, in order.
    """

    manifest: Manifest
    pixel_cache: PixelCache
    weight: np.ndarray | None = None
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)
    access_log: list[dict[str, str]] = field(default_factory=list)

    def training(self) -> tuple[Cells, Cells]:
        """Returns the training and the validation cells."""
        return self._cells("train"), self._cells("val")

    def training_labels(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Returns the training cells' labels, int8 (N,), and patients, str (N,); None if these are not known."""
        rows = self.manifest.rows("train")
        return self.manifest.label[rows], self.manifest.patient[rows] if self.manifest.patients_known else None

    def training_weights(self) -> np.ndarray | None:
        """Returns what the training cells weigh, float32 (N,); None where all weigh the same."""
        return None if self.weight is None else self.weight[self.manifest.rows("train")]

    def columns_of(self, subsets: Sequence[Cells]) -> dict[str, np.ndarray]:
        """Returns the columns of the cells of subsets, str (M,), one after the other."""
        rows = np.concatenate([cells.rows for cells in subsets])
        return {name: column[rows] for name, column in self.columns.items()}

    def open(self, subset: str, reason: str) -> Cells:
        """Opens a subset for evaluation and records it."""
        self.access_log.append({"subset": subset, "reason": reason})
        return self._cells(subset)

    def _cells(self, subset: str) -> Cells:
        rows = self.manifest.rows(subset)
        pixel_cache = self.pixel_cache
        # A subset that is scored after every epoch is copied to the cache folder; one that is scored once is read where it lies.
        if isinstance(pixel_cache, ShardCache) and subset in ("val", "test"):
            pixel_cache = pixel_cache.copy_out(rows, subset)
        return Cells(subset, rows, self.manifest.label[rows], pixel_cache)
