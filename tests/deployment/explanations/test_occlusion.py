import io

import numpy as np
import pytest
from PIL import Image

from malaria_exp.deployment.explanations.occlusion import draw_map, occlusion_map
from malaria_exp.deployment.explanations.overlay import AGAINST, FOR

SIZE = 32
CELL, PARASITE, GRAIN = (200, 160, 170), (90, 40, 120), (60, 140, 90)


def cell(*, parasite=True):
    """Returns a round cell on black, in its upper left a parasite, in its lower right a green grain."""
    rows, columns = np.mgrid[:SIZE, :SIZE]
    image = np.zeros((SIZE, SIZE, 3), np.uint8)
    image[np.hypot(rows - 15.5, columns - 15.5) < 14] = CELL
    if parasite:
        image[9:12, 8:11] = PARASITE
    image[20:23, 21:24] = GRAIN
    return image


def score(images):
    """A model that counts a parasite's pixels for, a grain's against, and takes each black pixel in the middle for half a parasite."""
    found = [(images == np.array(color)).all(axis=3).sum(axis=(1, 2)) for color in (PARASITE, GRAIN)]
    holes = (images[:, 8:24, 8:24].max(axis=3) == 0).sum(axis=(1, 2))
    return 1 / (1 + np.exp(-0.6 * (found[0] + holes / 2.0 - found[1])))


def test_the_parasite_speaks_for_and_the_grain_against_by_the_log_odds_that_hiding_them_costs():
    found = occlusion_map(score, cell())
    highest, lowest = (np.unravel_index(place(found), found.shape) for place in (np.argmax, np.argmin))
    assert 8 <= highest[0] < 13 and 7 <= highest[1] < 12
    assert 19 <= lowest[0] < 24 and 20 <= lowest[1] < 25
    # A patch that hides all nine pixels changes the log-odds by 9 * 0.6, one that hides a part by less.
    assert 0.5 * 5.4 < found.max() <= 5.4 + 1e-6
    assert -5.4 - 1e-6 <= found.min() < -0.5 * 5.4
    assert (found[0, 0], found[16, 16]) == (0, pytest.approx(0, abs=0.01))


def test_the_mean_color_leaves_an_empty_cell_alone_where_black_does_not():
    empty = np.where(cell().max(axis=2, keepdims=True) > 0, np.uint8(CELL), np.uint8(0))
    assert np.abs(occlusion_map(score, empty)).max() == 0
    assert np.abs(occlusion_map(score, empty, fill=(0, 0, 0))).max() > 1


@pytest.mark.parametrize("size", [8, 33, 224])
def test_every_size_is_covered_whole_in_batches_and_black_is_no_cell(size):
    seen = []

    def count(images):
        seen.append(len(images))
        return images.mean(axis=(1, 2, 3)) / 255

    image = np.full((size, size, 3), 200, np.uint8)
    image[: size // 2] = 100
    found = occlusion_map(count, image, batch_size=50)
    assert found.shape == (size, size)
    assert (np.abs(found) > 0).mean() > 0.8
    assert max(seen) <= 50 and sum(seen) < 500
    assert not occlusion_map(count, np.zeros_like(image)).any()


def test_scores_of_0_and_1_give_finite_maps():
    found = occlusion_map(lambda images: (score(images) > 0.5).astype(float), cell())
    assert np.isfinite(found).all()


def test_the_picture_has_the_colors_of_its_meaning_and_little_changes_stay_gray():
    image = cell()
    values = occlusion_map(score, image)
    picture = np.asarray(Image.open(io.BytesIO(draw_map(image, values)))).astype(int)
    assert picture.shape == (192, 192, 3)
    factor = 192 // SIZE
    for place, color in ((np.argmax(values), FOR), (np.argmin(values), AGAINST)):
        row, column = np.unravel_index(place, values.shape)
        assert np.abs(picture[row * factor, column * factor] - color).max() < 64
    faint = np.asarray(Image.open(io.BytesIO(draw_map(image, values / 1000)))).astype(int)
    assert np.ptp(faint, axis=2).max() < 4
