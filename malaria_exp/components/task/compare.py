"""Runs side by side, from the files in their folders alone."""

from typing import TYPE_CHECKING

from malaria_exp.config.registry import register
from malaria_exp.runs.run_folder import claim_run

if TYPE_CHECKING:
    from malaria_exp.config.app import App


@register("task", "compare")
def compare(app: "App", /) -> None:
    """Puts runs side by side (runs=[outputs/a,outputs/b]): what differs, results, curves, as a page and CSV files."""
    with claim_run(app.output_dir, config_text=app.config_text, overrides=app.overrides, task="compare") as folder:
        from malaria_exp.evaluation.reports.comparison.report import write_comparison
        from malaria_exp.runs.compared_runs import read_runs
        from malaria_exp.runs.find_runs import find_runs

        runs = read_runs(find_runs(app.config.runs, app.config.cache.path, folder.path))
        folder.facts |= write_comparison(folder.path, runs)
