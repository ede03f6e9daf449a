"""Folds and seeds as one result, from the files in the runs' folders alone."""

from typing import TYPE_CHECKING

from malaria_exp.config.registry import register
from malaria_exp.runs.run_folder import claim_run

if TYPE_CHECKING:
    from malaria_exp.config.app import App


@register("task", "pool")
def pool(app: "App", /) -> None:
    """Makes one result of folds and seeds (runs=outputs/multirun-...): joined test cells, intervals, a report, tables for a paper."""
    with claim_run(app.output_dir, config_text=app.config_text, overrides=app.overrides, task="pool") as folder:
        from malaria_exp.runs.compared_runs import read_runs
        from malaria_exp.runs.find_runs import find_runs
        from malaria_exp.runs.pool import facts, pool_runs, show_results

        runs = read_runs(find_runs(app.config.runs, app.config.cache.path, folder.path, "pool"))
        results = pool_runs(runs, app.config, folder.path, app.overrides)
        show_results(results, folder.path)
        folder.facts |= facts(results)
