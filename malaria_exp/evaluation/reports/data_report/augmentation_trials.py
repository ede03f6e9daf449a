"""What running an augmentation shows: several draws, series over the values of its keys, and who is mixed with whom."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, get_args, get_origin

import numpy as np

from malaria_exp.config.durations import RunLength
from malaria_exp.config.registry import build, component
from malaria_exp.config.validation import Range
from malaria_exp.data.augmentation_chain import Augmentation, Chain
from malaria_exp.evaluation.plots.augmentation import Draw, Pair, ValueSeries
from malaria_exp.utils.errors import UserError

DRAWS, MOST_COPIES = 4, 6
VALUES = 6
# A key without an upper bound takes these multiples of its value.
MULTIPLES = (0, 0.25, 0.5, 1, 2, 4, 8)
TWINS = 4
PAIRS = 8
# A weight below it rounds to nothing in print.
LEAST_WEIGHT = 0.005


@dataclass(frozen=True, eq=False)
class Subjects:
    """Cells to be treated.

    Attributes:
        images: float32 (n, size, size, 3) in [0, 1].
        labels: float32 (n,), 0 or 1.
        length: of the run, as some durations are fractions of it.
        seed: of the run.
    """

    images: np.ndarray
    labels: np.ndarray
    length: RunLength
    seed: int


class TriedOption:
    """An option of aug with its parameters. It treats cells as a run with this option alone would at its first step.

    Args:
        name: of the option.
        params: its parameters; those not given have their defaults.
        subjects: what is treated.

    Raises:
        UserError: it cannot be built, for instance because a package is missing.
    """

    def __init__(self, name: str, params: Mapping[str, Any], subjects: Subjects) -> None:
        self.name, self.subjects = name, subjects
        self.params = {key: parameter.default for key, parameter in component("aug", name).parameters.items()} | dict(params)
        self.chain = Chain([self._build(self.params)])

    @cached_property
    def draws(self) -> list[Draw]:
        """Several draws of the same cells; where it treats copies, one draw of each."""
        copies = self.chain.copies
        found = []
        for number in range(min(copies, MOST_COPIES) if copies > 1 else DRAWS):
            draw, copy = (0, number) if copies > 1 else (number, 0)
            images, labels = self._treat(self.chain, self.subjects.images, self.subjects.labels, draw, copy)
            found.append(Draw(f"copy {number + 1}" if copies > 1 else f"draw {number + 1}", images, labels))
        return found

    def changes_labels(self) -> bool:
        """Returns whether labels change; if all cells have one class, half of them are given the other label to see it."""
        if len(np.unique(self.subjects.labels)) > 1:
            return any(not np.array_equal(draw.labels, self.subjects.labels) for draw in self.draws)
        labels = (np.arange(len(self.subjects.images)) % 2).astype(np.float32)
        return any(not np.array_equal(self._treat(self.chain, self.subjects.images, labels, number)[1], labels) for number in range(DRAWS))

    def series(self) -> list[ValueSeries]:
        """Returns one cell under several values of each numeric key, all else as it is but a probability p of 1.

        A key whose values change the picture too rarely is passed over, such as one that merely decides which images are treated.
        """
        images, labels = self.subjects.images, self.subjects.labels
        partner = int(np.argmax(labels != labels[0])) or min(1, len(labels) - 1)
        # The same cell several times, as each place in a batch has its own random draws, and at least once for each treatment of copies.
        # Mixing may choose the same cell as partner, so more of them are needed to see anything.
        twins = max(TWINS * (2 if self.changes_labels() else 1), min(self.chain.copies, MOST_COPIES))
        batch = np.stack([images[0], images[partner]] * twins)
        mixed = np.array([labels[0], labels[partner]] * twins, np.float32)
        base = self.params | ({"p": 1.0} if "p" in self.params else {})
        found = []
        for key, parameter in component("aug", self.name).parameters.items():
            treated = {}
            for value in series_values(parameter.annotation, self.params[key]):
                try:
                    chain = Chain([self._build(base | {key: value})])
                except UserError:
                    continue  # not allowed beside the other keys
                treated[value] = self._treat(chain, batch, mixed, 0, np.arange(2 * twins) // 2 % chain.copies)
            if len(treated) < 3:
                continue
            every = np.stack([one[0][::2] for one in treated.values()])
            # Best shown by the twin that changes most along the values and is little changed at the least of them.
            least = np.abs(every - images[0]).mean(axis=(2, 3, 4)).min(axis=0)
            twin = int(np.argmax(np.ptp(every, axis=0).mean(axis=(1, 2, 3)) - least))
            if len({picture.tobytes() for picture in np.rint(every[:, twin] * 255)}) >= max(3, -(-len(treated) // 2)):
                texts = [f"{value:.3g}{' (set)' if value == self.params[key] else ''}" for value in treated]
                own_labels = np.array([one[1][2 * twin] for one in treated.values()])
                found.append(ValueSeries(key, texts, every[:, twin], own_labels, images[0]))
        return found

    def pairs(self) -> tuple[list[Pair], np.ndarray]:
        """Returns the most evenly mixed pairs of some batches, and the partners' fractions of all labels in them.

        Random draws depend on nothing but the seed, so each cell's fraction of each label is found by treating the same batch with the
        label 1 for that cell alone.

        Returns:
            At most PAIRS pairs, most evenly mixed first, and the weights, float64 (m,).
        """
        images, labels = self.subjects.images, self.subjects.labels
        pairs, weights = [], []
        for number in range(DRAWS):
            mixed, new_labels = self._treat(self.chain, images, labels, number)
            fractions = self._fractions(number)
            for own in range(len(images)):
                of_others = np.where(np.arange(len(images)) == own, 0, fractions[own])
                partner = int(np.argmax(of_others))
                weight = float(of_others[partner])
                weights.append(weight)
                if weight >= LEAST_WEIGHT:
                    facts = (float(labels[own]), float(labels[partner]), float(new_labels[own]), weight)
                    pairs.append(Pair(images[own], images[partner], mixed[own], *facts))
        # Pairs of unlike labels say the most.
        pairs.sort(key=lambda pair: (pair.own_label == pair.partner_label, abs(pair.weight - 0.5)))
        return pairs[:PAIRS], np.array(weights)

    def _fractions(self, number: int) -> np.ndarray:
        """Returns the fraction of cell i's label that comes from cell j, float32 (n, n)."""
        images = self.subjects.images
        without = self._treat(self.chain, images, np.zeros(len(images), np.float32), number)[1]
        columns = [self._treat(self.chain, images, one_hot, number)[1] - without for one_hot in np.eye(len(images), dtype=np.float32)]
        return np.stack(columns, axis=1)

    def _build(self, params: Mapping[str, Any]) -> Augmentation:
        made: Augmentation = build("aug", self.name, params, path=f"aug.{self.name}")
        return made

    def _treat(
        self, chain: Chain, images: np.ndarray, labels: np.ndarray, number: int, copy: int | np.ndarray = 0
    ) -> tuple[np.ndarray, np.ndarray]:
        """Treats a batch with the seed of draw `number`; returns images and labels, float32 (n, size, size, 3) and (n,)."""
        import tensorflow as tf

        from malaria_exp.data.seeds import seed_words

        # Training folds in its epochs' numbers. No epoch has this number, so no picture shows what a batch of the training will be.
        seed = tf.random.fold_in(tf.random.fold_in(seed_words(self.subjects.seed), np.iinfo(np.int32).max), number)
        treated, new_labels = chain(
            tf.constant(images),
            tf.constant(labels[:, None]),
            seed,
            step=tf.constant(0, tf.int64),
            copy=tf.constant(np.broadcast_to(np.int64(copy), len(images))),
            length=self.subjects.length,
        )
        return treated.numpy(), new_labels.numpy()[:, 0]


def series_values(annotation: Any, current: Any) -> list[float]:
    """Returns values of a key for a series, ascending; none if it is no number with a range.

    A range with two ends is crossed from end to end; one with a single end gets multiples of the current value. Whole numbers are
    counted from the lowest.

    Args:
        annotation: of the key.
        current: its value.
    """
    kind, limits = _number_with_range(annotation)
    if kind is None or limits is None or isinstance(current, bool) or not isinstance(current, int | float):
        return []
    if kind is int:
        low = limits.low if limits.low is not None else (limits.above or 0) + 1
        values = [low + step for step in range(VALUES)]
        return [int(value) for value in values if limits.holds(value)]
    bottom = limits.low if limits.low is not None else limits.above
    top = limits.high if limits.high is not None else limits.below
    if bottom is not None and top is not None:
        # An end that does not belong to the range is dropped.
        open_bottom, open_top = limits.low is None, limits.high is None
        grid = np.linspace(bottom, top, VALUES + open_bottom + open_top)
        values = grid[open_bottom : len(grid) - open_top].tolist()
        # The current value replaces the nearest one.
        values[int(np.argmin(np.abs(np.array(values) - current)))] = float(current)
    else:
        scale = abs(current) or 1.0
        values = sorted({float(f"{scale * multiple:.4g}") for multiple in MULTIPLES} | ({limits.low} if limits.low is not None else set()))
    return [float(value) for value in values if limits.holds(value)][:VALUES]


def _number_with_range(annotation: Any) -> tuple[type | None, Range | None]:
    """Returns int or float and the range of an annotation such as Probability, also where null is allowed beside it."""
    for one in (annotation, *get_args(annotation)):
        if get_origin(one) is Annotated:
            kind, *rules = get_args(one)
            limits = next((rule for rule in rules if isinstance(rule, Range)), None)
            if kind in (int, float) and limits is not None:
                return kind, limits
    return None, None
