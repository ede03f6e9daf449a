"""The forest plot: a panel a metric, rows in their order, every label and interval inside."""

import pytest

from malaria_exp.evaluation.plots.differences import LOOKS, ForestRow, forest


def row(metric="auc", label="model=cellnet", verdict="better", value=0.03):
    return ForestRow(metric, label, verdict, value, value - 0.02, value + 0.02)


def test_a_panel_a_metric_with_lines_at_nothing_and_at_the_margin_of_the_worse_side():
    figure = forest([row(), row("log_loss", verdict="worse"), row(label="model=vit", verdict="no difference shown")], margin=0.01)
    auc, loss = figure.axes
    assert [text.get_text() for text in auc.texts] == ["model=cellnet", "model=vit"]
    assert [axes.lines[1].get_xdata()[0] for axes in (auc, loss)] == [-0.01, 0.01]
    assert auc.lines[0].get_xdata()[0] == 0
    assert auc.lines[2].get_xdata().tolist() == pytest.approx([0.01, 0.05])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["better", "worse", "no difference shown"]


def test_long_names_and_many_rows_stay_inside():
    figure = forest([row(label="model=resnet_functional_wide, optimizer=muon, width=" + "9" * 30, verdict=one) for one in LOOKS] * 6)
    figure.draw_without_rendering()
    (axes,) = figure.axes
    assert all(text.get_window_extent().x1 <= figure.bbox.x1 for text in axes.texts)
    assert figure.legends[0].get_window_extent().x1 <= figure.bbox.x1
