"""Look-alikes: each is seen, stays in its cell, and is no shortcut of its own."""

import numpy as np
import pytest

from malaria_exp.components.dataset.drawing import lookalikes
from malaria_exp.components.dataset.drawing.body import draw_body
from malaria_exp.components.dataset.drawing.look import draw_look
from malaria_exp.components.dataset.drawing.lookalikes import ANYWHERE, LOOKALIKES, ZONES, litter
from malaria_exp.components.dataset.drawing.pen import Pen, place

RADIUS = 62.0
THINGS = tuple(thing for thing, _ in LOOKALIKES)


def pen_of(seed: int, zone: tuple[float, float], dark: float = 0.8) -> Pen:
    person, slide, field = (np.random.default_rng([seed, stream]) for stream in range(3))
    look, rng = draw_look(person, slide, field), np.random.default_rng([seed, 9])
    canvas = draw_body(rng, look, RADIUS, softness=look.softness, noise=look.noise, odd_shape_fraction=0.5)
    y, x = place(rng, canvas, RADIUS, *zone)
    return Pen(canvas, rng, look, y, x, RADIUS, dark)


@pytest.mark.parametrize("thing", THINGS)
def test_a_lookalike_changes_pixels_inside_the_cell_only(thing):
    seen = []
    for seed in range(25):
        pen = pen_of(seed, ZONES.get(thing, ANYWHERE))
        before = pen.canvas.finish()
        thing(pen)
        after = pen.canvas.finish()
        inside = before.any(axis=-1)
        assert np.array_equal(after.any(axis=-1), inside)
        assert not (after != before)[~inside].any()
        seen.append((after != before).any())
    assert np.mean(seen) > 0.9


def test_shares_add_up_to_one_and_are_kept(monkeypatch):
    assert sum(share for _, share in LOOKALIKES) == pytest.approx(1)
    drawn = []
    named = tuple((lambda pen, name=thing.__name__: drawn.append(name), share) for thing, share in LOOKALIKES)
    monkeypatch.setattr(lookalikes, "LOOKALIKES", named)
    pen = pen_of(0, ANYWHERE)
    for _ in range(4000):
        litter(pen)
    for thing, share in LOOKALIKES:
        assert drawn.count(thing.__name__) / 4000 == pytest.approx(share, abs=0.025), thing.__name__
