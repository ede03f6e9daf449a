"""What mixup, cutmix and mix have in common: partners, fractions, and labels that follow the pixels."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from malaria_exp.components.aug._geometry import paste
from malaria_exp.components.aug._per_image import Draws
from malaria_exp.data.augmentation_chain import Augmentation, Until

if TYPE_CHECKING:
    import tensorflow as tf

Per = Literal["pair", "batch"]


class Mixer:
    """Random numbers for mixing a batch: which images are mixed, and how much.

    Every image has one partner and is the partner of one other image; only in a batch of one it is its own.

    Args:
        seed: of the batch, int32 (2,).
        count: number of images, int32 ().
        per: "pair" to draw fractions, boxes and whether to mix for each pair, "batch" to draw them once for all.
    """

    def __init__(self, seed: "tf.Tensor", count: "tf.Tensor", per: Per) -> None:
        import tensorflow as tf

        self._count = count
        partners, numbers = (tf.random.fold_in(seed, stream) for stream in (0, 1))
        order = tf.random.experimental.stateless_shuffle(tf.range(count), partners)
        self.partner = tf.scatter_nd(order[:, None], tf.roll(order, -1, 0), tf.shape(order))
        self._draws = Draws(numbers, count if per == "pair" else tf.constant(1))

    def uniform(self) -> "tf.Tensor":
        """Returns random numbers of [0, 1), float32 (B,)."""
        return self._spread(self._draws.uniform())

    def fractions(self, alpha: float, beta: float) -> "tf.Tensor":
        """Returns the fraction that each image keeps of itself, drawn from Beta(alpha, beta), float32 (B,)."""
        return self._spread(self._draws.beta(alpha, beta))

    def mixup(
        self, images: "tf.Tensor", labels: "tf.Tensor", fractions: "tf.Tensor", chosen: "tf.Tensor"
    ) -> tuple["tf.Tensor", "tf.Tensor"]:
        """Returns the chosen images, bool (B,), and their labels as weighted sums with their partners'."""
        import tensorflow as tf

        fractions = tf.where(chosen, fractions, 1.0)
        own = fractions[:, None, None, None]
        return own * images + (1 - own) * tf.gather(images, self.partner), self._labels(labels, 1 - fractions, labels)

    def cutmix(
        self,
        images: "tf.Tensor",
        labels: "tf.Tensor",
        fractions: "tf.Tensor",
        chosen: "tf.Tensor",
        partners: tuple["tf.Tensor", "tf.Tensor"] | None = None,
    ) -> tuple["tf.Tensor", "tf.Tensor"]:
        """Returns the chosen images, bool (B,), with a box of their partners' pixels, and labels mixed by the fraction that was pasted.

        Pixels and labels come from `partners` (images, labels), or from the images themselves.

        The box has the image's proportions and the area 1 - fraction. Its middle may be anywhere in the image, and the box is cut off at
        the edge: then less is pasted, and less of the partner's label counts.
        """
        import tensorflow as tf

        edge = tf.cast(tf.shape(images)[1], tf.float32)
        half = tf.sqrt(1 - fractions) * edge / 2
        y, x = self.uniform() * edge, self.uniform() * edge
        top, bottom, left, right = (
            tf.cast(tf.round(tf.clip_by_value(line, 0.0, edge)), tf.int32) for line in (y - half, y + half, x - half, x + half)
        )
        pasted = tf.cast((bottom - top) * (right - left), tf.float32) / (edge * edge)
        others, other_labels = partners or (images, labels)
        mixed = paste(images, tf.gather(others, self.partner), chosen, top, bottom, left, right)
        return mixed, self._labels(labels, tf.where(chosen, pasted, 0.0), other_labels)

    def _labels(self, labels: "tf.Tensor", of_partner: "tf.Tensor", others: "tf.Tensor") -> "tf.Tensor":
        import tensorflow as tf

        theirs = of_partner[:, None]
        return (1 - theirs) * labels + theirs * tf.gather(others, self.partner)

    def _spread(self, numbers: "tf.Tensor") -> "tf.Tensor":
        import tensorflow as tf

        return tf.broadcast_to(numbers, self._count[None])


def mixing(mix: Callable[[Mixer, "tf.Tensor", "tf.Tensor"], tuple["tf.Tensor", "tf.Tensor"]], per: Per, until: str | None) -> Augmentation:
    """Returns an augmentation that mixes a batch.

    Args:
        mix: returns mixed images and labels of a Mixer for the batch, its images and its labels.
        per: see Mixer.
        until: the duration after which mixing ends; None for never.
    """

    def augment(images: "tf.Tensor", labels: "tf.Tensor", seed: "tf.Tensor") -> tuple["tf.Tensor", "tf.Tensor"]:
        import tensorflow as tf

        return mix(Mixer(seed, tf.shape(images)[0], per), images, labels)

    return augment if until is None else Until(augment, until)
