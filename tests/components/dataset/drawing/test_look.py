"""Looks: mostly the patient's, partly the slide's and the photograph's."""

import numpy as np
import pytest

from malaria_exp.components.dataset.drawing.look import COLORS, PALETTE, Look, draw_look


def look(patient: int, slide: int = 0, field: int = 0) -> Look:
    return draw_look(*(np.random.default_rng(key) for key in ([patient, 0], [patient, 1, slide], [patient, 2, field])))


def test_a_patients_photographs_are_more_alike_than_patients():
    within = np.mean([np.std([look(patient, field=field).cell for field in range(12)], axis=0) for patient in range(30)])
    between = np.mean(np.std([look(patient).cell for patient in range(200)], axis=0))
    assert 1 < within < between / 3


def test_a_patient_keeps_its_looks_and_a_slide_what_is_its():
    first, photograph, slide = look(3), look(3, field=1), look(3, slide=1)
    for name in ("pallor", "rim", "roughness", "size", "lateness", "clefts", "strength"):
        assert getattr(first, name) == getattr(photograph, name) == getattr(slide, name)
    assert first.noise == photograph.noise != slide.noise
    assert len({first.softness, photograph.softness, slide.softness}) == 3


def test_background_is_lighter_and_chromatin_darker_than_the_cell():
    assert sum(row[3] for row in PALETTE) == pytest.approx(1)
    assert (COLORS[:, 1].mean(axis=1) > COLORS[:, 0].mean(axis=1)).all()
    for patient in range(200):
        one = look(patient)
        assert one.chromatin[1] < one.cytoplasm[1] < one.cell[1] < one.background[1]
