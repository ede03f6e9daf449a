"""Images are the same by their pixels; a lossy copy is recognized, and no other cell is taken for one."""

import io

import numpy as np
import pytest
from PIL import Image

from malaria_exp.config.registry import build
from malaria_exp.data import fingerprints
from malaria_exp.data.fingerprints import fingerprint, near_duplicates


@pytest.fixture(scope="module")
def cells():
    table = build("dataset", "synthetic", {"infected_patients": 12, "healthy_patients": 3, "cells_per_patient": 10})
    return [table.source.read(row) for row in range(len(table))]


def marks(images):
    return np.array([fingerprint(image) for image in images])


def copied(image, kind, **options):
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind, **options)
    return np.asarray(Image.open(file).convert("RGB"))


def resized(image, edge):
    return np.asarray(Image.fromarray(image).resize((edge, edge)))


def test_equal_pixels_and_only_they_have_equal_fingerprints():
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    others = [image.reshape(2, 8, 3), image + np.uint8(1), image[::-1]]
    assert fingerprint(copied(image, "PNG", compress_level=1)) == fingerprint(image) == fingerprint(np.asfortranarray(image))
    assert len({fingerprint(image), *map(fingerprint, others)}) == 4


@pytest.mark.parametrize(
    "copy",
    [lambda image: copied(image, "JPEG", quality=40), lambda image: copied(image, "WEBP", quality=50), lambda image: resized(image, 64)],
    ids=["JPEG", "WebP", "size"],
)
def test_a_lossy_copy_is_found_and_is_the_copy_of_its_own_original(cells, copy):
    originals = marks(cells)
    assert near_duplicates(marks(map(copy, cells)), originals) == [(row, row) for row in range(len(cells))]


def test_cells_are_no_copies_of_each_other(cells):
    assert near_duplicates(marks(cells)) == []


def test_each_pair_stands_once_and_neither_equal_nor_unknown_images_are_near(monkeypatch):
    image = np.random.default_rng(0).integers(0, 250, (20, 20, 3), np.uint8)
    row = marks([image, 255 - image, image, image + np.uint8(1)])
    row[1] = ""
    assert near_duplicates(row) == [(3, 0)]
    assert near_duplicates(row[:3]) == near_duplicates(row, row[1:2]) == []
    monkeypatch.setattr(fingerprints, "CHUNK", 1)
    assert near_duplicates(row) == [(3, 0)]
    monkeypatch.setattr(fingerprints, "MAX_PAIRS", 3)
    assert near_duplicates(row) is None
