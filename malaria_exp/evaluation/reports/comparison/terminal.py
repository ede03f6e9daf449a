"""What a comparison ends with on the terminal: the table of results, and what may be said of the differences."""

from collections.abc import Sequence

from rich import box
from rich.markup import escape
from rich.table import Table

from malaria_exp.evaluation.reports.comparison.compared_run import RESULTS, ComparedRun, shared_subset
from malaria_exp.evaluation.reports.comparison.configurations import Configuration
from malaria_exp.evaluation.reports.comparison.differences import Comparison, said
from malaria_exp.utils.progress_bars import console

MOST_ROWS = 40
SHOWN = RESULTS[:4]


def print_comparison(runs: Sequence[ComparedRun], groups: Sequence[Configuration], comparisons: Sequence[Comparison]) -> None:
    """Prints a row a configuration if some differ in their seeds or folds alone, else a row a run, of many the first; then the differences."""
    seeds = len(groups) < len(runs)
    title = (
        f"{len(groups)} configuration{'s' if len(groups) > 1 else ''}, mean and range over runs"
        if seeds
        else f"{len(runs)} run{'s' if len(runs) > 1 else ''}"
    )
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    # Names are folded, not cut: the part that tells two apart is often their end.
    table.add_column("configuration", overflow="fold", min_width=16)
    table.add_column("runs" if seeds else "status", justify="right" if seeds else "left", no_wrap=True)
    subset = shared_subset(runs)
    for name in SHOWN:
        table.add_column(f"{subset}\n{name}" if subset else name, justify="right")
    for group in groups[:MOST_ROWS]:
        run = group.runs[0]
        cells = [
            escape(f"{'LEAKY ' if group.leaky else ''}{group.label}".replace(", ", "\n")),
            str(len(group.done)) if seeds else run.status,
        ]
        for name in SHOWN:
            spread = group.spread(name)
            text = "" if spread.mean is None else f"{spread.mean:.4f}"
            cells.append(text if spread.n < 2 else f"{text}\n{spread.low:.3f}-{spread.high:.3f}")
        table.add_row(*cells)
    console().print(table)
    if len(groups) > MOST_ROWS:
        console().print(f"... and {len(groups) - MOST_ROWS} more, in the tables.", markup=False)
    for sentence in said(comparisons):
        console().print(f"- {sentence}", markup=False, highlight=False)
