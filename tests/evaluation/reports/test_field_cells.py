"""The page of fields of view: photographs by time, cells by number, and whether errors come together."""

from types import SimpleNamespace

import numpy as np
import pytest

from malaria_exp.data.subsets import Cells
from malaria_exp.evaluation.predictions import Predictions
from malaria_exp.evaluation.reports.field_cells import Places, error_clusters, write_field_cells

NAME = "C7P{patient}ThinF_IMG_2015091{day}_144104_cell_{number}"


def test_names_tell_slide_photograph_and_number_also_below_folders():
    names = [NAME.format(patient=1, day=2, number=31), f"Parasitized/{NAME.format(patient=1, day=1, number=4)}"]
    places = Places.read(np.array(names))
    assert places.slide.tolist() == ["C7P1ThinF"] * 2 and places.number.tolist() == [31, 4]
    assert places.field.tolist() == ["C7P1ThinF_IMG_20150912_144104", "C7P1ThinF_IMG_20150911_144104"]
    assert Places.read(np.array([names[0], "patient_1/cell_3"])) is None


@pytest.mark.parametrize(("together", "surprising"), [(True, True), (False, False)])
def test_errors_in_few_photographs_are_no_chance_and_errors_anywhere_are(together, surprising):
    rng = np.random.default_rng(0)
    slide = np.repeat([f"S{number}" for number in range(6)], 60)
    field = np.array([f"{name}F{place // 10}" for name, place in zip(slide, np.tile(np.arange(60), 6), strict=True)])
    error = np.isin(field, ["S0F1", "S3F2"]) if together else rng.random(360) < 0.1
    order = rng.permutation(360)
    ratio, p = error_clusters(error[order], Places(slide[order], field[order], np.arange(360)))
    assert (p < 0.01) == surprising and (ratio > 3) == surprising
    # A slide that is worse than others is no cluster within a slide.
    _, p = error_clusters(slide == "S2", Places(slide, field, np.arange(360))) or (1, 1)
    assert p > 0.05
    assert error_clusters(error, Places(slide, slide, np.arange(360))) is None


def page(folder, cell_id, label, score, threshold=0.5, pictures=True):
    count = len(cell_id)
    shown = Predictions(cell_id, np.array(["P<1>"] * count), np.array(["S"] * count), label, score, np.array(["test"] * count))
    images = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), np.uint8)
    cells = Cells("test", np.arange(count), label, SimpleNamespace(take=lambda rows: images[rows]))
    about = {"cells": cells if pictures else None, "patient_links": {"P<1>": "a.html"}, "subject": "a model", "leaky": False}
    written = write_field_cells(folder, shown, threshold, "fixed", **about)
    return (folder / "fields.html").read_text(encoding="utf-8") if written else None


def test_the_page_has_every_cell_in_order_and_a_picture_of_each_error(tmp_path):
    names = np.array([NAME.format(patient=1, day=day, number=number) for day, number in ((2, 5), (2, 30), (1, 12), (1, 7))])
    text = page(tmp_path, names, np.array([0, 1, 1, 0]), np.array([0.9, 0.8, 0.2, 0.1]))
    at = [
        text.index(word) for word in ("2015-09-11", 'title="cell 7,', 'title="cell 12,', "2015-09-12", 'title="cell 5,', 'title="cell 30,')
    ]
    assert at == sorted(at)
    assert (
        text.count("data:image/jpeg") == 2
        and text.count('class="missed" style="background-size: 100% 20%" title')
        == text.count('class="alarm" style="background-size: 100% 90%" title')
        == 1
    )
    assert "P&lt;1&gt;" in text and "<1>" not in text
    assert page(tmp_path / "other", np.array(["a", "b", "c", "d"]), np.array([0, 1, 1, 0]), np.full(4, 0.4)) is None
    assert not (tmp_path / "other").exists()


def test_joined_folds_have_thresholds_of_their_own_and_no_pictures(tmp_path):
    names = np.array([NAME.format(patient=1, day=2, number=number) for number in (5, 30)])
    text = page(tmp_path, names, np.array([0, 1]), np.array([0.4, 0.4]), np.array([0.5, 0.3]), pictures=False)
    strip = text.split('class="strip"')[1]
    assert strip.count('class="cleared"') == strip.count('class="found"') == 1
    assert "at the threshold fixed, each run&#39;s own" in text and '<a href="a.html">Patient P&lt;1&gt;</a>' in text
    assert "data:image" not in text and "patients.html" not in text
