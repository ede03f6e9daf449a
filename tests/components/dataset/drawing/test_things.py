"""Parasites and look-alikes: each is seen and stays in its cell; parasites look like their stage."""

import numpy as np
import pytest

from malaria_exp.components.dataset.drawing import forms, lookalikes
from malaria_exp.components.dataset.drawing.body import draw_body
from malaria_exp.components.dataset.drawing.canvas import Canvas
from malaria_exp.components.dataset.drawing.forms import EARLY, LATE, clefts
from malaria_exp.components.dataset.drawing.look import Look, draw_look
from malaria_exp.components.dataset.drawing.lookalikes import LOOKALIKES, litter
from malaria_exp.components.dataset.drawing.pen import Pen, place

RADIUS = 62.0
FORMS = (*(form for form, _ in EARLY + LATE), clefts)
THINGS = (*FORMS, *(thing for thing, _ in LOOKALIKES))


def look_of(seed: int) -> Look:
    return draw_look(*(np.random.default_rng([seed, stream]) for stream in range(3)))


def empty_cell(seed: int, *, noise: float = 1.0, softness: float = 2.5) -> tuple[Canvas, np.random.Generator, Look]:
    look, rng = look_of(seed), np.random.default_rng([seed, 9])
    return draw_body(rng, look, RADIUS, softness=softness, noise=noise, odd_shape_fraction=0.5), rng, look


def painted(thing, seed: int, dark: float = 0.9, **how: float) -> tuple[np.ndarray, np.ndarray, Canvas]:
    """The cell before and after, and its canvas."""
    canvas, rng, look = empty_cell(seed, **how)
    before = canvas.finish()
    module = forms if thing in FORMS else lookalikes
    zone = module.ZONES.get(thing, module.ANYWHERE)
    y, x = place(rng, canvas, RADIUS, *zone) if thing is not clefts else canvas.center
    thing(Pen(canvas, rng, look, y, x, RADIUS, dark))
    return before, canvas.finish(), canvas


@pytest.mark.parametrize("thing", THINGS)
def test_a_thing_changes_pixels_inside_the_cell_only(thing):
    seen = []
    for seed in range(25):
        before, after, _ = painted(thing, seed)
        inside = before.any(axis=-1)
        assert np.array_equal(after.any(axis=-1), inside)
        assert not (after != before)[~inside].any()
        seen.append((after != before).any())
    assert all(seen) if thing in FORMS else np.mean(seen) > 0.9


@pytest.mark.parametrize("form", FORMS)
def test_an_unstained_form_is_not_there(form):
    before, after, _ = painted(form, 1, dark=0.0)
    assert np.array_equal(before, after)


def test_fractions_add_up_to_one():
    for things in (EARLY, LATE, LOOKALIKES):
        assert sum(fraction for _, fraction in things) == pytest.approx(1)


def test_lookalikes_come_at_their_fractions(monkeypatch):
    painted_names = []
    named = tuple((lambda pen, name=thing.__name__: painted_names.append(name), fraction) for thing, fraction in LOOKALIKES)
    monkeypatch.setattr(lookalikes, "LOOKALIKES", named)
    canvas, rng, look = empty_cell(0)
    for _ in range(4000):
        litter(Pen(canvas, rng, look, *canvas.center, RADIUS, 0.8))
    for thing, fraction in LOOKALIKES:
        assert painted_names.count(thing.__name__) / 4000 == pytest.approx(fraction, abs=0.025), thing.__name__
