import numpy as np
import pytest

from malaria_exp.data.resize import ResizeRule, resize
from malaria_exp.deployment.explanations.overlay import overlay, to_cell


@pytest.mark.parametrize("mode", ["pad", "stretch"])
@pytest.mark.parametrize("shape", [(150, 101), (90, 131), (20, 33)])
def test_a_place_of_the_map_comes_back_to_where_it_was_in_the_cell(mode, shape):
    rule = ResizeRule(64, mode)
    image = np.full((*shape, 3), 100, np.uint8)
    row, column = shape[0] // 3, 2 * shape[1] // 3
    image[row - 2 : row + 3, column - 2 : column + 3] = 255
    back = to_cell(resize(image, rule)[..., 0].astype(float), shape, rule)
    assert back.shape == shape
    found = np.unravel_index(back.argmax(), shape)
    assert np.hypot(found[0] - row, found[1] - column) <= 1 + 2 * max(shape) / 64


def test_nothing_stays_gray_and_strength_is_color():
    image = np.full((8, 8, 3), 150, np.uint8)
    strength = np.zeros((8, 8))
    strength[0, 0], strength[7, 7] = 1, -1
    drawn = overlay(image, strength).astype(int)
    assert np.ptp(drawn[1:7, 1:7], axis=2).max() == 0
    assert drawn[0, 0, 0] > drawn[0, 0, 2] + 100 and drawn[7, 7, 2] > drawn[7, 7, 0] + 100
