"""The cells of a subset, and the seal on the test subset."""

from dataclasses import dataclass, field

import numpy as np

from malaria_exp.data.pixel_cache import PixelCache
from malaria_exp.data.shards.shard_cache import ShardCache
from malaria_exp.data.split_manifest import Manifest
from malaria_exp.utils.errors import ConfigError


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
        access_log: name of each subset that evaluation opened, with the reason, in order.
    """

    manifest: Manifest
    pixel_cache: PixelCache
    access_log: list[dict[str, str]] = field(default_factory=list)

    def training(self) -> tuple[Cells, Cells]:
        """Returns the training and the validation cells."""
        return self._cells("train"), self._cells("val")

    def patient_weights(self) -> np.ndarray:
        """Returns weights of the training cells, float32 (N,), mean 1, of the same sum for every patient.

        Raises:
            ConfigError: the patients are not known.
        """
        patients = self.manifest.patient[self.manifest.rows("train")]
        if not self.manifest.patients_known:
            raise ConfigError("count_by: received 'patient', but the patients of this data are not known. Use count_by=cell.")
        _, number, cells = np.unique(patients, return_inverse=True, return_counts=True)
        return (len(patients) / (len(cells) * cells[number])).astype(np.float32)

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
