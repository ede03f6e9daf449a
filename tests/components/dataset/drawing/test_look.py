"""Looks: mostly the person's, and moved as a whole by another laboratory's stain."""

from dataclasses import asdict

import numpy as np
import pytest

from malaria_exp.components.dataset.drawing.look import COLORS, PALETTE, SHIFT, Look, draw_look

COLOR_FIELDS = ("cell", "background", "chromatin", "cytoplasm")


def look(person: int, slide: int = 0, field: int = 0, shift: float = 0.0) -> Look:
    person_rng, slide_rng, field_rng = (np.random.default_rng(key) for key in ([person, 0], [person, 1, slide], [person, 2, field]))
    return draw_look(person_rng, slide_rng, field_rng, shift)


def test_a_shift_moves_every_color_alike_and_nothing_else():
    for person in range(20):
        here, there = asdict(look(person)), asdict(look(person, shift=1.5))
        for name, value in here.items():
            if name in COLOR_FIELDS:
                assert there[name] - value == pytest.approx(1.5 * SHIFT, abs=1e-3)
            else:
                assert there[name] == value


def test_a_persons_photographs_are_more_alike_than_people():
    within = np.mean([np.std([look(person, field=field).cell for field in range(12)], axis=0) for person in range(30)])
    between = np.mean(np.std([look(person).cell for person in range(200)], axis=0))
    assert 1 < within < between / 3


def test_a_person_keeps_what_is_theirs_and_a_slide_what_is_its():
    first, photograph, slide = look(3), look(3, field=1), look(3, slide=1)
    for name in ("pallor", "rim", "roughness", "size", "lateness", "clefts", "strength"):
        assert getattr(first, name) == getattr(photograph, name) == getattr(slide, name)
    assert first.noise == photograph.noise != slide.noise
    assert len({first.softness, photograph.softness, slide.softness}) == 3


def test_background_is_lighter_and_chromatin_darker_than_the_cell():
    assert sum(row[3] for row in PALETTE) == pytest.approx(1)
    assert (COLORS[:, 1].mean(axis=1) > COLORS[:, 0].mean(axis=1)).all()
    for person in range(200):
        one = look(person)
        assert one.chromatin[1] < one.cytoplasm[1] < one.cell[1] < one.background[1]
