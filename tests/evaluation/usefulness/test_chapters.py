import numpy as np
import pytest
from clustered_cells import clustered_cells

from malaria_exp.config.registry import build
from malaria_exp.evaluation.predictions import Predictions
from malaria_exp.evaluation.reports.usefulness_chapter import subgroup_sentences, use_sentences
from malaria_exp.evaluation.usefulness.chapters import CHAPTERS, further_chapters
from malaria_exp.evaluation.usefulness.conformal import conformal_threshold, patients_needed
from malaria_exp.evaluation.usefulness.decision_curve import decision_curve
from malaria_exp.evaluation.usefulness.risk_coverage import certainty, risk_curve

SETTINGS = {"interval": build("interval", "clustered", {}), "resamples": 20, "confidence": 0.95, "seed": 0}


def predictions(seed=0, patients=30):
    labels, scores, patient = clustered_cells(np.random.default_rng(seed), patients=patients)
    rows = np.arange(len(labels)).astype(str)
    return Predictions(rows, patient, patient, labels, scores, np.full(len(labels), "test"))


def test_every_chapter_of_a_result_can_be_put_into_words():
    cells = predictions()
    found = further_chapters(cells, 0.5, [predictions(1)], **SETTINGS)
    assert tuple(found) == CHAPTERS
    errors = found["risk_coverage"]["rows"]
    assert errors[0]["answered"] == len(cells)
    assert [row["error"]["value"] for row in errors] == sorted((row["error"]["value"] for row in errors), reverse=True)
    assert found["risk_coverage"]["aurc_best"] < found["risk_coverage"]["aurc"] < errors[0]["error"]["value"]
    assert errors[0]["error"]["low"] < errors[0]["error"]["value"] < errors[0]["error"]["high"]
    rate = {"value": 0.9, "low": 0.8, "high": 0.95}
    words = subgroup_sentences(found["subgroups"], {"sensitivity": rate, "specificity": rate}) + use_sentences(found)
    assert all(answer.endswith(".") for _, answer in words)


def test_a_bound_that_cannot_be_promised_is_refused_in_words():
    part = further_chapters(predictions(), 0.5, [predictions(1, patients=10)], **SETTINGS)
    promise = dict(use_sentences(part))["Can it promise to miss few parasites?"]
    assert "at most 5% or 10% of a new patient's parasitized cells are missed: that takes 19 or 9 infected patients" in promise
    assert "there are 8" in promise or "there are 7" in promise


def test_unknown_patients_have_no_groups_no_bound_and_no_band():
    cells = predictions()
    nobody = Predictions(cells.cell_id, *[np.full(len(cells), "unknown")] * 2, cells.label, cells.score, cells.subset)
    found = further_chapters(nobody, 0.5, [nobody], **SETTINGS)
    assert found["subgroups"] is None
    assert found["conformal"] is None
    assert found["decision_curve"]["rows"][0]["net_benefit"]["low"] is None


def test_cells_of_equal_certainty_are_answered_together_whatever_their_order():
    wrong, sure = np.array([True, False, False, True]), np.array([1.0, 3.0, 1.0, 2.0])
    coverage, risk = risk_curve(wrong, sure)
    assert coverage == pytest.approx([0.25, 0.5, 1])
    assert risk == pytest.approx([0, 0.5, 0.5])
    assert certainty(np.array([0.2, 1.0]), np.array([0.2, 0.9]))[0] == 0


@pytest.mark.parametrize(("alpha", "needed"), [(0.05, 19), (0.1, 9), (0.5, 1)])
def test_too_few_patients_can_promise_nothing(alpha, needed):
    assert patients_needed(alpha) == needed
    patients = np.arange(needed).astype(str)
    scores = np.linspace(0.5, 1, needed)
    assert conformal_threshold(np.ones(needed), scores, patients, alpha) is not None
    assert conformal_threshold(np.ones(needed - 1), scores[1:], patients[1:], alpha) is None


def test_the_bound_on_misses_holds_on_average_over_draws_of_patients():
    rng, missed = np.random.default_rng(4), []
    for _ in range(400):
        # The spread between patients is large, and some have few cells: a bound over cells would fail.
        patient = np.repeat(np.arange(31), rng.integers(2, 40, 31))
        scores = 1 / (1 + np.exp(-(2 + rng.normal(0, 1.5, 31)[patient] + rng.normal(0, 1, len(patient)))))
        old = patient < 30
        threshold = conformal_threshold(np.ones(old.sum()), scores[old], patient[old], 0.1)
        missed.append(np.mean(scores[~old] < threshold))
    assert 0.06 < np.mean(missed) < 0.115


def test_the_decision_curve_is_net_benefit_by_its_definition():
    cells = predictions()
    curve = decision_curve(cells.label, cells.score, cells.patient, confidence=0.95)
    for place in (4, 49, 90):
        at = curve.threshold[place]
        chosen = cells.score >= at
        by_hand = (np.sum(chosen & (cells.label == 1)) - np.sum(chosen & (cells.label == 0)) * at / (1 - at)) / len(cells)
        assert curve.model[place] == pytest.approx(by_hand)
        assert curve.everyone[place] == pytest.approx((cells.label == 1).mean() - (cells.label == 0).mean() * at / (1 - at))
    assert (curve.low < curve.model).all()
