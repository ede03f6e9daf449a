import numpy as np
import pytest

from malaria_exp.deployment.explanations.chosen_cells import choose
from malaria_exp.evaluation.predictions import Predictions


def predictions(labels, scores):
    names = np.array([f"c{number}" for number in range(len(labels))])
    return Predictions(names, names, names, np.array(labels), np.array(scores), np.full(len(labels), "test"))


def groups(found):
    return {group.name: group.rows for group in found}


def test_errors_come_surest_first_doubtful_ones_by_log_odds_and_no_cell_twice():
    labels = [1, 1, 1, 0, 0, 0, 1, 0]
    scores = [0.4, 0.01, 0.9, 0.99, 0.6, 0.1, 0.999, 0.0]
    found = groups(choose(predictions(labels, scores), 0.5, errors=1, doubtful=2, random=9, seed=0))
    # Of the two missed cells the surest; the other one is doubtful.
    assert found["missed"] == [1]
    assert found["alarms"] == [3]
    assert set(found["doubtful"]) == {0, 4}
    assert sorted(row for rows in found.values() for row in rows) == list(range(8))


def test_the_threshold_decides_what_is_an_error():
    found = groups(choose(predictions([1, 0], [0.2, 0.3]), 0.25, errors=5, doubtful=0, random=0, seed=0))
    assert found == {"missed": [0], "alarms": [1]}


def test_random_cells_follow_from_the_seed():
    some = predictions([0, 1] * 50, np.linspace(0, 1, 100))
    draws = [groups(choose(some, 0.5, errors=0, doubtful=0, random=10, seed=seed))["random"] for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_extreme_thresholds_and_scores_choose_cells(threshold):
    assert choose(predictions([1, 0], [0.0, 1.0]), threshold, errors=1, doubtful=1, random=1, seed=0)
