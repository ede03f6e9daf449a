"""Augmentations in a row: what one is, those that end before the run does, and those that treat copies of the cells."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from malaria_exp.config.durations import RunLength
from malaria_exp.utils.errors import ConfigError

if TYPE_CHECKING:
    import tensorflow as tf

# images (B, H, W, 3) float32 in [0, 1], labels (B, 1) float32 in [0, 1], seed (2,) int32 -> images, labels of the same shape.
Augment = Callable[["tf.Tensor", "tf.Tensor", "tf.Tensor"], tuple["tf.Tensor", "tf.Tensor"]]


@dataclass(frozen=True)
class Until:
    """An augmentation that ends before the run does.

    Attributes:
        augment: what is done until then.
        duration: from the beginning of the run, such as "60%" or "3 epochs"; later batches are left as they are.
    """

    augment: Augment
    duration: str


@dataclass(frozen=True)
class Copies:
    """An augmentation that makes an epoch longer: it holds every cell once for each of these.

    Attributes:
        augments: the k-th treats the k-th copy.
    """

    augments: tuple[Augment, ...]


Augmentation = Augment | Until | Copies


class Chain:
    """Augmentations in the order in which they run, each on a seed of its own.

    Attributes:
        copies: how often an epoch holds each cell.
    """

    def __init__(self, augmentations: Sequence[Augmentation]) -> None:
        self.augmentations = tuple(augmentations)
        numbers = [len(one.augments) for one in self.augmentations if isinstance(one, Copies)]
        if len(numbers) > 1:
            raise ConfigError("aug: received two augmentations that repeat the cells; expected at most one of them.")
        self.copies = numbers[0] if numbers else 1

    def __call__(
        self, images: "tf.Tensor", labels: "tf.Tensor", seed: "tf.Tensor", *, step: "tf.Tensor", copy: "tf.Tensor", length: RunLength
    ) -> tuple["tf.Tensor", "tf.Tensor"]:
        """Runs them all; one that changes a shape fails.

        Args:
            images: float32 (B, size, size, 3) in [0, 1].
            labels: float32 (B, 1) in [0, 1].
            seed: of the batch, int32 (2,).
            step: of the run, int64 (), from 0.
            copy: which of its cell's copies each image is, int (B,), below `copies`.
            length: of the run, which durations are parts of.
        """
        import tensorflow as tf

        shape, columns = images.shape, labels.shape
        for number, one in enumerate(self.augmentations):
            own = tf.random.fold_in(seed, number)
            if isinstance(one, Until):
                images, labels = _until(one, images, labels, own, step < length.unbounded_steps(one.duration))
            elif isinstance(one, Copies):
                images, labels = _each_copy(one, images, labels, own, copy)
            else:
                images, labels = one(images, labels, own)
            images, labels = tf.ensure_shape(images, shape), tf.ensure_shape(labels, columns)
        return images, labels


def _until(
    one: Until, images: "tf.Tensor", labels: "tf.Tensor", seed: "tf.Tensor", going_on: "tf.Tensor"
) -> tuple["tf.Tensor", "tf.Tensor"]:
    import tensorflow as tf

    treated: tuple[tf.Tensor, tf.Tensor] = tf.cond(going_on, lambda: one.augment(images, labels, seed), lambda: (images, labels))
    return treated


def _each_copy(
    one: Copies, images: "tf.Tensor", labels: "tf.Tensor", seed: "tf.Tensor", copy: "tf.Tensor"
) -> tuple["tf.Tensor", "tf.Tensor"]:
    import tensorflow as tf

    count = len(one.augments)
    which = tf.cast(copy, tf.int32)
    places = tf.dynamic_partition(tf.range(tf.shape(images)[0]), which, count)
    groups = zip(tf.dynamic_partition(images, which, count), tf.dynamic_partition(labels, which, count), strict=True)
    treated = [
        augment(*group, tf.random.fold_in(seed, number)) for number, (augment, group) in enumerate(zip(one.augments, groups, strict=True))
    ]
    stitched = [tf.dynamic_stitch(places, list(column)) for column in zip(*treated, strict=True)]
    return tf.reshape(stitched[0], tf.shape(images)), tf.reshape(stitched[1], tf.shape(labels))


NO_AUGMENTATION = Chain([])
