"""The differences on the page: the forest plot, the table, and how they were tested."""

from collections.abc import Sequence

from malaria_exp.evaluation.metrics import METRICS
from malaria_exp.evaluation.paired_tests import RESAMPLES
from malaria_exp.evaluation.plots.differences import ForestRow, forest
from malaria_exp.evaluation.plots.style import png_bytes
from malaria_exp.evaluation.reports.comparison.differences import MOST_IN_PAIRS, MOST_TESTED, Comparison
from malaria_exp.evaluation.reports.page_elements import Cell, Head, Picture, Row, SortableTable, number_cell

SUBSETS = {"test": "test", "val": "validation"}


def draw_forest(comparisons: Sequence[Comparison], subset: str, *, leaky: bool) -> list[Picture]:
    """Returns the forest plot; nothing if no difference was tested."""
    references = {one.reference for one in comparisons}
    rows = []
    for one in comparisons:
        found = one.difference
        if found.value is not None and found.low is not None and found.high is not None:
            label = one.model if len(references) == 1 else f"{one.model} minus {one.reference}"
            rows.append(ForestRow(found.metric, label, one.verdict, found.value, found.low, found.high))
    if not rows:
        return []
    settings = comparisons[0].settings
    against = f" from {next(iter(references))}" if len(references) == 1 else ""
    caption = (
        f"Right or left of the black line by how much; the bar is the {settings.confidence:.0%} interval, on {SUBSETS[subset]} cells."
        + (" Dashed: the margin; a bar that does not reach it is not worse by so much." if settings.margin is not None else "")
        + " The colors are the verdicts after Holm's correction, for which a bar must miss the line by more the more tests there are."
    )
    png = png_bytes(forest(rows, margin=settings.margin, leaky=leaky))
    return [Picture("differences", f"Differences{against}", caption, png)]


def comparisons_table(comparisons: Sequence[Comparison]) -> SortableTable | None:
    """Returns a row a comparison; None without any."""
    if not comparisons:
        return None
    margin = comparisons[0].settings.margin
    heads = [
        Head("model", number=False),
        Head("reference", number=False),
        Head("metric", number=False),
        Head("difference", largest_first=True, title="Model minus reference; below it the interval."),
        Head("p (Holm)", title="Two-sided, corrected for all tests of this page; below it p without the correction."),
    ]
    heads += [] if margin is None else [Head("p (margin)", title=f"One-sided, that the model is worse by {margin:g} or more; corrected.")]
    heads += [
        Head("verdict", number=False),
        Head("of model"),
        Head("of reference"),
        Head("patients", title="With cells for the metric."),
        Head("cells"),
    ]
    rows = []
    for one in comparisons:
        found = one.difference
        interval = "" if found.low is None or found.high is None else f"{found.low:+.4f} to {found.high:+.4f}"
        cells = [
            Cell(one.model, one.model, small="" if one.seeds[0] < 2 else f"mean of {one.seeds[0]} seeds"),
            Cell(one.reference, one.reference, small="" if one.seeds[1] < 2 else f"mean of {one.seeds[1]} seeds"),
            Cell(METRICS[found.metric].label, found.metric),
            number_cell(found.value, "+.4f", small=interval),
            number_cell(found.p_holm, ".4f", small="" if found.p is None or one.tests < 2 else f"{found.p:.4f}"),
        ]
        cells += [] if margin is None else [number_cell(found.p_margin_holm, ".4f")]
        cells += [Cell(one.verdict, one.verdict, small=found.reason)]
        cells += [number_cell(value, ".4f") for value in (found.model, found.reference)]
        cells += [number_cell(found.patients, "d"), number_cell(found.cells, ",d")]
        rows.append(Row(cells, [f"verdict={one.verdict}"]))
    return SortableTable(heads, rows)


def how_tested(comparisons: Sequence[Comparison], subset: str) -> list[str]:
    """Returns sentences on what the tests cover; empty without any."""
    if not comparisons:
        return []
    settings = comparisons[0].settings
    ways = {metric == "auc" for metric in settings.metrics}
    how = [
        f"Differences are model minus reference, on the {SUBSETS[subset]} cells that both scored, matched by name. The unit is the patient."
    ]
    if True in ways:
        how.append("AUC: variance of clustered ROC curves (Obuchowski 1997), t of patients - 1 degrees of freedom.")
    if False in ways:
        how.append(f"Other metrics: expanded percentile bootstrap over patients (Hesterberg 2015), {RESAMPLES:,} resamples.")
    if any(max(one.seeds) > 1 for one in comparisons):
        how.append("Several seeds of a configuration are averaged; the interval covers other patients and other seeds.")
    if any(min(one.seeds) == 1 for one in comparisons):
        how.append(
            "Of a configuration with one seed the interval covers other patients, not another seed: it judges the trained model. Three seeds"
            " or more judge the configuration."
        )
    how.append(
        f"At most {MOST_IN_PAIRS} configurations are compared in all pairs, of more each with one reference; of more than {MOST_TESTED} those best on"
        " validation. No difference shown does not mean that there is none: the interval says how large it may be."
    )
    return how
