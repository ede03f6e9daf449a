"""Looks: mostly the patient's, partly the slide's and the photograph's."""

import numpy as np

from malaria_exp.components.dataset.drawing.look import Look, draw_look


def look(patient: int, slide: int = 0, field: int = 0) -> Look:
    return draw_look(*(np.random.default_rng(key) for key in ([patient, 0], [patient, 1, slide], [patient, 2, field])))


def test_a_patient_keeps_its_looks_and_a_slide_what_is_its():
    first, photograph, slide = look(3), look(3, field=1), look(3, slide=1)
    for name in ("pallor", "rim", "roughness", "size", "lateness", "clefts", "strength"):
        assert getattr(first, name) == getattr(photograph, name) == getattr(slide, name)
    assert first.noise == photograph.noise != slide.noise
    assert len({first.softness, photograph.softness, slide.softness}) == 3
