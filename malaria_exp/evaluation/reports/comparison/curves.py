"""The curves of the compared trainings: which are drawn, and which of many stand out."""

from collections.abc import Sequence

from malaria_exp.evaluation.plots.comparison import COLORED_OF_MANY, MOST_COLORED, Series, columns_of, compare_curves
from malaria_exp.evaluation.plots.style import png_bytes
from malaria_exp.evaluation.reports.comparison.compared_run import ComparedRun
from malaria_exp.evaluation.reports.comparison.configurations import Configuration, best_first
from malaria_exp.evaluation.reports.page_elements import Picture


def draw_curves(groups: Sequence[Configuration], *, leaky: bool) -> list[Picture]:
    """Returns the plots; none if no run has a history.

    Args:
        groups: of runs; if one has several, a plot of the means comes before that of every run.
        leaky: stamps every plot; if only some runs are leaky, their labels say so.
    """
    with_history = [group for group in groups if any(run.history for run in group.runs)]
    if not with_history:
        return []
    ranked, by = best_first(with_history)
    many = len(with_history) > MOST_COLORED
    in_color = {id(group) for group in (ranked[:COLORED_OF_MANY] if many else with_history)}

    def series_of(group: Configuration, runs: Sequence[ComparedRun]) -> Series:
        label = f"{'LEAKY ' if group.leaky and not leaky else ''}{group.label}"
        return Series(label, [run.history for run in runs if run.history], id(group) in in_color)

    # Runs without results may have ended early, and would cut their configuration's mean short.
    means = [series_of(group, group.done if any(run.history for run in group.done) else group.runs) for group in with_history]
    every = [series_of(group, group.runs) for group in with_history]
    columns = columns_of(every, [run.monitor for group in groups for run in group.runs if run.monitor])
    if not columns:
        return []
    gray = f" In color: the {COLORED_OF_MANY} {by}, of {len(with_history)}; the others are gray." if many else ""
    pictures = []
    if any(len(one.histories) > 1 for one in means):
        caption = "The mean over the seeds of a configuration, as far as all of them were trained; the band goes from the smallest to the largest."
        png = png_bytes(compare_curves(means, columns, leaky=leaky))
        pictures.append(Picture("configurations", "Configurations", caption + gray, png))
    caption = "Each line is a run, in the style of its configuration."
    png = png_bytes(compare_curves(every, columns, each=True, leaky=leaky))
    return [*pictures, Picture("runs", "Every run", caption + gray, png)]
