"""From the store to batches, in the one order decode, resize, cache, shuffle, batch, augment; and the seal on the test subset."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from malaria_exp.manifest import Manifest
from malaria_exp.store import Store

if TYPE_CHECKING:
    import tensorflow as tf

# images (B, H, W, 3) float32 in [0, 1], labels (B, 1) float32 in [0, 1], seed (2,) int32 -> images, labels of the same shape.
Augmentation = Callable[["tf.Tensor", "tf.Tensor", "tf.Tensor"], tuple["tf.Tensor", "tf.Tensor"]]


@dataclass(frozen=True, eq=False)
class Cells:
    """The cells of one subset: their rows in the manifest, their labels and their decoded images.

    Attributes:
        subset: its name.
        rows: int64 (N,), rows of the manifest.
        labels: int8 (N,), 1 = parasitized.
        store: the decoded images.
    """

    subset: str
    rows: np.ndarray
    labels: np.ndarray
    store: Store

    def __len__(self) -> int:
        return len(self.rows)

    def images(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Returns images start to stop of the subset, uint8 (n, size, size, 3)."""
        return self.store.take(self.rows[start:stop])


@dataclass(eq=False)
class Data:
    """The subsets of a run. Training sees two of them; only evaluation opens the test subset, and that is recorded.

    Attributes:
        manifest: the split.
        store: the decoded images, row by row of the manifest.
        opened: name of each subset that evaluation opened, with the reason, in order.
    """

    manifest: Manifest
    store: Store
    opened: list[dict[str, str]] = field(default_factory=list)

    def training(self) -> tuple[Cells, Cells]:
        """Returns the training and the validation cells."""
        return self._cells("train"), self._cells("val")

    def open(self, subset: str, reason: str) -> Cells:
        """Opens a subset for evaluation and records it."""
        self.opened.append({"subset": subset, "reason": reason})
        return self._cells(subset)

    def _cells(self, subset: str) -> Cells:
        rows = self.manifest.rows(subset)
        return Cells(subset, rows, self.manifest.label[rows], self.store)


class TrainingBatches:
    """Endless training batches that depend on nothing but (seed, epoch, step).

    Each epoch is a fresh permutation of the cells, cut into whole batches; the cells of the cut-off rest differ from epoch
    to epoch. Sets up to `resident_gb` are held in memory as one tensor and gathered there; larger ones are gathered from
    the memory-mapped store.

    Attributes:
        steps_per_epoch: whole batches in an epoch.
        batch_size: cells in a batch; all of them, if the subset is smaller than the batch asked for.
    """

    def __init__(self, cells: Cells, *, batch_size: int, augmentations: list[Augmentation], seed: int, resident_gb: float) -> None:
        self.cells = cells
        self.batch_size = min(batch_size, len(cells))
        self.steps_per_epoch = len(cells) // self.batch_size
        self.augmentations = augmentations
        self.seed = seed
        size = cells.store.rule.size
        self.shape = (size, size, 3)
        self.resident = len(cells) * size * size * 3 <= resident_gb * 1e9

    def dataset(self, start_epoch: int = 0) -> "tf.data.Dataset":
        """Returns the batches from the given epoch on: images float32 (B, size, size, 3) in [0, 1], labels float32 (B, 1)."""
        import tensorflow as tf

        fold_in = tf.random.fold_in
        labels = tf.constant(self.cells.labels[:, None], tf.float32)
        gather = self._gather()
        # Two words, so that every seed up to 2^64 is its own stream.
        base = tf.constant(np.array([self.seed & 0xFFFFFFFF, self.seed >> 32], dtype=np.uint32).view(np.int32))

        def epoch_rows(epoch: "tf.Tensor") -> "tf.data.Dataset":
            order = tf.random.experimental.stateless_shuffle(tf.range(len(self.cells)), seed=fold_in(base, epoch))
            order = tf.reshape(order[: self.steps_per_epoch * self.batch_size], (self.steps_per_epoch, self.batch_size))
            return tf.data.Dataset.from_tensor_slices(order).enumerate().map(lambda step, rows: (epoch, step, rows))

        def batch(epoch: "tf.Tensor", step: "tf.Tensor", rows: "tf.Tensor") -> tuple["tf.Tensor", "tf.Tensor"]:
            # Shuffling used fold_in(base, epoch); steps start at 1 so that no augmentation draws from the same stream.
            seed = fold_in(fold_in(base, epoch), step + 1)
            images, targets = to_unit(gather(rows)), tf.gather(labels, rows)
            for number, augment in enumerate(self.augmentations):
                images, targets = augment(images, targets, fold_in(seed, number))
                images = tf.ensure_shape(images, (self.batch_size, *self.shape))
                targets = tf.ensure_shape(targets, (self.batch_size, 1))
            return images, targets

        epochs = tf.data.Dataset.range(start_epoch, np.iinfo(np.int64).max).flat_map(epoch_rows)
        return epochs.map(batch, num_parallel_calls=2, deterministic=True).prefetch(2)

    def _gather(self) -> Callable[["tf.Tensor"], "tf.Tensor"]:
        import tensorflow as tf

        if self.resident:
            with tf.device("CPU:0"):
                pixels = tf.constant(self.cells.images())
            return lambda rows: tf.gather(pixels, rows)

        def gather(rows: "tf.Tensor") -> "tf.Tensor":
            images = tf.numpy_function(lambda index: self.cells.store.take(self.cells.rows[index]), [rows], tf.uint8, stateful=False)
            return tf.ensure_shape(images, (self.batch_size, *self.shape))

        return gather


def to_unit(images: "tf.Tensor") -> "tf.Tensor":
    """Brings uint8 pixels to float32 in [0, 1]; the only place where pixels are scaled."""
    import tensorflow as tf

    return tf.cast(images, tf.float32) * (1 / 255)
