"""Plots of data and split show something for every kind of data, say what was counted, and are stamped when leaky."""

import io

import numpy as np
import pytest
from PIL import Image

from malaria_exp.data.cell_table import count_cells
from malaria_exp.data.split_manifest import Manifest
from malaria_exp.evaluation.plots.cells import cell_colors, class_grid, group_grid, mean_cells, stain_colors, to_lab
from malaria_exp.evaluation.plots.data import cell_sizes, cells_per_patient, class_counts, split_bars, split_patients
from malaria_exp.evaluation.plots.style import png_bytes


def synthetic_patients(count=30, cells=12, seed=0):
    rng = np.random.default_rng(seed)
    patient = np.repeat([f"P{number:03d}" for number in range(count)], cells)
    label = (rng.random(len(patient)) < 0.5).astype(np.int8) * (np.repeat(np.arange(count), cells) % 3 > 0)
    return patient, label.astype(np.int8)


def manifest(patient, label, cross=False):
    names = np.unique(patient)
    subset = np.array(["train", "val", "test"])[np.searchsorted(names, patient) % 3]
    if cross:
        subset = np.array(["train", "val", "test"])[np.arange(len(patient)) % 3]
    ids = np.arange(len(patient)).astype(str)
    return Manifest("test", ids, label, patient, patient, patient, ids, subset)


def images(count, size=24, seed=0):
    return np.random.default_rng(seed).integers(60, 256, (count, size, size, 3), dtype=np.uint8)


def texts(figure):
    return " ".join(text.get_text() for axes in figure.axes for text in [*axes.texts, axes.title, axes.xaxis.label, axes._left_title])


def drawn(figure):
    picture = np.asarray(Image.open(io.BytesIO(png_bytes(figure))).convert("RGB"))
    assert (picture != 255).any(axis=-1).mean() > 0.01
    return picture


def test_counts_stand_beside_their_bars():
    patient, label = synthetic_patients()
    counts = count_cells(label, patient)
    figure = class_counts(counts, patients_known=True)
    drawn(figure)
    for key in ("parasitized", "uninfected", "infected_patients", "healthy_patients"):
        assert f"  {counts[key]:,} (" in texts(figure)
    assert "patients" not in texts(class_counts(counts, patients_known=False))


@pytest.mark.parametrize("count", [1, 30, 150])
def test_each_patients_bar_is_as_high_as_they_have_cells(count):
    patient, label = synthetic_patients(count)
    axes = cells_per_patient(patient, label).axes[0]
    tops = [bar.get_y() + bar.get_height() for bar in axes.patches[count:]]
    assert tops == [12] * count
    assert sum(bar.get_height() for bar in axes.patches[:count]) == label.sum()
    drawn(axes.figure)


def test_the_split_is_drawn_as_the_manifest_counts_it():
    made = manifest(*synthetic_patients())
    counts = made.counts()
    figure = split_bars(counts, patients_known=True)
    drawn(figure)
    for row in counts.values():
        assert f"  {row['cells']:,} (" in texts(figure) and f"  {row['patients']:,} (" in texts(figure)
    points = split_patients(made).axes[0].collections
    assert [len(one.get_offsets()) for one in points] == [row["patients"] for row in counts.values()]


def test_a_leaky_split_is_stamped():
    patient, label = synthetic_patients()
    for leaky in (True, False):
        made = manifest(patient, label, cross=leaky)
        figures = [
            split_patients(made),
            cells_per_patient(patient, label, leaky=made.leaky),
            mean_cells(images(4), label[:4], leaky=made.leaky),
        ]
        for figure in figures:
            assert ("LEAKY" in [text.get_text() for text in figure.texts]) is leaky


def test_sizes_are_drawn_for_any_number_of_cells_and_classes():
    for count, label in ((1, [1]), (5, [0, 1, 0, 1, 1]), (3, [0, 0, 0])):
        sizes = np.random.default_rng(0).integers(90, 150, (count, 2))
        examples = [np.full((*size, 3), 99, np.uint8) for size in sizes[:3]]
        drawn(cell_sizes(sizes, np.array(label, np.int8), examples, 64))


@pytest.mark.parametrize("labels", [[0, 1] * 6, [1] * 12, [0] * 12])
def test_grids_means_and_stains_of_one_class_or_two(labels):
    labels, pictures = np.array(labels, np.int8), images(12)
    drawn(class_grid(pictures, ["P$1$"] * 12, 1))
    drawn(group_grid({"a patient": (pictures, labels), "P$2$": (pictures[:1], labels[:1])}, "Title"))
    drawn(mean_cells(pictures, labels))
    drawn(stain_colors(cell_colors(pictures), labels, np.repeat(["a", "b", "c"], 4)))
    drawn(stain_colors(cell_colors(pictures), labels, None))


def test_the_black_outside_has_no_say_in_a_cells_color():
    picture = np.zeros((2, 20, 20, 3), np.uint8)
    picture[0, 8:12, 8:12] = (200, 120, 160)
    assert cell_colors(picture).tolist() == [[200, 120, 160], [0, 0, 0]]


def test_lab_of_known_colors():
    # http://www.brucelindbloom.com, sRGB and D65: white, black, pure red.
    got = to_lab(np.array([[255, 255, 255], [0, 0, 0], [255, 0, 0]]))
    assert got == pytest.approx(np.array([[100, 0, 0], [0, 0, 0], [53.24, 80.09, 67.20]]), abs=0.05)
