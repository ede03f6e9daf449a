"""The report warns where an interval rests on too few patients."""

import numpy as np
import pytest
from evaluation_settings import SETTINGS

from malaria_exp.evaluation.evaluate import evaluate
from malaria_exp.evaluation.predictions import Predictions
from malaria_exp.evaluation.summary import cautions


@pytest.mark.parametrize(
    ("infected", "healthy", "said"),
    [
        (1, 6, "one infected patient only"),
        (2, 6, "only 2 infected patients"),
        (2, 1, "only 3 patient(s)"),
        (4, 1, None),
    ],
)
def test_few_patients_are_said(infected, healthy, said):
    patient = np.repeat(np.arange(infected + healthy), 10)
    label = ((patient < infected) & (np.arange(len(patient)) % 2 == 0)).astype(int)
    score = np.clip(0.3 + 0.4 * label + np.random.default_rng(0).normal(0, 0.2, len(patient)), 0, 1)
    names = patient.astype(str)
    cells = Predictions(np.arange(len(patient)).astype(str), names, names, label, score, np.full(len(patient), "val"))
    found = [note for note in cautions(evaluate(cells, **SETTINGS), nih=False) if "patient" in note and note.startswith("val:")]
    assert len(found) == (said is not None)
    assert said is None or said in found[0]
