"""Runs side by side, from the files in their folders alone."""

from typing import TYPE_CHECKING, Annotated

from malaria_exp.config.registry import register
from malaria_exp.config.validation import Pattern, Positive
from malaria_exp.evaluation.metrics import METRICS
from malaria_exp.runs.run_folder import claim_run

if TYPE_CHECKING:
    from malaria_exp.config.app import App

MetricName = Annotated[str, Pattern("|".join(METRICS), f"one of {', '.join(METRICS)}, or a list of them")]


@register("task", "compare")
def compare(
    app: "App", /, *, metric: MetricName | list[MetricName] = "auc", reference: str | None = None, margin: Positive | None = None
) -> None:
    """Puts runs side by side (runs=[outputs/a,outputs/b]): which is better, by how much, how sure; what differs, results, curves.

    Args:
        metric: what is tested, one or several; with more tests each must show more (Holm).
        reference: a run, or a configuration as the page names it, that all others are compared with; null: the first, and of up to
            four all pairs.
        margin: how much worse still counts as not worse, in the metric's unit; null: no test of non-inferiority.
    """
    with claim_run(app.output_dir, config_text=app.config_text, overrides=app.overrides, task="compare") as folder:
        from malaria_exp.evaluation.reports.comparison.differences import Settings
        from malaria_exp.evaluation.reports.comparison.report import write_comparison
        from malaria_exp.runs.compared_runs import read_runs
        from malaria_exp.runs.find_runs import find_runs
        from malaria_exp.runs.read_files import read_predictions

        runs = read_runs(find_runs(app.config.runs, app.config.cache.path, folder.path))
        metrics = [metric] if isinstance(metric, str) else list(dict.fromkeys(metric))
        settings = Settings(metrics, reference, margin, app.config.evaluation.confidence, app.config.seed)
        folder.facts |= write_comparison(folder.path, runs, settings, lambda run: read_predictions(run.path))
