"""Every plot draws, says LEAKY when it must, gives the same bytes again, and leaves no global state."""

import hashlib
import io
import subprocess
import sys

import numpy as np
import pytest
from evaluation_settings import SETTINGS
from matplotlib.figure import Figure
from PIL import Image

from malaria_exp.evaluation.calibration_metrics import calibration_metrics
from malaria_exp.evaluation.evaluate import evaluate
from malaria_exp.evaluation.metrics import METRICS, compute, count
from malaria_exp.evaluation.plots import patients, results
from malaria_exp.evaluation.plots.reliability import reliability
from malaria_exp.evaluation.plots.style import png_bytes
from malaria_exp.evaluation.plots.training import training_curves
from malaria_exp.evaluation.predictions import Predictions
from malaria_exp.evaluation.thresholds import Threshold

RNG = np.random.default_rng(0)
PATIENTS = np.repeat([f"P{i}" for i in range(10)], 12)
LABELS = ((RNG.random(120) < 0.5) & (np.arange(120) >= 24)).astype(int)
SCORES = np.clip(RNG.normal(0.3 + 0.4 * LABELS, 0.2), 0, 1)
THRESHOLDS = {"fixed": 0.5, "youden": 0.31}
CALIBRATION = calibration_metrics(LABELS, SCORES, PATIENTS, confidence=0.95, uncalibrated=SCORES**2)
HISTORY = [
    {"epoch": e, "loss": 1 / e, "val_loss": 1.2 / e, "val_auc": [0.8, 0.93, 0.9, 0.91][e - 1], "learning_rate": 0.1**e, "seconds": 1.0}
    for e in range(1, 5)
]


def rows(labels=LABELS):
    cells = Predictions(np.arange(len(labels)).astype(str), PATIENTS, PATIENTS, labels, SCORES, np.full(len(labels), "test"))
    thresholds = {name: Threshold(value, "given") for name, value in THRESHOLDS.items()}
    data = evaluate(cells, **SETTINGS | {"thresholds": thresholds, "resamples": 0})
    return data["subsets"]["test"]["per_patient"]


def error(i=0):
    return patients.ErrorCell(np.full((20, 30, 3), 40 * i % 255, np.uint8), f"C1P1thinF_IMG_20150619_114756a_cell_{i}", "P1", 0.25)


PLOTS = {
    "confusion_matrix": lambda **o: results.confusion_matrix(LABELS, SCORES, 0.5, name="fixed", **o),
    "roc": lambda **o: results.roc(LABELS, SCORES, PATIENTS, thresholds=THRESHOLDS, **o),
    "precision_recall": lambda **o: results.precision_recall(LABELS, SCORES, thresholds=THRESHOLDS, **o),
    "reliability": lambda **o: reliability(SCORES, CALIBRATION, **o),
    "score_histogram": lambda **o: results.score_histogram(LABELS, SCORES, thresholds=THRESHOLDS, **o),
    "training_curves": lambda **o: training_curves(HISTORY, **o),
    "worst_errors": lambda **o: patients.worst_errors([error(i) for i in range(4)], [error()], **o),
    "per_patient": lambda **o: patients.per_patient(rows(), threshold="fixed", **o),
}


def words(figure: Figure) -> str:
    return "\n".join(artist.get_text() for artist in figure.findobj(lambda artist: hasattr(artist, "get_text")))


@pytest.mark.parametrize("name", PLOTS)
def test_draws_the_same_bytes_and_stamps_only_what_leaks(name):
    clean, leaky = PLOTS[name](), PLOTS[name](leaky=True)
    assert "LEAKY" not in words(clean)
    assert "LEAKY" in words(leaky)
    first, again = png_bytes(clean), png_bytes(PLOTS[name]())
    assert hashlib.sha256(first).digest() == hashlib.sha256(again).digest()
    with Image.open(io.BytesIO(first)) as image:
        assert "Software" not in image.info and image.info["dpi"] == pytest.approx((150, 150), abs=0.1)
        assert len(np.unique(np.asarray(image.convert("L")))) > 10


@pytest.mark.parametrize("name", ["confusion_matrix", "roc", "precision_recall", "score_histogram", "per_patient"])
def test_axes_are_labeled(name):
    for axes in PLOTS[name]().axes:
        assert axes.get_xlabel() and axes.get_ylabel()


def test_the_confusion_matrix_shows_the_counts():
    counts = count(LABELS, SCORES, 0.5)
    text = words(PLOTS["confusion_matrix"]())
    assert all(str(number) in text for number in vars(counts).values())
    assert f"{counts.sensitivity:.1%}" in text and f"{counts.specificity:.1%}" in text


def test_the_curve_marks_thresholds_where_they_are():
    axes = PLOTS["roc"]().axes[0]
    marks = {line.get_label(): (line.get_xdata()[0], line.get_ydata()[0]) for line in axes.lines if len(line.get_xdata()) == 1}
    for name, threshold in THRESHOLDS.items():
        at = count(LABELS, SCORES, threshold)
        assert marks[f"{name} = {threshold}"] == pytest.approx((1 - at.specificity, at.sensitivity))
    assert f"AUC {compute(LABELS, SCORES, 0.5)['auc']:.3f}" in words(axes.figure)


def test_intervals_that_are_given_are_shown_and_a_curve_in_the_corner_is_enlarged():
    cell = {"value": 0.9, "low": 0.81, "high": 0.97}
    assert "AUC 0.900 (0.810 to 0.970)" in words(results.roc(LABELS, SCORES, auc=cell))
    assert "AP 0.900 (0.810 to 0.970)" in words(results.precision_recall(LABELS, SCORES, average_precision=cell))
    assert len(results.roc(LABELS, LABELS * 0.9).axes[0].child_axes) == 1
    assert not results.roc(LABELS, 1 - SCORES).axes[0].child_axes


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_still_draws(label):
    labels = np.full(120, label)
    for figure in (
        results.confusion_matrix(labels, SCORES, 0.5),
        results.roc(labels, SCORES, PATIENTS, thresholds=THRESHOLDS),
        results.precision_recall(labels, SCORES, thresholds=THRESHOLDS),
        results.score_histogram(labels, SCORES, log=False),
        patients.per_patient(rows(labels), threshold="fixed"),
        patients.worst_errors([], []),
    ):
        figure.draw_without_rendering()
    assert "undefined" in words(results.roc(labels, SCORES, PATIENTS))


def test_the_best_epoch_is_the_monitors_own():
    assert "best by val_auc: epoch 2" in words(training_curves(HISTORY))
    assert "best by val_loss: epoch 4" in words(training_curves(HISTORY, monitor="val_loss"))
    without = [{"epoch": "1", "loss": "0.5", "val_auc": ""}, {"epoch": "2", "loss": "nan"}]
    assert "best by" not in words(training_curves(without))
    titles = [axes.get_title(loc="left") for axes in training_curves(HISTORY).axes]
    assert titles == ["Loss", "AUC", "Learning rate"]
    everything = [{"epoch": 1, "loss": 1, "learning_rate": 0.1} | {f"val_{name}": 0.5 for name in METRICS}]
    titles = [axes.get_title(loc="left") for axes in training_curves(everything, monitor="val_brier").axes]
    assert titles[:2] == ["Loss", METRICS["brier"].label] and len(titles) == 6
    with pytest.raises(ValueError, match="at least one epoch"):
        training_curves([])


@pytest.mark.parametrize("history", [HISTORY, HISTORY[:1], [{"epoch": 1, "loss": 0.5, "val_loss": 0.4}]])
def test_the_legend_of_a_training_lies_on_no_curve_and_is_not_cut(history):
    figure = training_curves(history)
    figure.draw_without_rendering()
    legend = figure.legends[0].get_window_extent()
    assert not [axes for axes in figure.axes if axes.get_legend() or axes.get_window_extent().overlaps(legend)]
    assert legend.x0 >= 0 and legend.x1 <= figure.bbox.x1


def test_worst_takes_the_most_wrong_first():
    labels, scores = np.array([1, 1, 1, 0, 0, 0]), np.array([0.4, 0.1, 0.9, 0.5, 0.95, 0.2])
    missed, alarms = patients.worst(labels, scores, 0.5)
    assert missed.tolist() == [1, 0]
    assert alarms.tolist() == [4, 3]
    assert [len(part) for part in patients.worst(labels, scores, 0.5, most=1)] == [1, 1]


def test_names_are_drawn_as_they_are():
    name = "$a_{$ $"
    patient = {**rows()[-1], "patient": name}
    for figure in (
        patients.worst_errors([patients.ErrorCell(np.zeros((4, 4, 3), np.uint8), name, name, 0.1)], []),
        patients.per_patient([patient], threshold="fixed"),
    ):
        png_bytes(figure)
        assert name in words(figure)


def test_pyplot_is_never_imported():
    program = (
        "import sys, numpy as np; from malaria_exp.evaluation.plots import results, style;"
        "style.png_bytes(results.roc(np.array([0, 1]), np.array([.1, .9])));"
        "print('matplotlib.pyplot' in sys.modules, 'tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split() == ["False", "False"]
