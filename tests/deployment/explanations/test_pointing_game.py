import numpy as np
import pytest

from malaria_exp.config.registry import build
from malaria_exp.data.resize import ResizeRule
from malaria_exp.deployment.explanations.pointing_game import Target, hit_rate

RULE = ResizeRule(40, "pad")


@pytest.fixture
def target():
    image = np.zeros((80, 60, 3), np.uint8)
    image[10:70, 5:55] = 180
    parasites = np.zeros((80, 60), bool)
    parasites[20:30, 30:40] = True
    return Target(image, parasites)


def test_only_the_strongest_place_within_the_cell_counts(target):
    # The cell is 80 pixels high: in the square of 40 a pixel is two of its own, and ten are beside it on either side.
    values = np.zeros((40, 40))
    values[12, 22] = 1
    assert target.hit(values, RULE)
    values[12, 22], values[30, 15] = 0.5, 0.6
    assert not target.hit(values, RULE)
    # Outside of the cell nothing is compared.
    values[30, 15], values[0, 0] = 0, 9
    assert target.hit(values, RULE)


def test_what_speaks_against_is_no_hit(target):
    values = np.zeros((40, 40))
    values[12, 22] = -5
    assert not target.hit(values, RULE)


def test_chance_is_the_rate_of_random_places(target):
    rng = np.random.default_rng(0)
    places = np.argwhere(target.image.max(axis=2) > 0)
    drawn = places[rng.integers(0, len(places), 4000)]
    assert target.chance(RULE) == pytest.approx(target.wide(RULE)[tuple(drawn.T)].mean(), abs=0.02)


def test_the_interval_is_that_of_the_patients():
    hits = np.array([True] * 20 + [False] * 20)
    keys = {"resamples": 50, "confidence": 0.95, "seed": 0}
    method = build("interval", "clustered", {})
    alike = hit_rate(hits, np.tile([f"P{number}" for number in range(10)], 4), method, **keys)
    split = hit_rate(hits, np.repeat([f"P{number}" for number in range(10)], 4), method, **keys)
    assert alike["value"] == split["value"] == 0.5
    assert split["high"] - split["low"] > 1.5 * (alike["high"] - alike["low"])
    assert hit_rate(hits, np.full(40, "P1"), method, **keys)["low"] is None
