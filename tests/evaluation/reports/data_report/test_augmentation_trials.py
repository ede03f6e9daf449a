"""What trying an augmentation shows is what it does: partners and weights, copies, and series over its keys."""

import numpy as np
import pytest

from malaria_exp.config.durations import RunLength
from malaria_exp.config.registry import component, options
from malaria_exp.config.validation import Probability, Range, check
from malaria_exp.evaluation.reports.data_report.augmentation_trials import Subjects, TriedOption, series_values


def subjects(count=8, size=16):
    rng = np.random.default_rng(0)
    return Subjects(rng.random((count, size, size, 3), np.float32), (np.arange(count) % 2).astype(np.float32), RunLength(5, 10, count), 3)


@pytest.mark.parametrize("name", ["mixup", "cutmix", "mix"])
def test_partners_and_weights_are_those_of_the_pixels(name):
    tried = TriedOption(name, {}, subjects())
    assert tried.changes_labels()
    pairs, weights = tried.pairs()
    assert len(pairs) == 8
    assert weights.min() >= 0 and weights.max() <= 1
    for pair in pairs:
        assert pair.label == pytest.approx((1 - pair.weight) * pair.own_label + pair.weight * pair.partner_label, abs=1e-5)
        # Each pixel lies between the two that it was made of, and as far from its own on average as the label is.
        low, high = np.minimum(pair.own, pair.partner), np.maximum(pair.own, pair.partner)
        assert ((pair.mixed >= low - 1e-5) & (pair.mixed <= high + 1e-5)).all()
        moved = np.abs(pair.mixed - pair.own) / np.maximum(np.abs(pair.partner - pair.own), 1e-3)
        assert moved.mean() == pytest.approx(pair.weight, abs=0.03)


def test_what_changes_no_label_is_not_taken_for_mixing():
    for name in ("dihedral", "color", "erasing", "repeat5"):
        assert not TriedOption(name, {}, subjects()).changes_labels()


def test_every_copy_is_treated():
    draws = TriedOption("repeat5", {}, subjects()).draws
    assert [draw.name for draw in draws] == [f"copy {number}" for number in range(1, 6)]
    assert len({draw.images.tobytes() for draw in draws}) == 5


def test_a_series_changes_one_key_of_one_cell_and_probabilities_have_none():
    given = subjects()
    found = {one.key: one for one in TriedOption("color", {"brightness": 0.3}, given).series()}
    assert set(found) == {"brightness", "contrast", "saturation", "hue"}
    assert [float(value.split()[0]) for value in found["brightness"].values] == pytest.approx([0, 0.3, 0.4, 0.6, 0.8, 1])
    assert "0.3 (set)" in found["brightness"].values
    for series in found.values():
        assert np.array_equal(series.original, given.images[0])
    assert not TriedOption("dihedral", {}, given).series()
    # Each key of it acts on one of the copies only.
    assert {"saturation", "brightness", "contrast"} <= {one.key for one in TriedOption("repeat5", {}, given).series()}


@pytest.mark.parametrize(
    ("annotation", "current", "expected"),
    [
        (Probability, 0.5, [0, 0.2, 0.5, 0.6, 0.8, 1]),
        (Range, 1.0, []),
        (str, "a", []),
        (bool, True, []),
        (float, 0.5, []),
        (list[str], [], []),
    ],
)
def test_values_of_a_series(annotation, current, expected):
    assert series_values(annotation, current) == pytest.approx(expected)


def test_values_of_every_numeric_key_of_aug_are_allowed():
    counted = 0
    for name in options("aug"):
        for key, parameter in component("aug", name).parameters.items():
            values = series_values(parameter.annotation, parameter.default)
            counted += bool(values)
            assert values == sorted(set(values))
            assert len(values) in (0, *range(3, 7))
            for value in values:
                check(key, value, parameter.annotation)
    assert counted > 20
