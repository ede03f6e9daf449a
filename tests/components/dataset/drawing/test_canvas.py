"""Brushes: they mix a color in, wherever they are put, and never leave the cell."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from malaria_exp.components.dataset.drawing.canvas import BLOCK, Canvas

COLOR = np.array((160, 30, 120), np.float32)


def canvas(softness: float = 2.0) -> Canvas:
    mask = np.zeros((10, 12), bool)
    mask[1:9, 2:11] = True
    return Canvas(np.full((3, 30, 36), 200, np.float32), mask, (15.0, 18.0), softness)


PLACES = st.tuples(st.floats(-60, 90), st.floats(-60, 90))
SIZES = st.floats(0.2, 60)
BRUSHES = {
    "spot": lambda on, at, size, squeeze, alpha, angle: on.spot(at, size, COLOR, alpha, squeeze=squeeze, angle=angle),
    "ring": lambda on, at, size, squeeze, alpha, angle: on.ring(at, size, 2.0, COLOR, alpha, squeeze=squeeze, angle=angle, lean=0.7),
    "crescent": lambda on, at, size, squeeze, alpha, angle: on.crescent(at, 1.2 * size, size, squeeze * size, COLOR, alpha, angle=angle),
}


@pytest.mark.parametrize("brush", BRUSHES)
@settings(max_examples=60, deadline=None)
@given(at=PLACES, size=SIZES, squeeze=st.floats(0.02, 1), alpha=st.floats(0, 1), angle=st.floats(-7, 7), softness=st.floats(0.5, 9))
def test_a_brush_never_goes_beyond_its_color_wherever_it_is_put(brush, at, size, squeeze, alpha, angle, softness):
    painted = canvas(softness)
    BRUSHES[brush](painted, at, size, squeeze, alpha, angle)
    assert painted.planes.max() <= 200.01
    assert (painted.planes >= COLOR[:, None, None] - 0.01).all()


@pytest.mark.parametrize("brush", BRUSHES)
def test_a_brush_paints_at_its_place_alone_and_fully_at_alpha_one(brush):
    painted = canvas(softness=0.5)
    BRUSHES[brush](painted, (15.5, 17.5), 6.0, 0.8, 1.0, 0.0)
    changed = (painted.planes < 199).any(axis=0)
    rows, columns = np.nonzero(changed)
    assert changed.any()
    assert np.hypot(rows - 15.5, columns - 17.5).max() < 9
    assert np.abs(painted.planes[:, changed] - COLOR[:, None]).min(axis=1).max() < 20


def test_a_picture_is_black_outside_the_mask_and_nowhere_inside():
    painted = canvas()
    painted.planes[:] = -50
    picture = painted.finish()
    inside = np.kron(painted.mask, np.ones((BLOCK, BLOCK), bool))
    assert (picture[inside] > 0).all()
    assert (picture[~inside] == 0).all()
