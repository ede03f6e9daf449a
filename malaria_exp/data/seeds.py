"""What all training batches share: their protocol, where they begin, and the seeds of a step."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

import numpy as np

from malaria_exp.config.durations import RunLength
from malaria_exp.data.sampling import EpochCells, Sampling
from malaria_exp.data.subsets import Cells

if TYPE_CHECKING:
    import tensorflow as tf


# Returns the epoch and the step in it from which on batches are wanted, both from 0.
Position = Callable[[], tuple[int, int]]


class Batches(Protocol):
    """Endless training batches that depend on nothing but (seed, epoch, step), and on losses where they are sampled by them.

    Attributes:
        cells: the training cells.
        sampling: which of them an epoch holds.
        epoch_cells: the same, epoch by epoch; has the losses.
        length: of the run.
        batch_size: cells in a batch; all of them, if the subset is smaller than the batch asked for.
    """

    cells: Cells
    sampling: Sampling
    epoch_cells: EpochCells
    length: RunLength
    batch_size: int

    def dataset(self, start_epoch: int = 0, start_step: int = 0) -> "tf.data.Dataset":
        """Returns the batches from a step of an epoch on.

        Each is images float32 (B, size, size, 3) in [0, 1], labels float32 (B, 1) and, if cells are weighted, weights float32 (B,).
        """
        ...

    def epoch_under_way(self, at: Position) -> "tf.data.Dataset":
        """Returns what gives, each time it is iterated, the batches that are left of one epoch, from where `at` says.

        Sampling by losses needs it: an epoch's cells are chosen when the epoch before is done. Besides images and labels there are always
        weights, and each cell's place among the training cells, int32 (B,).
        """
        ...

    def reading(self) -> AbstractContextManager[None]:
        """Returns what a trainer wraps its reading in: where files are read, errors of reading them then say which file is damaged."""
        ...


def position(length: RunLength, epoch: int, step: int) -> tuple[int, int]:
    """Returns (epoch, step) with a step inside the epoch; the step after an epoch's last is the next one's first."""
    if epoch < 0 or step < 0:
        raise ValueError(f"Expected an epoch and a step from 0. Received: {epoch}, {step}")
    while step >= length.steps_in(epoch):
        epoch, step = epoch + 1, step - length.steps_in(epoch)
    return epoch, step


def starts(at: Position | int, step: int = 0) -> "tf.data.Dataset":
    """Returns (epoch, first step) of each epoch that is read, int64 () both.

    Args:
        at: the first of endless epochs; or, for one epoch alone, what says where it begins.
        step: the first of the first epoch.
    """
    import tensorflow as tf

    if callable(at):
        # Has no state for TensorFlow, which would otherwise not read ahead.
        now = tf.data.Dataset.range(1).map(
            lambda one: tf.numpy_function(lambda _: np.array(at(), np.int64), [one], tf.int64, stateful=False)
        )
        return now.map(lambda found: (tf.reshape(found[0], ()), tf.reshape(found[1], ())))
    epochs = tf.data.Dataset.range(at, np.iinfo(np.int64).max)
    return epochs.map(lambda epoch: (epoch, tf.where(epoch == at, tf.constant(step, tf.int64), 0)))


def steps_before(length: RunLength, epoch: "tf.Tensor") -> "tf.Tensor":
    """Returns `length.steps_before(epoch)`, int64 ()."""
    import tensorflow as tf

    if length.whole_epochs is None:
        return epoch * length.steps_per_epoch
    whole = tf.minimum(epoch, length.whole_epochs)
    return whole * length.steps_per_epoch + (epoch - whole) * length.later_steps


def steps_in(length: RunLength, epoch: "tf.Tensor") -> "tf.Tensor":
    """Returns `length.steps_in(epoch)`, int64 ()."""
    return steps_before(length, epoch + 1) - steps_before(length, epoch)


def seed_words(seed: int) -> "tf.Tensor":
    """Returns the seed of a run's training stream, int32 (2,): two words, so that every seed up to 2^64 is its own stream."""
    import tensorflow as tf

    return tf.constant(np.array([seed & 0xFFFFFFFF, seed >> 32], dtype=np.uint32).view(np.int32))


def step_seed(base: "tf.Tensor", epoch: "tf.Tensor", step: "tf.Tensor") -> "tf.Tensor":
    """Returns the seed that a step's augmentations draw from, int32 (2,)."""
    import tensorflow as tf

    # Shuffling uses fold_in(base, epoch) and what follows from it by 0; steps start at 1, so that no augmentation shares a stream.
    return tf.random.fold_in(tf.random.fold_in(base, epoch), step + 1)


def more_columns(weights: "tf.Tensor | None", places: "tf.Tensor", *, numbered: bool) -> tuple["tf.Tensor", ...]:
    """Returns what a batch has besides images and labels; see Batches.

    Args:
        weights: of all training cells, float32 (N,), if they have any.
        places: of the batch's cells among them, int32 (B,).
        numbered: whether the places are wanted, with weights in any case.
    """
    import tensorflow as tf

    own = None if weights is None else tf.gather(weights, places)
    if numbered:
        return tf.ones(places.shape) if own is None else own, places
    return () if own is None else (own,)


def to_unit(images: "tf.Tensor") -> "tf.Tensor":
    """Brings uint8 pixels to float32 in [0, 1]; the only place where pixels are scaled."""
    import tensorflow as tf

    return tf.cast(images, tf.float32) * (1 / 255)


def untuned(dataset: "tf.data.Dataset") -> "tf.data.Dataset":
    """Returns the pipeline without TensorFlow's tuner of threads and buffers, all of which are given numbers here.

    The tuner sleeps up to a minute between its looks, and closing a pipeline may wait until it wakes: two runs of three ended with a wait
    of ten seconds or more.
    """
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
