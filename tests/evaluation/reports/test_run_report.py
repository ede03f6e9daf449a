"""The report stands alone, says every number, escapes what it is given, and is stamped if and only if it is leaky."""

import re
from dataclasses import replace

import numpy as np
import pytest
from evaluation_settings import SETTINGS
from html_page import Page

from malaria_exp.config.registry import build
from malaria_exp.evaluation.evaluate import evaluate
from malaria_exp.evaluation.metrics import METRICS
from malaria_exp.evaluation.predictions import Predictions
from malaria_exp.evaluation.reports.run_report import CAPTIONS, ReportData, render, write_report
from malaria_exp.evaluation.reports.templates import number
from malaria_exp.evaluation.thresholds import Threshold

PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)


def metrics(subsets=("val", "test"), healthy=3, **options):
    rng = np.random.default_rng(0)
    patient = np.repeat(np.arange(12), 15)
    label = ((rng.random(180) < 0.5) & (patient >= healthy)).astype(int)
    score = np.clip(rng.normal(0.35 + 0.3 * label, 0.2), 0, 1)
    names = np.array([f"P{i}" for i in patient])
    cells = Predictions(np.arange(180).astype(str), names, names, label, score, np.array(subsets)[patient % len(subsets)])
    return evaluate(cells, **SETTINGS | {"resamples": 30, "confidence": 0.9, "seed": 4} | options)


def data(**changes):
    base = ReportData(
        title="Malaria",
        run_name="run-1",
        created="1 January 2025",
        held_out="Patients of the test set were never trained on.",
        metrics=metrics(),
        plots={"roc": PNG, "confusion_matrix_youden": PNG, "my_plot": PNG},
        config="model:\n  name: lenet",
        provenance={"git": {"commit": "abc123", "files": ["a.py", "b.py"]}, "seed": 0},
        notes=["Only three patients."],
        command="python run.py model=lenet",
    )
    return replace(base, **changes)


def leaves(value, skip=()):
    if isinstance(value, dict):
        return [leaf for key, item in value.items() if key not in skip for leaf in leaves(item, skip)]
    if isinstance(value, list):
        return [leaf for item in value for leaf in leaves(item, skip)]
    return [value]


def test_every_number_of_the_metrics_is_there():
    given = data()
    page = Page(render(given))
    words = set(re.findall(r"[\w.,/]+", page.text))
    subsets = given.metrics["subsets"]
    test = subsets["test"]
    for part in subsets.values():
        shown = leaves({key: part[key] for key in ("counted", "at", "ranking")}, skip=("threshold", "patients"))
        assert {number(value) for value in shown} <= words
        for row, fraction in zip(part["per_patient"], part["patient_level"]["fractions"], strict=True):
            own = [row["patient"], number(row["cells"]), number(row["parasitized"])]
            own += [number(fraction[name]) for name in ("labeled", "predicted", "corrected")]
            own += [f"{number(fraction['low'])} to {number(fraction['high'])}", number(row["mean_score"])]
            own += [number(at[name]) for at in row["at"].values() for name in ("fn", "fp", "sensitivity", "specificity")]
            assert f" {' '.join(own)} " in page.text
    for metric in METRICS.values():
        cells = [at[metric.name] for at in test["at"].values()] if metric.needs_threshold else [test["ranking"][metric.name]]
        row = " ".join(f"{number(cell['value'])} {number(cell['low'])} to {number(cell['high'])}" for cell in cells)
        assert (f" {metric.label} {row} " if metric.needs_threshold else f" {row} ") in page.text
    assert {number(threshold["value"], 4) for threshold in given.metrics["thresholds"].values()} <= words
    for said in ("90% intervals", "at least 0.9 ", "Only three patients.", "git.commit", "abc123", "name: lenet"):
        assert said in page.text


def test_the_answer_comes_first_then_cautions_then_figures():
    text = Page(render(data())).text
    test = metrics()["subsets"]["test"]
    found, cleared = (test["at"]["fixed"][name] for name in ("sensitivity", "specificity"))
    answer = (
        f"The model finds {found['value']:.1%} of the parasitized cells ({found['low']:.1%} to {found['high']:.1%}) and clears"
        f" {cleared['value']:.1%} of the uninfected cells ({cleared['low']:.1%} to {cleared['high']:.1%}), in 90 test cells of 6 patients that it has"
        " not learned from."
    )
    places = [text.index(said) for said in (answer, "Only three patients.", "never trained on", "ROC curve.", "Confusion matrix (youden).")]
    assert places == sorted(places)


def test_the_bars_share_a_scale_and_hold_their_values():
    bars = re.findall(r'<rect x="([\d.]+)" y="2.5" width="([\d.]+)"[^<]*<rect x="([\d.]+)" y="0"', render(data()))
    assert len(bars) == 4
    for low, width, at in (map(float, bar) for bar in bars):
        assert 0 <= low <= at + 0.6 <= low + width <= 100


def test_it_loads_nothing_from_outside():
    text = render(data())
    page = Page(text)
    for _, name, value in page.attributes:
        if name in ("src", "href", "srcset", "data", "action", "background", "poster"):
            assert value.startswith("data:image/png;base64,")
    assert not {"script", "link", "iframe", "object", "embed", "base"} & set(page.tags)
    assert not re.search(r"@import|url\(|https?://", text)


@pytest.mark.parametrize("leaky", [True, False])
def test_the_stamp_is_there_if_and_only_if_it_is_leaky(leaky):
    page = Page(render(data(leaky=leaky)))
    assert ("LEAKY" in page.text) == leaky
    assert ("Cells of the same patients" in page.text) == leaky


def test_what_is_given_is_escaped_everywhere():
    evil = "<script>alert(1)</script>\"'&"
    given = data(
        title=evil,
        run_name=evil,
        created=evil,
        held_out=evil,
        plots={evil: PNG, "roc": PNG},
        config=evil,
        provenance={evil: {evil: evil}},
        notes=[evil],
        command=evil,
        counts={evil: metrics()["subsets"]["test"]["counted"]},
    )
    text = render(given)
    assert "<script" not in text
    assert Page(text).text.count("<script>alert(1)</script>") >= 10


def test_the_chapter_on_patients_answers_in_words_and_leads_to_their_cells():
    given = data(metrics=metrics(healthy=6), patient_links={"P1": "patients.html#patient-P1"})
    text = render(given)
    found = given.metrics["subsets"]["test"]["patient_level"]
    page = Page(text)
    blank = found["detection"]["limit_of_blank"]
    assert "Infected or healthy?" in page.text and "This is no diagnosis." in page.text
    assert f"up to {blank['value']:.1%} ({blank['low']:.1%} to {blank['high']:.1%}) of the cells" in page.text
    ppv = found["predictive_values"][2]["ppv"]
    assert f"{ppv['value']:.0%} ({ppv['low']:.0%} to {ppv['high']:.0%}) where 1 cell in 100 is parasitized" in page.text
    assert ("a", "href", "patients.html#patient-P1") in page.attributes


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ({"healthy": 12}, "Not known: there is no infected patient here."),
        ({"healthy": 0}, "Not known: that takes two or more healthy patients."),
    ],
)
def test_what_the_patients_cannot_tell_is_said(made, said):
    assert said in Page(render(data(metrics=metrics(**made)))).text


def test_plots_carry_their_captions():
    page = Page(render(data()))
    assert CAPTIONS["roc"][1] in page.text
    assert "Confusion matrix (youden)." in page.text
    assert "My plot." in page.text
    assert page.tags.count("img") == 3
    assert all(value for _, name, value in page.attributes if name == "alt")


@pytest.mark.parametrize("nih", [False, True])
def test_what_is_known_of_the_labels_of_the_nih_set_is_said_of_no_other(nih):
    page = Page(render(data(plots={"worst_errors": PNG}, nih=nih)))
    assert "The worst errors" in page.text
    assert ("Experts" in page.text) == nih


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ({"resamples": 0, "interval": build("interval", "bootstrap", {})}, "No intervals: no resamples were asked for."),
        ({"healthy": 12}, "no parasitized cell"),
        ({"subsets": ("external",), "thresholds": {"fixed": Threshold(0.25, "as it was")}}, "fixed = 0.2500 : as it was."),
        ({"subsets": ("val",)}, "by whom epoch and thresholds were chosen."),
    ],
)
def test_odd_evaluations_still_report(made, said):
    assert said in Page(render(data(metrics=metrics(**made)))).text


def test_counts_of_training_are_shown_where_given():
    counts = {"train": {**metrics()["subsets"]["val"]["counted"], "cells": 98765}}
    page = Page(render(data(counts=counts)))
    assert re.search(r"Training 6 \d+ \d+ 98,765 ", page.text)


def test_the_file_is_whole_and_the_same_again(tmp_path):
    path = write_report(tmp_path / "run" / "report.html", data())
    assert path.read_text(encoding="utf-8") == render(data())
    assert [entry.name for entry in path.parent.iterdir()] == ["report.html"]
