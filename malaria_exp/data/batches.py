"""Training batches from the pixel cache: shuffled, batched, augmented."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import numpy as np

from malaria_exp.config.durations import RunLength
from malaria_exp.data.augmentation_chain import NO_AUGMENTATION, Chain
from malaria_exp.data.seeds import position, seed_words, step_seed, to_unit, untuned
from malaria_exp.data.subsets import Cells

if TYPE_CHECKING:
    import tensorflow as tf


class TrainingBatches:
    """Endless training batches that depend on nothing but (seed, epoch, step).

    Each epoch is a fresh permutation of the cells, cut into whole batches; the cells of the cut-off rest differ from epoch
    to epoch. Sets up to `resident_gb` are held in memory as one tensor and gathered there; larger ones are gathered from
    the memory-mapped pixel cache. Where the augmentations repeat the cells, an epoch is as much longer. With `weights`, float32 (N,),
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
        size = cells.pixel_cache.rule.size
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
            images = tf.numpy_function(lambda index: self.cells.pixel_cache.take(self.cells.rows[index]), [rows], tf.uint8, stateful=False)
            return tf.ensure_shape(images, (self.batch_size, *self.shape))

        return gather
