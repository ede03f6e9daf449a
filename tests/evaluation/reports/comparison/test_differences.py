"""Which configurations are compared, on which cells, and what is said of the difference."""

from dataclasses import replace

import numpy as np
import pytest

from malaria_exp.evaluation.paired_tests import Difference
from malaria_exp.evaluation.predictions import Predictions
from malaria_exp.evaluation.reports.comparison.compared_run import ComparedRun
from malaria_exp.evaluation.reports.comparison.configurations import Configuration
from malaria_exp.evaluation.reports.comparison.differences import (
    MOST_SENTENCES,
    MOST_TESTED,
    Comparison,
    Settings,
    compare_configurations,
    said,
)
from malaria_exp.evaluation.reports.comparison.shared_cells import pair, replicates
from malaria_exp.utils.errors import RunFolderError

PATIENTS, EACH = 10, 12


def predictions(quality, rows=slice(None), seed=0, subset="test"):
    """Test cells of ten patients; a score of more quality is nearer to the label."""
    rng = np.random.default_rng(seed)
    label = np.tile([0, 1], PATIENTS * EACH // 2)
    patient = np.repeat([f"P{number}" for number in range(PATIENTS)], EACH)
    score = np.clip(0.5 + (label - 0.5) * quality + rng.normal(0, 0.3, len(label)), 0, 1)
    names = np.array([f"cell{number:03d}" for number in range(len(label))])
    return Predictions(*(column[rows] for column in (names, patient, patient, label, score, np.full(len(label), subset))))


def run(name, **config):
    config = {key.replace("__", "."): value for key, value in config.items()}
    return ComparedRun(name, None, "done", config={"seed": 0, **config}, objective=0.5, monitor="val_auc", subset="test")


class Scores(dict):
    """Predictions by the name of the run."""

    def __call__(self, one):
        if one.name not in self:
            raise RunFolderError(f"run: '{one.name}' has no predictions.csv.")
        return self[one.name]


def compared(scores, *groups, **settings):
    groups = [Configuration(runs[0].name, tuple(runs)) for runs in groups]
    return compare_configurations(groups, "test", Scores(scores), Settings(**settings))


def test_up_to_four_in_pairs_and_more_with_the_first_or_the_reference():
    runs = [[run(name, loss=name)] for name in "abcde"]
    scores = {name: predictions(0.5, seed=number) for number, name in enumerate("abcde")}
    assert [(one.model, one.reference) for one in compared(scores, *runs[:3])] == [("b", "a"), ("c", "a"), ("c", "b")]
    assert [(one.model, one.reference) for one in compared(scores, *runs)] == [(name, "a") for name in "bcde"]
    assert [(one.model, one.reference) for one in compared(scores, *runs[:3], reference="b")] == [("a", "b"), ("c", "b")]
    assert compared(scores, runs[0]) == []


def test_of_very_many_those_that_are_best_on_validation_are_tested():
    runs = [replace(run(str(number), loss=str(number)), objective=number / 100) for number in range(MOST_TESTED + 5)]
    scores = Scores({one.name: predictions(0.5) for one in runs})
    found = compare_configurations([Configuration(one.name, (one,)) for one in runs], "test", scores, Settings())
    assert {one.reference for one in found} == {"0"}
    assert sorted(int(one.model) for one in found) == list(range(6, MOST_TESTED + 5))


def test_seeds_of_the_only_configuration_are_compared_with_each_other():
    scores = {"a": predictions(0.5, seed=1), "b": predictions(0.5, seed=2)}
    (one,) = compared(scores, [run("a"), run("b", seed=1)])
    assert (one.model, one.reference, one.seeds) == ("b", "a", (1, 1))


def test_folds_are_joined_seeds_stand_side_by_side_and_cells_in_other_order_are_the_same():
    whole = predictions(0.6)
    backwards, halves = slice(None, None, -1), (slice(0, 60), slice(60, None))
    scores = Scores(a=predictions(0.6, backwards), b=predictions(0.3, halves[1], seed=5), c=predictions(0.3, halves[0], seed=5), d=whole)
    first = Configuration("first", (run("a"), run("d", seed=1)))
    second = Configuration("second", (run("b", split__fold=1), run("c", split__fold=0)))
    (cells,) = pair(*(replicates(one, "test", scores) for one in (first, second)))
    assert (cells.model.score.shape, cells.reference.score.shape) == ((2, 120), (1, 120))
    assert (cells.model.score == whole.score).all()
    assert (cells.label == whole.label).all() and (cells.patient == whole.patient).all()
    assert (cells.reference.score[0] == predictions(0.3, seed=5).score).all()


def test_each_run_is_judged_at_its_own_threshold():
    scores = Scores(a=predictions(0.6))
    strict = Configuration("a", (replace(run("a"), threshold=0.8),))
    (one,) = replicates(strict, "test", scores)
    assert (one.predicted == (one.score >= 0.8)).all()


def test_partly_shared_cells_none_and_those_of_other_patients():
    early, late = predictions(0.5, slice(0, 84)), predictions(0.6, slice(24, None), seed=1)
    scores = {"a": early, "b": late, "c": predictions(0.5, slice(84, None)), "e": replace(early, patient=np.full(84, "Q"))}
    runs = [[run(name, loss=name)] for name in "abcde"]
    shared, none, missing, other = compared(scores, *runs)
    assert (shared.difference.cells, shared.difference.patients, shared.difference.reason) == (60, 5, "")
    assert none.difference.reason == "they were tested on different cells"
    assert missing.difference.reason == "run: 'd' has no predictions.csv."
    assert other.difference.reason == "84 cells of the same name have another patient"
    assert other.verdict == "not tested"
    assert other.sentence == "e and a are not tested: AUC, 84 cells of the same name have another patient."


def test_seeds_with_test_cells_of_their_own_are_matched_by_them():
    parts = (slice(0, 72), slice(48, None))
    scores = {f"{name}{seed}": predictions(quality, parts[seed]) for name, quality in (("a", 0.4), ("b", 0.6)) for seed in (0, 1)}
    (one,) = compared(scores, *([run(f"{name}{seed}", loss=name, seed=seed) for seed in (0, 1)] for name in "ab"))
    assert (one.difference.cells, one.difference.patients, one.seeds) == (144, 10, (2, 2))


def test_a_leaky_run_is_not_compared_with_a_clean_one():
    scores = {"a": predictions(0.5), "b": predictions(0.6)}
    (one,) = compared(scores, [run("a", loss="a")], [replace(run("b", loss="b"), leaky=True)])
    assert one.difference.reason == "one of them is LEAKY"


@pytest.mark.parametrize(
    ("metric", "value", "p", "p_margin", "verdict"),
    [
        ("auc", 0.1, 0.01, None, "better"),
        ("log_loss", 0.1, 0.01, None, "worse"),
        ("auc", 0.1, 0.06, None, "no difference shown"),
        ("auc", -0.001, 0.5, 0.02, "not worse by the margin"),
        ("auc", -0.001, 0.5, 0.03, "no difference shown"),
        ("auc", -0.005, 0.01, 0.01, "worse, by less than the margin"),
    ],
)
def test_better_is_said_only_where_it_holds_after_the_correction(metric, value, p, p_margin, verdict):
    difference = Difference(metric, 0.9, 0.8, value, 40, 100, -0.1, 0.2, p / 3, p_margin, p_holm=p, p_margin_holm=p_margin)
    one = Comparison("model", "reference", (3, 1), difference, Settings(margin=0.01), tests=3)
    assert one.verdict == verdict
    assert f"{value:+.4f} (-0.1000 to +0.2000), p = " in one.sentence
    assert one.sentence.endswith("(Holm, 3 tests); 40 patients, 3 and 1 seeds.")


def test_of_many_sentences_only_those_that_say_something():
    quiet = Comparison("m", "r", (1, 1), Difference("auc", 0.9, 0.9, 0.0, 40, 100, -0.1, 0.1, 1.0, p_holm=1.0), Settings())
    telling = replace(quiet, difference=replace(quiet.difference, value=0.1, p_holm=0.001))
    assert len(said([quiet] * MOST_SENTENCES)) == MOST_SENTENCES
    sentences = said([telling, *[quiet] * MOST_SENTENCES])
    assert sentences == [telling.sentence, "Of 9 comparisons 8 show no difference, or could not be tested."]
