"""What all training batches share: their protocol, the position of a step, and its seeds."""

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

import numpy as np

from malaria_exp.data.subsets import Cells

if TYPE_CHECKING:
    import tensorflow as tf


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


def untuned(dataset: "tf.data.Dataset") -> "tf.data.Dataset":
    """Returns the pipeline without TensorFlow's tuner of threads and buffers, all of which are given numbers here.

    The tuner sleeps up to a minute between its looks, and closing a pipeline may wait until it wakes: two runs of three ended with a wait
    of ten seconds or more.
    """
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
