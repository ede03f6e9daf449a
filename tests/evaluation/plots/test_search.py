"""The plots of a sweep show every trial where it belongs."""

import numpy as np
import pytest

from malaria_exp.evaluation.plots.search import Dimension, Scored, course, importance, parallel, slices

TRIALS = [Scored(0, 0.7, False), Scored(1, 0.9, False), Scored(3, 0.6, True), Scored(4, 0.8, False)]
RATES = Dimension("optimizer.learning_rate", "log", [1e-4, 1e-3, 1e-2, 1e-1])
NAMES = Dimension("aug", "category", ["none", "mixup", "none", "cutmix"], ("none", "mixup", "cutmix"))
SIZES = Dimension("batch_size", "linear", [64, 64, 128, 256])


def test_the_best_so_far_never_gets_worse_and_early_ends_do_not_count():
    figure = course([*TRIALS, Scored(5, 0.95, True)], "val_auc", larger_is_better=True)
    (line,) = figure.axes[0].lines
    assert line.get_ydata().tolist() == [0.7, 0.9, 0.9, 0.9] and line.get_xdata().tolist() == [0, 1, 4, 5]
    done, early = figure.axes[0].collections
    assert done.get_offsets()[:, 1].tolist() == [0.7, 0.9, 0.8]
    assert early.get_offsets()[:, 1].tolist() == [0.6, 0.95] and len(early.get_facecolors()) == 0
    falling = course(TRIALS, "val_loss", larger_is_better=False)
    assert falling.axes[0].lines[0].get_ydata().tolist() == [0.7, 0.7, 0.7, 0.7]


def test_shares_are_bars_the_largest_on_top():
    bars = importance({"a": 0.2, "b": 0.7, "c": 0.1}).axes[0]
    assert [label.get_text() for label in bars.get_yticklabels()] == ["c", "a", "b"]
    assert [bar.get_width() for bar in bars.patches] == [0.1, 0.2, 0.7]
    assert "70%" in [text.get_text() for text in bars.texts]


def test_every_trial_is_a_line_through_its_values():
    axes = parallel([RATES, NAMES, SIZES], TRIALS, "val_auc", larger_is_better=True).axes[0]
    lines = [line.get_ydata() for line in axes.lines if len(line.get_ydata()) == 4]
    assert len(lines) == 4
    # The worst first, so that the best lies on top; a logarithmic axis has equal steps.
    heights = np.array(lines)
    assert heights[:, 3] == pytest.approx([0, 1 / 3, 2 / 3, 1]) and heights[:, 0] == pytest.approx([2 / 3, 0, 1, 1 / 3])
    assert heights[:, 1] == pytest.approx([0, 0, 1, 0.5])
    marks = {text.get_text() for text in axes.texts}
    assert {"none", "mixup", "cutmix", "0.0001", "0.1", "64", "256", "0.6000", "0.9000"} <= marks


def test_every_parameter_has_a_panel():
    figure = slices([RATES, NAMES, SIZES], TRIALS, "val_auc", leaky=True)
    assert [axes.get_xlabel() for axes in figure.axes] == ["optimizer.learning_rate", "aug", "batch_size"]
    assert figure.axes[0].get_xscale() == "log"
    assert [label.get_text() for label in figure.axes[1].get_xticklabels()] == ["none", "mixup", "cutmix"]
    assert "LEAKY" in [text.get_text() for text in figure.texts]
    for axes in figure.axes:
        assert sum(len(points.get_offsets()) for points in axes.collections) == 4


def test_equal_values_are_drawn_too():
    same = [Scored(number, 0.5, False) for number in range(2)]
    flat = Dimension("x", "linear", [1.0, 1.0])
    assert parallel([flat], same, "val_auc", larger_is_better=True).axes and slices([flat], same, "val_auc").axes
