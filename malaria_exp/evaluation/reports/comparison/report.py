"""The comparison's folder: compare.html, comparisons.csv, runs.csv, configurations.csv, history.csv and plots/."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from malaria_exp.evaluation.reports.comparison.compared_run import ComparedRun
from malaria_exp.evaluation.reports.comparison.configurations import compare_configs, configurations, text_of
from malaria_exp.evaluation.reports.comparison.csv_files import write_comparisons, write_configurations, write_history, write_runs
from malaria_exp.evaluation.reports.comparison.curves import draw_curves
from malaria_exp.evaluation.reports.comparison.difference_elements import comparisons_table, draw_forest, how_tested
from malaria_exp.evaluation.reports.comparison.differences import Settings, compare_configurations, said
from malaria_exp.evaluation.reports.comparison.page import cautions, configurations_table, decided_by_options, runs_table
from malaria_exp.evaluation.reports.comparison.shared_cells import Read
from malaria_exp.evaluation.reports.comparison.terminal import print_comparison
from malaria_exp.evaluation.reports.page_elements import write_pictures
from malaria_exp.evaluation.reports.templates import template
from malaria_exp.utils.atomic_files import write_text
from malaria_exp.utils.errors import RunFolderError, listing
from malaria_exp.utils.terminal_log import RESULT, log

PAGE, COMPARISONS_FILE, RUNS_FILE, CONFIGURATIONS_FILE, HISTORY_FILE = (
    "compare.html",
    "comparisons.csv",
    "runs.csv",
    "configurations.csv",
    "history.csv",
)


def write_comparison(folder: Path, runs: Sequence[ComparedRun], settings: Settings, read: Read) -> dict[str, Any]:
    """Writes the page, the CSV files and the plots, and prints a table.

    All text that comes from runs (names, values, reasons) may hold anything; the page escapes it.

    Args:
        folder: that the files are written to.
        runs: in the order they are shown.
        settings: what is tested.
        read: reads the predictions of a run.

    Returns:
        The facts for status.json.

    Raises:
        RunFolderError: none of the runs is finished.
        ConfigError: the reference is none of the runs.
    """
    done = [run for run in runs if run.done]
    if not done:
        reasons = listing(f"{run.name}: {run.status}{f', {run.reason}' if run.reason else ''}" for run in runs)
        raise RunFolderError("runs: no finished training run among them" + (f":\n{reasons}" if runs else "."))
    columns, same = compare_configs(runs)
    groups = configurations(runs, columns)
    # One subset for all: a run that sealed its test cells is compared with others where both may be looked at.
    subset = "test" if all(run.subset == "test" for run in done) else "val"
    comparisons = compare_configurations(groups, subset, read, settings)
    leaky, notes = all(run.leaky for run in done), cautions(runs, groups)
    for note in notes:
        log.warning(f"compare   {note}")
    pictures, differences = draw_curves(groups, leaky=leaky), draw_forest(comparisons, subset, leaky=leaky)
    write_pictures(folder, [*pictures, *differences])
    write_comparisons(folder / COMPARISONS_FILE, comparisons, subset)
    write_runs(folder / RUNS_FILE, runs, columns)
    write_configurations(folder / CONFIGURATIONS_FILE, groups)
    write_history(folder / HISTORY_FILE, runs)
    page = template("comparison.html.j2").render(
        title=f"Comparison of {len(runs)} run{'s' if len(runs) > 1 else ''}",
        subtitle=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        leaky=leaky,
        notes=notes,
        differences=differences,
        said=said(comparisons),
        how_tested=how_tested(comparisons, subset),
        comparisons=comparisons_table(comparisons),
        runs=runs_table(runs, columns, folder),
        configurations=configurations_table(groups),
        pictures=pictures,
        unfinished=[(run.name, run.status, run.overrides, run.reason) for run in runs if not run.done],
        same=[(key, text_of(value)) for key, value in same.items()],
        follows=decided_by_options(runs, columns),
    )
    write_text(folder / PAGE, page)
    print_comparison(runs, groups, comparisons)
    log.log(RESULT, f"tables    {folder / COMPARISONS_FILE}, {RUNS_FILE}, {CONFIGURATIONS_FILE}, {HISTORY_FILE}")
    log.log(RESULT, f"page      {folder / PAGE}")
    return {"runs": len(runs), "finished": len(done), "configurations": len(groups), "leaky": leaky, "report": PAGE}
