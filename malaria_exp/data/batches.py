"""Training batches from the pixel cache: shuffled, batched, augmented."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import numpy as np

from malaria_exp.data.augmentation_chain import NO_AUGMENTATION, Chain
from malaria_exp.data.sampling import UNIFORM, EpochCells, Sampling
from malaria_exp.data.seeds import Position, more_columns, position, seed_words, starts, step_seed, steps_before, steps_in, to_unit, untuned
from malaria_exp.data.subsets import Cells

if TYPE_CHECKING:
    import tensorflow as tf


class TrainingBatches:
    """Endless training batches that depend on nothing but (seed, epoch, step).

    Each epoch is a fresh permutation of the cells, cut into whole batches; the cells of the cut-off rest differ from epoch
    to epoch. Sets up to `resident_gb` are held in memory as one tensor and gathered there; larger ones are gathered from
    the memory-mapped pixel cache. Where the augmentations repeat the cells, an epoch is as much longer. Where cells have weights,
    each carries its own; a mixed cell has that of the cell it was.

    Attributes:
        batch_size: cells in a batch; all of them, if the subset is smaller than the batch asked for.
        chain: the augmentations.
        epoch_cells: how often an epoch holds each cell.
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
        sampling: Sampling = UNIFORM,
        epochs: int = 0,
    ) -> None:
        self.cells, self.sampling, self.chain = cells, sampling, chain
        self.batch_size = min(batch_size, len(cells))
        self.length = sampling.length(epochs, len(cells), chain.copies, self.batch_size)
        self.seed = seed
        losses = np.full(len(cells), np.nan, np.float32)
        least = -(-self.batch_size // chain.copies)
        whole = self.length.whole_epochs
        self.epoch_cells = EpochCells(sampling, np.arange(len(cells)), losses, seed=seed, whole_epochs=whole, least=least)
        size = cells.pixel_cache.rule.size
        self.shape = (size, size, 3)
        self.resident = len(cells) * size * size * 3 <= resident_gb * 1e9

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in an epoch that holds all cells."""
        return self.length.steps_per_epoch

    def dataset(self, start_epoch: int = 0, start_step: int = 0) -> "tf.data.Dataset":
        """See Batches."""
        return self._batches(starts(*position(self.length, start_epoch, start_step)), numbered=False)

    def epoch_under_way(self, at: Position) -> "tf.data.Dataset":
        """See Batches."""
        return self._batches(starts(at), numbered=True)

    def _batches(self, starts: "tf.data.Dataset", *, numbered: bool) -> "tf.data.Dataset":
        import tensorflow as tf

        labels = tf.constant(self.cells.labels[:, None], tf.float32)
        gather = self._gather()
        base, length = seed_words(self.seed), self.length

        def epoch_rows(epoch: "tf.Tensor", first: "tf.Tensor") -> "tf.data.Dataset":
            rows, number = None, tf.constant(len(self.cells))
            if self.sampling.choose is not None:
                rows = tf.ensure_shape(tf.numpy_function(self._chosen, [epoch], tf.int32, stateful=False), (None,))
                number = tf.size(rows)
            order = tf.random.experimental.stateless_shuffle(tf.range(number * self.chain.copies), seed=tf.random.fold_in(base, epoch))
            steps = steps_in(length, epoch)
            order = tf.ensure_shape(tf.reshape(order[: steps * self.batch_size], (steps, self.batch_size)), (None, self.batch_size))
            copy = order // number
            rows = order % number if rows is None else tf.gather(rows, order % number)
            made = tf.data.Dataset.from_tensor_slices((rows, copy)).enumerate().map(lambda step, cells: (epoch, step, *cells))
            return made.skip(first)

        weights = None if self.sampling.weights is None else tf.constant(self.sampling.weights, tf.float32)

        def batch(epoch: "tf.Tensor", step: "tf.Tensor", rows: "tf.Tensor", copy: "tf.Tensor") -> tuple["tf.Tensor", ...]:
            made = self.chain(
                tf.ensure_shape(to_unit(gather(rows)), (self.batch_size, *self.shape)),
                tf.gather(labels, rows),
                step_seed(base, epoch, step),
                step=steps_before(length, epoch) + step,
                copy=copy,
                length=length,
            )
            return *made, *more_columns(weights, rows, numbered=numbered)

        return untuned(starts.flat_map(epoch_rows).map(batch, num_parallel_calls=2, deterministic=True).prefetch(2))

    def _chosen(self, epoch: np.ndarray) -> np.ndarray:
        """Returns the cells that an epoch holds, int32, each as often as it does."""
        times = self.epoch_cells.times(int(epoch))
        return np.repeat(np.arange(len(times), dtype=np.int32), times)

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
