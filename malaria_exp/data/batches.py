"""From the store to batches, in the one order decode, resize, cache, shuffle, batch, augment; and the seal on the test subset."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from malaria_exp.config.durations import RunLength
from malaria_exp.data.augmentation_chain import Augmentation, Chain
from malaria_exp.data.pixel_cache import PixelStore
from malaria_exp.data.shards.store import ShardStore
from malaria_exp.data.split_manifest import Manifest
from malaria_exp.utils.errors import ConfigError

if TYPE_CHECKING:
    import tensorflow as tf
NO_AUGMENTATION = Chain([])


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
    store: PixelStore

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
    store: PixelStore
    opened: list[dict[str, str]] = field(default_factory=list)

    def training(self) -> tuple[Cells, Cells]:
        """Returns the training and the validation cells."""
        return self._cells("train"), self._cells("val")

    def patient_weights(self) -> np.ndarray:
        """Returns weights of the training cells, float32 (N,), mean 1, of the same sum for every patient.

        Raises:
            ConfigError: nobody knows the patients.
        """
        patients = self.manifest.patient[self.manifest.rows("train")]
        if not self.manifest.patients_known:
            raise ConfigError("count_by: received 'patient', but the patients of this data are not known. Use count_by=cell.")
        _, number, cells = np.unique(patients, return_inverse=True, return_counts=True)
        return (len(patients) / (len(cells) * cells[number])).astype(np.float32)

    def open(self, subset: str, reason: str) -> Cells:
        """Opens a subset for evaluation and records it."""
        self.opened.append({"subset": subset, "reason": reason})
        return self._cells(subset)

    def _cells(self, subset: str) -> Cells:
        rows = self.manifest.rows(subset)
        store = self.store
        # What is scored after every epoch is not read from afar each time; what is scored once is.
        if isinstance(store, ShardStore) and subset in ("val", "test"):
            store = store.copy_out(rows, subset)
        return Cells(subset, rows, self.manifest.label[rows], store)


class Batches(Protocol):
    """Endless training batches that depend on nothing but (seed, epoch, step).

    Attributes:
        cells: the training cells.
        steps_per_epoch: whole batches in an epoch.
        batch_size: cells in a batch; all of them, if the subset is smaller than the batch asked for.
    """

    cells: Cells
    steps_per_epoch: int
    batch_size: int

    def dataset(self, start_epoch: int = 0, start_step: int = 0) -> "tf.data.Dataset":
        """Returns the batches from a step of an epoch on.

        Each is images float32 (B, size, size, 3) in [0, 1], labels float32 (B, 1) and, if cells are weighted, weights float32 (B,).
        """
        ...

    def reading(self) -> AbstractContextManager[None]:
        """Returns what a trainer wraps its reading in: where files are read, errors of reading them then say which file is damaged."""
        ...


def training_batches(
    cells: Cells,
    *,
    batch_size: int,
    augmentations: list[Augmentation],
    seed: int,
    resident_gb: float,
    weights: np.ndarray | None = None,
    epochs: int = 0,
) -> Batches:
    """Returns the training batches that fit the cells' store: streamed from shards, or taken from memory or a memory-mapped file.

    `epochs` is the length of the run, for augmentations that end at a percentage of it.
    """
    chain = Chain(augmentations)
    if isinstance(cells.store, ShardStore):
        from malaria_exp.data.streamed_batches import StreamedBatches

        return StreamedBatches(cells, batch_size=batch_size, chain=chain, seed=seed, weights=weights, epochs=epochs)
    return TrainingBatches(cells, batch_size=batch_size, chain=chain, seed=seed, resident_gb=resident_gb, weights=weights, epochs=epochs)


class TrainingBatches:
    """Endless training batches that depend on nothing but (seed, epoch, step).

    Each epoch is a fresh permutation of the cells, cut into whole batches; the cells of the cut-off rest differ from epoch
    to epoch. Sets up to `resident_gb` are held in memory as one tensor and gathered there; larger ones are gathered from
    the memory-mapped store. Where the augmentations repeat the cells, an epoch is as much longer. With `weights`, float32 (N,),
    each cell carries its own; a mixed cell has that of the cell it was.

    Attributes:
        steps_per_epoch: whole batches in an epoch.
        batch_size: cells in a batch; all of them, if the subset is smaller than the batch asked for.
        chain: the augmentations.
        length: of the run.
    """

    def __init__(
        self,
        cells: Cells,
        *,
        batch_size: int,
        chain: Chain = NO_AUGMENTATION,
        seed: int,
        resident_gb: float,
        weights: np.ndarray | None = None,
        epochs: int = 0,
    ) -> None:
        self.cells, self.weights, self.chain = cells, weights, chain
        self.batch_size = min(batch_size, len(cells))
        self.steps_per_epoch = len(cells) * chain.copies // self.batch_size
        self.length = RunLength(epochs, self.steps_per_epoch, self.batch_size)
        self.seed = seed
        size = cells.store.rule.size
        self.shape = (size, size, 3)
        self.resident = len(cells) * size * size * 3 <= resident_gb * 1e9

    def dataset(self, start_epoch: int = 0, start_step: int = 0) -> "tf.data.Dataset":
        """See Batches."""
        import tensorflow as tf

        labels = tf.constant(self.cells.labels[:, None], tf.float32)
        gather = self._gather()
        base = seed_words(self.seed)
        start_epoch, start_step = position(self, start_epoch, start_step)

        def epoch_rows(epoch: "tf.Tensor") -> "tf.data.Dataset":
            order = tf.random.experimental.stateless_shuffle(
                tf.range(len(self.cells) * self.chain.copies), seed=tf.random.fold_in(base, epoch)
            )
            order = tf.reshape(order[: self.steps_per_epoch * self.batch_size], (self.steps_per_epoch, self.batch_size))
            steps = tf.data.Dataset.from_tensor_slices(order).enumerate().map(lambda step, rows: (epoch, step, rows))
            return steps.skip(tf.where(epoch == start_epoch, tf.constant(start_step, tf.int64), 0))

        weights = None if self.weights is None else tf.constant(self.weights, tf.float32)

        def batch(epoch: "tf.Tensor", step: "tf.Tensor", places: "tf.Tensor") -> tuple["tf.Tensor", ...]:
            rows, copy = places % len(self.cells), places // len(self.cells)
            made = self.chain(
                tf.ensure_shape(to_unit(gather(rows)), (self.batch_size, *self.shape)),
                tf.gather(labels, rows),
                step_seed(base, epoch, step),
                step=epoch * self.steps_per_epoch + step,
                copy=copy,
                length=self.length,
            )
            return made if weights is None else (*made, tf.gather(weights, rows))

        epochs = tf.data.Dataset.range(start_epoch, np.iinfo(np.int64).max).flat_map(epoch_rows)
        return untuned(epochs.map(batch, num_parallel_calls=2, deterministic=True).prefetch(2))

    def reading(self) -> AbstractContextManager[None]:
        """Returns a context that does nothing: the images were read before."""
        return nullcontext()

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


def untuned(dataset: "tf.data.Dataset") -> "tf.data.Dataset":
    """Returns the pipeline without TensorFlow's tuner of threads and buffers, all of which are given numbers here.

    The tuner sleeps longer after each look, up to a minute, and a pipeline that is closed may wait until it wakes: at the end of two
    runs out of three nothing was done for ten seconds or more.
    """
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


def position(batches: Batches, epoch: int, step: int) -> tuple[int, int]:
    """Returns (epoch, step) with a step inside the epoch; the step after an epoch's last is the next one's first."""
    if epoch < 0 or step < 0:
        raise ValueError(f"Expected an epoch and a step from 0. Received: {epoch}, {step}")
    more, step = divmod(step, batches.steps_per_epoch)
    return epoch + more, step


def seed_words(seed: int) -> "tf.Tensor":
    """Returns the seed of a run's training stream, int32 (2,): two words, so that every seed up to 2^64 is its own stream."""
    import tensorflow as tf

    return tf.constant(np.array([seed & 0xFFFFFFFF, seed >> 32], dtype=np.uint32).view(np.int32))


def step_seed(base: "tf.Tensor", epoch: "tf.Tensor", step: "tf.Tensor") -> "tf.Tensor":
    """Returns the seed that a step's augmentations draw from, int32 (2,)."""
    import tensorflow as tf

    # Shuffling uses fold_in(base, epoch) and what follows from it by 0; steps start at 1, so that no augmentation shares a stream.
    return tf.random.fold_in(tf.random.fold_in(base, epoch), step + 1)


def to_unit(images: "tf.Tensor") -> "tf.Tensor":
    """Brings uint8 pixels to float32 in [0, 1]; the only place where pixels are scaled."""
    import tensorflow as tf

    return tf.cast(images, tf.float32) * (1 / 255)
