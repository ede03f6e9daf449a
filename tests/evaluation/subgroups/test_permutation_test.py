import numpy as np

from malaria_exp.evaluation.subgroups.permutation_test import compare_with_rest


def cohort(rng, shift=0.0, patients=24):
    """Hits of cells whose rate varies between patients; the first third is a group, with three times as many cells each."""
    sizes = np.where(np.arange(patients) < patients // 3, 90, 30)
    patient = np.repeat(np.arange(patients), sizes)
    member = patient < patients // 3
    latent = 1.4 + rng.normal(0, 0.5, patients)[patient] + shift * member + rng.normal(0, 1, len(patient))
    return latent > 0, patient, member


def test_a_difference_that_is_not_there_is_found_as_rarely_as_said():
    rng = np.random.default_rng(3)
    found = [compare_with_rest(*cohort(rng), seed=number, permutations=399).p < 0.05 for number in range(300)]
    assert 0.02 < np.mean(found) < 0.085


def test_a_real_difference_is_found():
    test = compare_with_rest(*cohort(np.random.default_rng(1), shift=-1.5), seed=0)
    assert test.p < 0.01
    assert test.difference < -0.2


def test_many_patients_are_tested_without_permutations_and_as_before():
    hits, patient, member = cohort(np.random.default_rng(2), shift=0.06, patients=1998)
    by_permutation = compare_with_rest(hits, patient, member, 0, permutations=999).p
    more = np.append(patient, [5000, 5001, 5002])
    by_normal = compare_with_rest(np.append(hits, [True] * 3), more, np.append(member, [False] * 3), 0).p
    assert abs(by_permutation - by_normal) < 0.05


def test_few_patients_are_not_tested():
    hits, patient, member = cohort(np.random.default_rng(1), patients=9)
    assert compare_with_rest(hits, patient, member, 0).reason == "3 patients; a test needs 5"
    assert compare_with_rest(hits, patient, ~member, 0).reason == "3 other patients; a test needs 5"
    assert compare_with_rest(hits, patient, np.full(len(hits), True), 0).p is None


def test_patients_without_errors_are_no_difference():
    hits, patient, member = cohort(np.random.default_rng(1))
    assert compare_with_rest(np.full(len(hits), True), patient, member, 0).p == 1
