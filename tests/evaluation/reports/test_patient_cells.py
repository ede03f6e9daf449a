"""The page with each patient's cells: every patient has a section that the report leads to, errors come first, and it is bounded and escaped."""

import base64
import io
import re

import numpy as np
from evaluation_settings import SETTINGS
from html_page import Page
from PIL import Image

from malaria_exp.data.subsets import Cells
from malaria_exp.evaluation.evaluate import evaluate
from malaria_exp.evaluation.predictions import Predictions
from malaria_exp.evaluation.reports import patient_cells
from malaria_exp.evaluation.reports.patient_cells import patient_links, write_patient_cells

EVIL = 'P <b>"1"/ä'


class Pixels:
    """Images whose gray is the row."""

    def take(self, rows):
        return np.stack([np.full((8, 8, 3), row, np.uint8) for row in rows]) if len(rows) else np.zeros((0, 8, 8, 3), np.uint8)


def write(folder, patients=4, each=50, leaky=False):
    rng = np.random.default_rng(0)
    number = np.repeat(np.arange(patients), each)
    names = np.array([EVIL if one == 0 else f"P{one}" for one in number])
    label = (rng.random(len(number)) < 0.5) & (number > 0)
    score = np.clip(rng.normal(0.3 + 0.4 * label, 0.2), 0, 1)
    shown = Predictions([f"c<i>{row}" for row in range(len(number))], names, names, label, score, np.full(len(number), "test"))
    metrics = evaluate(shown, **SETTINGS | {"thresholds": {"fixed": SETTINGS["thresholds"]["fixed"]}})
    cells = Cells("test", np.arange(len(number)), label.astype(np.int8), Pixels())
    write_patient_cells(folder, shown, cells, metrics["subsets"]["test"], "fixed", subject="a model", leaky=leaky)
    return shown, patient_links(set(names.tolist())), (folder / "patients.html").read_text(encoding="utf-8")


def test_each_patient_has_a_section_that_its_link_leads_to(tmp_path):
    _, links, text = write(tmp_path)
    page = Page(text)
    assert {link.removeprefix("patients.html#") for link in links.values()} == {
        value for tag, name, value in page.attributes if (tag, name) == ("section", "id")
    }
    assert EVIL in page.headings and "<b>" not in text and "<i>" not in text
    assert list(tmp_path.iterdir()) == [tmp_path / "patients.html"]


def test_errors_are_shown_the_worst_first_and_pictures_are_those_of_the_cells(tmp_path):
    shown, _, text = write(tmp_path)
    section = text.split("<section")[3]
    own = shown.patient == "P2"
    missed = shown.score[own & (shown.label == 1) & (shown.score < 0.5)]
    first = section.split("<h3>")[1]
    assert first.startswith("Missed") and f"({len(missed)})" in first
    assert re.findall(r"<figcaption>([\d.]+)", first) == [f"{score:.3f}" for score in np.sort(missed)]
    for name, source in re.findall(r'src="data:image/jpeg;base64,([^"]+)" alt="c&lt;i&gt;(\d+)"', first):
        gray = np.asarray(Image.open(io.BytesIO(base64.b64decode(name))))
        assert abs(int(gray.mean()) - int(source)) <= 2


def test_the_page_is_bounded_and_loads_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(patient_cells, "ALL_CELLS", 40)
    _, _, text = write(tmp_path)
    page = Page(text)
    assert page.tags.count("img") <= 40
    assert all(value.startswith("data:image/jpeg;base64,") for tag, name, value in page.attributes if name == "src")
    assert "shown)" in page.text and "LEAKY" not in page.text
    assert "LEAKY" in Page(write(tmp_path, leaky=True)[2]).text
