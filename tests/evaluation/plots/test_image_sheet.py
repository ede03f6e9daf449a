"""A sheet shows every pixel as it is, in its place, whatever stands around it."""

import io

import numpy as np
import pytest
from PIL import Image

from malaria_exp.evaluation.plots.image_sheet import TILE, Row, Tile, enlarged, sheet, to_pixels, wrapped_grid
from malaria_exp.evaluation.plots.style import PARASITIZED, UNINFECTED, png_bytes, shorten


def drawn(figure):
    return np.asarray(Image.open(io.BytesIO(png_bytes(figure))).convert("RGB"))


def place_of(part, whole):
    """Returns the places (y, x) at which a picture stands in a larger one, pixel for pixel."""
    height, width = part.shape[:2]
    corners = np.argwhere((whole == part[0, 0]).all(axis=-1))
    return [(int(y), int(x)) for y, x in corners if np.array_equal(whole[y : y + height, x : x + width], part)]


def noise(count, size, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", [12, 32, 64, 112, 130, 168])
def test_each_pixel_of_an_image_is_a_square_of_the_sheet(size):
    images = noise(2, size)
    tiles = [Tile(images[0], "one"), Tile(images[1], "two", label=0.25, frame=PARASITIZED)]
    picture = drawn(sheet([Row("a name that is so long that it takes lines", tiles)], "Title", columns=["left", "right"]))
    factor = max(1, round(TILE / size))
    for image in images:
        assert len(place_of(np.kron(image, np.ones((factor, factor, 1), np.uint8)), picture)) == 1


def test_images_over_twice_the_tile_are_averaged_over_whole_blocks():
    image = noise(1, 450)[0]
    small = enlarged(image)
    assert small.shape == (150, 150, 3)
    assert np.array_equal(small[0, 0], np.rint(image[:3, :3].mean(axis=(0, 1))))


@pytest.mark.parametrize("label", [0.0, 0.3, 1.0])
def test_the_bar_is_filled_as_far_as_the_label_says(label):
    picture = drawn(sheet([Row("", [Tile(np.zeros((56, 56, 3), np.uint8), label=label)])], "T"))
    colors = [tuple(int(name[place : place + 2], 16) for place in (1, 3, 5)) for name in (PARASITIZED, UNINFECTED)]
    counts = [(picture == color).all(axis=-1).sum() for color in colors]
    assert counts[0] / sum(counts) == pytest.approx(label, abs=0.01)


def test_no_tile_lies_on_another_and_none_is_cut():
    images = noise(10, 20)
    rows = wrapped_grid([Tile(image, f"{place}\nbelow") for place, image in enumerate(images)], 4)
    picture = drawn(sheet([*rows, Row("last", [None, Tile(images[0]), None])], "A title that is wider than all the pictures below it " * 2))
    places = [place for image in images for place in place_of(enlarged(image), picture)]
    assert len(places) == 11
    edge = enlarged(images[0]).shape[0]
    for one, (y, x) in enumerate(places):
        assert all(abs(y - v) >= edge or abs(x - u) >= edge for v, u in places[one + 1 :])


def test_names_may_hold_anything_and_floats_become_the_pixels_they_came_from():
    figure = sheet([Row("$x_1$ ^ \\frac", [Tile(noise(1, 20)[0], "$a$ % {b}")])], "$\\")
    assert drawn(figure).std() > 0
    assert shorten("abcdef", 4) == "abc…"
    assert shorten("abcd", 4) == "abcd"
    pixels = np.arange(256, dtype=np.uint8)
    assert np.array_equal(to_pixels(pixels.astype(np.float32) * np.float32(1 / 255)), pixels)


def test_equal_sheets_are_equal_bytes_and_the_stamp_shows():
    rows = [Row("row", [Tile(noise(1, 20)[0])])]
    assert png_bytes(sheet(rows, "T")) == png_bytes(sheet(rows, "T"))
    assert png_bytes(sheet(rows, "T", leaky=True)) != png_bytes(sheet(rows, "T"))
