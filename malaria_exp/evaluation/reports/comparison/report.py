"""The comparison's folder: compare.html, runs.csv, configurations.csv, history.csv and plots/."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from malaria_exp.evaluation.reports.comparison.compared_run import ComparedRun
from malaria_exp.evaluation.reports.comparison.configurations import compare_configs, configurations, text_of
from malaria_exp.evaluation.reports.comparison.csv_files import write_configurations, write_history, write_runs
from malaria_exp.evaluation.reports.comparison.curves import draw_curves
from malaria_exp.evaluation.reports.comparison.page import cautions, configurations_table, decided_by_options, runs_table
from malaria_exp.evaluation.reports.comparison.terminal import print_comparison
from malaria_exp.evaluation.reports.page_elements import write_pictures
from malaria_exp.evaluation.reports.templates import template
from malaria_exp.utils.atomic_files import write_text
from malaria_exp.utils.errors import RunFolderError, listing
from malaria_exp.utils.terminal_log import RESULT, log

PAGE, RUNS_FILE, CONFIGURATIONS_FILE, HISTORY_FILE = "compare.html", "runs.csv", "configurations.csv", "history.csv"


def write_comparison(folder: Path, runs: Sequence[ComparedRun]) -> dict[str, Any]:
    """Writes the page, the CSV files and the plots, and prints a table.

    All text that comes from runs (names, values, reasons) may hold anything; the page escapes it.

    Args:
        folder: that the files are written to.
        runs: in the order they are shown.

    Returns:
        The facts for status.json.

    Raises:
        RunFolderError: none of the runs is finished.
    """
    done = [run for run in runs if run.done]
    if not done:
        reasons = listing(f"{run.name}: {run.status}{f', {run.reason}' if run.reason else ''}" for run in runs)
        raise RunFolderError("runs: no finished training run among them" + (f":\n{reasons}" if runs else "."))
    columns, same = compare_configs(runs)
    groups = configurations(runs, columns)
    leaky, notes = all(run.leaky for run in done), cautions(runs, groups)
    for note in notes:
        log.warning(f"compare   {note}")
    pictures = draw_curves(groups, leaky=leaky)
    write_pictures(folder, pictures)
    write_runs(folder / RUNS_FILE, runs, columns)
    write_configurations(folder / CONFIGURATIONS_FILE, groups)
    write_history(folder / HISTORY_FILE, runs)
    page = template("comparison.html.j2").render(
        title=f"Comparison of {len(runs)} run{'s' if len(runs) > 1 else ''}",
        subtitle=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        leaky=leaky,
        notes=notes,
        runs=runs_table(runs, columns, folder),
        configurations=configurations_table(groups),
        pictures=pictures,
        unfinished=[(run.name, run.status, run.overrides, run.reason) for run in runs if not run.done],
        same=[(key, text_of(value)) for key, value in same.items()],
        follows=decided_by_options(runs, columns),
    )
    write_text(folder / PAGE, page)
    print_comparison(runs, groups)
    log.log(RESULT, f"tables    {folder / RUNS_FILE}, {CONFIGURATIONS_FILE}, {HISTORY_FILE}")
    log.log(RESULT, f"page      {folder / PAGE}")
    return {"runs": len(runs), "finished": len(done), "configurations": len(groups), "leaky": leaky, "report": PAGE}
