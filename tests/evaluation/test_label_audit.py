"""The ranking of labels, what becomes of contradicted ones, and the nearest cells."""

import numpy as np
import pytest

from malaria_exp.evaluation.label_audit import LEAST_DOUBT, LabelAudit, join_models, nearest


def test_the_surest_contradiction_comes_first_and_weighs_least_whatever_its_class():
    audit = LabelAudit(np.array([1, 0, 1, 0, 1]), np.array([3.0, 5.0, -4.0, -2.0, 0.5]))
    assert audit.order.tolist() == [1, 2, 4, 3, 0]
    assert np.argsort(audit.weight, kind="stable").tolist()[:2] == [1, 2]
    assert (audit.weight[[0, 3, 4]] == 1).all() and ((audit.weight > 0) & (audit.weight <= 1)).all()


def test_a_label_is_contradicted_where_the_other_class_is_as_sure_as_in_its_own_cells():
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 400)
    logit = np.where(label == 1, 3.0, -2.0)
    audit = LabelAudit(label, logit)
    assert not audit.contradicted.any()
    # Labeled uninfected: as sure as the parasitized ones are on average, and a little less sure.
    flipped = np.concatenate([logit, [3.1, 2.8]])
    assert LabelAudit(np.concatenate([label, [0, 0]]), flipped).contradicted[-2:].tolist() == [True, False]
    assert not LabelAudit(np.ones(3, int), np.array([-9.0, 1, 2])).contradicted.any(), "nothing is known of the other class"


def test_planted_mistakes_are_found_by_logits_that_follow_the_truth():
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 2, 2000)
    planted = rng.random(2000) < 0.05
    audit = LabelAudit(np.where(planted, 1 - truth, truth), np.where(truth == 1, 4.0, -4.0) + rng.normal(0, 1, 2000))
    assert planted[audit.order[: planted.sum()]].mean() > 0.97
    assert planted[audit.contradicted].mean() > 0.9 and audit.contradicted.sum() > 0.2 * planted.sum()


def test_models_that_learned_from_a_cell_count_unless_they_repeat_its_label():
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 2, 3000)
    planted = rng.random(3000) < 0.06
    label = np.where(planted, 1 - truth, truth)
    unseen = np.arange(4)[:, None] == rng.integers(0, 4, 3000)
    honest = np.where(truth == 1, 2.0, -2.0) + rng.normal(0, 1.5, (4, 3000))
    mean, doubt = join_models(honest, unseen, label)
    assert mean == pytest.approx(honest.mean(axis=0)) and doubt > LEAST_DOUBT

    def found(logit):
        return planted[LabelAudit(label, logit).order[: planted.sum()]].mean()

    assert found(mean) > found(honest[unseen.argmax(axis=0), np.arange(3000)]) + 0.1, "four models know more than one"
    by_heart = np.where(unseen, honest, np.where(label == 1, 5.0, -5.0))
    mean, doubt = join_models(by_heart, unseen, label)
    assert doubt == 0 and mean == pytest.approx(honest[unseen.argmax(axis=0), np.arange(3000)])
    mean, _ = join_models(honest[:1], np.ones((1, 3000), bool), label)
    assert mean == pytest.approx(honest[0]), "one model, which saw none of the cells"


def test_the_nearest_cells_are_those_allowed_at_the_smallest_angle():
    rng = np.random.default_rng(2)
    pool = rng.normal(size=(40, 5))
    allowed = np.ones((3, 40), bool)
    allowed[np.arange(3), np.arange(3)] = False
    allowed[2, 2:] = False
    found = nearest(3 * pool[:3], pool, allowed, 4)
    cosine = (pool[:3] @ pool.T) / np.linalg.norm(pool[:3], axis=1)[:, None] / np.linalg.norm(pool, axis=1)
    for row in (0, 1):
        expected = [place for place in np.argsort(-cosine[row]) if allowed[row, place]][:4]
        assert found[row].tolist() == expected
    assert set(found[2].tolist()) == {0, 1, -1}, "fewer are allowed than asked for"
    assert nearest(pool[:1], pool, np.zeros((1, 40), bool), 2).tolist() == [[-1, -1]]


@pytest.mark.parametrize("count", [0, 60])
def test_no_neighbors_or_more_than_there_are_cells_are_no_errors(count):
    pool = np.eye(3)
    found = nearest(pool, pool, np.ones((3, 3), bool), count)
    assert found.shape == (3, count) and (found[:, 3:] == -1).all()
