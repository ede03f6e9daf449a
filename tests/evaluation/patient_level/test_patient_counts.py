"""Rates and their spread between patients: of all patients, and for each patient of all others."""

import numpy as np
import pytest

from malaria_exp.evaluation.patient_level.patient_counts import PatientCounts


def counts(rng, patients=12, healthy=3):
    parasitized = np.append(np.zeros(healthy), rng.integers(1, 40, patients - healthy)).astype(float)
    uninfected = rng.integers(5, 60, patients).astype(float)
    found, alarms = rng.binomial(parasitized.astype(int), 0.9), rng.binomial(uninfected.astype(int), 0.05)
    return PatientCounts(np.arange(patients).astype(str), parasitized, uninfected, found.astype(float), alarms.astype(float))


def without(all_of_them, place):
    kept = np.arange(len(all_of_them.names)) != place
    return PatientCounts(*(getattr(all_of_them, name)[kept] for name in ("names", "parasitized", "uninfected", "found", "alarms")))


def test_the_rates_of_others_are_those_without_the_patient():
    given = counts(np.random.default_rng(0))
    for name in ("sensitivity", "specificity"):
        others = getattr(given, name)(of_others=True)
        for place in range(len(given.names)):
            rest = getattr(without(given, place), name)(of_others=False)
            assert [float(value[place]) for value in others] == pytest.approx([float(value) for value in rest])


def test_the_variance_between_patients_is_found_again():
    rng = np.random.default_rng(1)
    cells = rng.integers(20, 200, 4000)
    own = rng.beta(18, 2, 4000)
    spread = PatientCounts(
        np.arange(4000).astype(str), cells.astype(float), cells.astype(float), rng.binomial(cells, own).astype(float), np.zeros(4000)
    ).sensitivity(of_others=False)
    assert float(spread.rate) == pytest.approx(0.9, abs=0.005)
    assert float(spread.between) == pytest.approx(0.9 * 0.1 / 21, rel=0.1)
    assert float(spread.within) == pytest.approx(0.09 - 0.09 / 21, rel=0.05)


def test_cells_are_counted_by_patient():
    labels, predicted = np.array([1, 0, 1, 0, 0]), np.array([True, True, False, False, False])
    found = PatientCounts.of(labels, predicted, np.array(["b", "b", "b", "a", "a"]))
    assert found.names.tolist() == ["a", "b"] and found.infected.tolist() == [False, True]
    assert found.labeled.tolist() == [0, 2 / 3] and found.predicted.tolist() == [0, 2 / 3]
    assert found.found.tolist() == [0, 1] and found.alarms.tolist() == [0, 1]


def test_one_patient_with_a_class_says_nothing_of_others():
    found = PatientCounts.of(np.array([1, 0, 0, 0]), np.array([True, False, False, True]), np.array(["a", "a", "b", "b"]))
    assert np.isnan(found.sensitivity(of_others=False).rate).all()
    assert np.isfinite(found.specificity(of_others=False).error).all()


def test_no_error_is_not_taken_for_no_variance():
    found = PatientCounts.of(np.array([1, 0, 1, 0]), np.array([True, False, True, False]), np.array(["a", "a", "b", "b"]))
    assert float(found.sensitivity(of_others=False).within) > 0
