"""What mixup, cutmix and mix share: partners, shares, and labels that follow the pixels."""

from typing import TYPE_CHECKING, Literal

from malaria_exp.components.aug._boxes import paste
from malaria_exp.components.aug._draws import Draws
from malaria_exp.data.augmentation_chain import Augment, Augmentation, Until

if TYPE_CHECKING:
    import tensorflow as tf

Per = Literal["pair", "batch"]


class Mixer:
    """The draws of a batch's mixing: who is mixed with whom, and how much.

    Every image has one partner and is the partner of one; none is its own, but in a batch of one.

    Args:
        seed: of the batch, int32 (2,).
        count: number of images, int32 ().
        per: whether shares, boxes and whether to mix at all are drawn for each pair, or once for the batch.
    """

    def __init__(self, seed: "tf.Tensor", count: "tf.Tensor", per: Per) -> None:
        import tensorflow as tf

        self._count = count
        partners, numbers = (tf.random.fold_in(seed, stream) for stream in (0, 1))
        order = tf.random.experimental.stateless_shuffle(tf.range(count), partners)
        self.partner = tf.scatter_nd(order[:, None], tf.roll(order, -1, 0), tf.shape(order))
        self._draws = Draws(numbers, count if per == "pair" else tf.constant(1))

    def uniform(self) -> "tf.Tensor":
        """Returns numbers of [0, 1), float32 (B,)."""
        return self._spread(self._draws.uniform())

    def shares(self, alpha: float, beta: float) -> "tf.Tensor":
        """Returns what each image keeps of itself, drawn from Beta(alpha, beta), float32 (B,)."""
        return self._spread(self._draws.beta(alpha, beta))

    def mixup(self, images: "tf.Tensor", labels: "tf.Tensor", shares: "tf.Tensor", chosen: "tf.Tensor") -> tuple["tf.Tensor", "tf.Tensor"]:
        """Returns the chosen images, bool (B,), and their labels as weighted sums with their partners'."""
        import tensorflow as tf

        shares = tf.where(chosen, shares, 1.0)
        own = shares[:, None, None, None]
        return own * images + (1 - own) * tf.gather(images, self.partner), self._labels(labels, 1 - shares, labels)

    def cutmix(
        self,
        images: "tf.Tensor",
        labels: "tf.Tensor",
        shares: "tf.Tensor",
        chosen: "tf.Tensor",
        partners: tuple["tf.Tensor", "tf.Tensor"] | None = None,
    ) -> tuple["tf.Tensor", "tf.Tensor"]:
        """Returns the chosen images, bool (B,), with a box of their partners' pixels, and labels mixed by the part that was pasted.

        Partners are taken from the same images and labels, or from those given.

        The box has the image's proportions and the area 1 - share. Its middle lies anywhere in the image, and what reaches over the edge
        is cut off: the pasted part is smaller than the box then, and so is the partner's part of the label.
        """
        import tensorflow as tf

        edge = tf.cast(tf.shape(images)[1], tf.float32)
        half = tf.sqrt(1 - shares) * edge / 2
        y, x = self.uniform() * edge, self.uniform() * edge
        top, bottom, left, right = (
            tf.cast(tf.round(tf.clip_by_value(line, 0.0, edge)), tf.int32) for line in (y - half, y + half, x - half, x + half)
        )
        part = tf.cast((bottom - top) * (right - left), tf.float32) / (edge * edge)
        others, other_labels = partners or (images, labels)
        mixed = paste(images, tf.gather(others, self.partner), chosen, top, bottom, left, right)
        return mixed, self._labels(labels, tf.where(chosen, part, 0.0), other_labels)

    def _labels(self, labels: "tf.Tensor", of_partner: "tf.Tensor", others: "tf.Tensor") -> "tf.Tensor":
        import tensorflow as tf

        theirs = of_partner[:, None]
        return (1 - theirs) * labels + theirs * tf.gather(others, self.partner)

    def _spread(self, numbers: "tf.Tensor") -> "tf.Tensor":
        import tensorflow as tf

        return tf.broadcast_to(numbers, self._count[None])


def ended(augment: Augment, until: str | None) -> Augmentation:
    """Returns the augmentation, ending after the given part of the run if there is one."""
    return augment if until is None else Until(augment, until)
