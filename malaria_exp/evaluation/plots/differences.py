"""The forest plot: differences between models with their intervals, a row each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from malaria_exp.evaluation.metrics import METRICS
from malaria_exp.evaluation.plots.style import BLACK, BLUE, GRAY, GREEN, TEXT, VERMILLION, dress, new_figure, shorten

# Narrow enough to be read on a telephone as it is.
WIDTH, ROW, AROUND = 4.8, 0.5, 0.95
LONGEST_LABEL = 56
# Of the verdicts: color, marker, whether it is filled. They differ also in shape, for prints in gray.
LOOKS: Mapping[str, tuple[str, str, bool]] = {
    "better": (BLUE, "o", True),
    "worse": (VERMILLION, "s", True),
    "worse, by less than the margin": (VERMILLION, "D", True),
    "not worse by the margin": (GREEN, "D", False),
    "no difference shown": (GRAY, "o", False),
}


@dataclass(frozen=True)
class ForestRow:
    """A difference to draw.

    Attributes:
        metric: a name of METRICS; each has a panel of its own.
        label: of the row.
        verdict: a key of LOOKS.
        value: the difference.
        low: lower end of its interval.
        high: upper end.
    """

    metric: str
    label: str
    verdict: str
    value: float
    low: float
    high: float


def forest(rows: Sequence[ForestRow], *, margin: float | None = None, leaky: bool = False) -> Figure:
    """Draws a panel a metric and in it the rows from top to bottom, with a line at no difference and a dashed one at the margin.

    Args:
        rows: at least one.
        margin: how much worse counts as not worse, above 0; None for no line.
        leaky: stamps LEAKY across the figure.
    """
    panels = {metric: [row for row in rows if row.metric == metric] for metric in dict.fromkeys(row.metric for row in rows)}
    heights = [AROUND + ROW * len(own) for own in panels.values()]
    figure = new_figure(leaky, (WIDTH, sum(heights) + 0.35))
    grid = figure.add_gridspec(len(panels), 1, height_ratios=heights)
    for place, (metric, own) in enumerate(panels.items()):
        _panel(figure.add_subplot(grid[place]), metric, own, margin)
    shown = [verdict for verdict in LOOKS if any(row.verdict == verdict for row in rows)]
    handles = [Line2D([], [], linewidth=1.8, markersize=7, **_look(verdict)) for verdict in shown]
    figure.legend(handles, shown, loc="outside lower left", ncols=2, fontsize=TEXT - 1.5, frameon=False)
    return figure


def _look(verdict: str) -> dict[str, Any]:
    color, marker, filled = LOOKS[verdict]
    return {"color": color, "marker": marker, "markerfacecolor": color if filled else "white"}


def _panel(axes: Any, metric: str, rows: Sequence[ForestRow], margin: float | None) -> None:
    high_is_better = METRICS[metric].direction == "max"
    dress(axes, METRICS[metric].label, f"Difference (better {'to the right' if high_is_better else 'to the left'} of 0)", "")
    axes.axvline(0, color=BLACK, linewidth=1.2, zorder=1)
    if margin is not None:
        axes.axvline(-margin if high_is_better else margin, color=GRAY, linewidth=1.2, linestyle=(0, (4, 2)), zorder=1)
    for place, row in enumerate(rows):
        axes.plot([row.low, row.high], [place, place], linewidth=1.8, color=LOOKS[row.verdict][0], solid_capstyle="butt", zorder=2)
        axes.plot([row.value], [place], markersize=7, markeredgewidth=1.6, zorder=3, **_look(row.verdict))
        # Above its interval, so that a long name takes nothing from the width of the axis.
        label = shorten(row.label, LONGEST_LABEL)
        behind = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
        axes.text(0.01, place - 0.3, label, transform=axes.get_yaxis_transform(), fontsize=TEXT - 1, va="center", zorder=4, bbox=behind)
    axes.set_ylim(len(rows) - 0.5, -0.7)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(visible=False, axis="y")
    axes.margins(x=0.06)
    axes.xaxis.set_major_locator(MaxNLocator(5))
