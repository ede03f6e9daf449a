import numpy as np
import pytest

from malaria_exp.config.registry import build

VALUES = np.random.default_rng(0).normal(size=(50, 3))


def test_mahalanobis_measures_from_the_mean():
    np.testing.assert_allclose(build("ood", "mahalanobis", {})(VALUES, np.random.default_rng(0)), VALUES.mean(axis=0)[None])


@pytest.mark.parametrize(("cells", "kept"), [(7, 7), (60, 50)])
def test_knn_keeps_different_cells_by_the_seed(cells, kept):
    fit = build("ood", "knn", {"cells": cells})
    found = fit(VALUES, np.random.default_rng(1))
    assert len(np.unique(found, axis=0)) == len(found) == kept
    assert {tuple(row) for row in found} <= {tuple(row) for row in VALUES}
    np.testing.assert_array_equal(found, fit(VALUES, np.random.default_rng(1)))
    assert kept == 50 or not np.array_equal(found, fit(VALUES, np.random.default_rng(2)))
