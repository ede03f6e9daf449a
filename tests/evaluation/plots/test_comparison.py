"""The overlaid curves: means no further than all seeds, gaps, and what is in color when there are many."""

import math

import pytest

from malaria_exp.evaluation.plots.comparison import COLORED_OF_MANY, MOST_COLORED, STYLES, Series, columns_of, compare_curves
from malaria_exp.evaluation.plots.style import LIGHT_GRAY


def course(values, column="val_auc"):
    return [{"epoch": float(epoch), column: value} for epoch, value in enumerate(values, start=1)]


def test_a_mean_ends_where_its_shortest_training_does():
    histories = [course([0.5, 0.7, 0.9]), course([0.6, 0.8])]
    (axes,) = compare_curves([Series("a", histories)], ["val_auc"]).axes
    (line,) = axes.lines
    assert line.get_xydata().ravel().tolist() == pytest.approx([1, 0.55, 2, 0.75])
    (band,) = axes.collections
    assert {tuple(point) for point in band.get_paths()[0].vertices.tolist()} == {(1.0, 0.5), (1.0, 0.6), (2.0, 0.7), (2.0, 0.8)}
    (axes,) = compare_curves([Series("a", histories)], ["val_auc"], each=True).axes
    assert [len(line.get_xdata()) for line in axes.lines] == [3, 2]


def test_gaps_are_no_numbers_and_only_what_has_numbers_is_drawn():
    (axes,) = compare_curves([Series("a", [course([math.nan, 0.5, 0.6]), course([0.7, 0.7, math.nan])])], ["val_auc"]).axes
    assert axes.lines[0].get_xydata().ravel().tolist() == pytest.approx([1, 0.7, 2, 0.6])


def test_the_axis_of_a_single_epoch_shows_that_epoch_alone():
    figure = compare_curves([Series("a", [[{"epoch": 1.0, "loss": 0.5}]])], ["loss"])
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["1"]


@pytest.mark.parametrize("columns", [["loss"], ["loss", "val_loss"], ["loss", "val_loss", "val_auc"]])
@pytest.mark.parametrize("count", [3, 8])
def test_every_label_of_the_legend_is_whole(columns, count):
    row = {"epoch": 1.0, **dict.fromkeys(columns, 0.5)}
    labels = [f"model=resnet_functional_wide, optimizer=muon, width={number:02d}" for number in range(count)]
    figure = compare_curves([Series(label, [[row]]) for label in labels], columns)
    figure.draw_without_rendering()
    (legend,) = figure.legends
    box = legend.get_window_extent()
    assert box.x0 >= 0 and box.y0 >= 0
    assert box.x1 <= figure.bbox.x1
    assert [" ".join(text.get_text().split()) for text in legend.get_texts()] == labels


def test_only_what_has_numbers_is_drawn():
    series = [Series("a", [course([0.5]), course([math.nan], "val_loss"), course([0.1], "val_brier")])]
    assert columns_of(series, ["val_brier"]) == ["val_auc", "val_brier"]
    (axes,) = compare_curves([Series("a", [course([0.5])]), Series("b", [course([0.5])])], ["val_auc"]).axes
    assert axes.get_title(loc="left") == "Validation AUC (the same in all)"


def test_twelve_series_differ_and_one_that_diverges_does_not_flatten_them():
    assert len(set(STYLES)) == MOST_COLORED == 12
    series = [Series(str(number), [course([0.5 + number / 50, 0.4], "loss")]) for number in range(MOST_COLORED)]
    (axes,) = compare_curves(series, ["loss"]).axes
    assert len({(line.get_color(), line.get_linestyle(), str(line._unscaled_dash_pattern)) for line in axes.lines}) == 12
    assert axes.get_yscale() == "linear"
    (axes,) = compare_curves([*series, Series("diverged", [course([0.5, 1e6], "loss")], colored=False)], ["loss"]).axes
    assert axes.get_yscale() == "log"


def test_a_hundred_series_are_gray_behind_the_best():
    series = [Series(str(number), [course([0.5, 0.6]), course([0.6, 0.7])], number < COLORED_OF_MANY) for number in range(100)]
    figure = compare_curves(series, ["val_auc"])
    (axes,) = figure.axes
    assert sum(line.get_color() == LIGHT_GRAY for line in axes.lines) == 94
    assert len(axes.collections) == COLORED_OF_MANY
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [str(number) for number in range(COLORED_OF_MANY)]
    assert figure.get_figheight() < 5
