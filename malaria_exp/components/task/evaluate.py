"""Evaluating a finished run again."""

from typing import TYPE_CHECKING

from malaria_exp.config.registry import register
from malaria_exp.runs.run_folder import claim_run
from malaria_exp.runs.storage import keep_copy

if TYPE_CHECKING:
    from malaria_exp.config.app import App


@register("task", "evaluate")
def evaluate(app: "App", /) -> None:
    """Scores a finished run again (run=outputs/...), on its own cells or, with dataset=..., on every cell of other data."""
    from malaria_exp.runs.evaluate_again import evaluate_again

    with claim_run(app.output_dir, config_text=app.config_text, overrides=app.overrides, task="evaluate") as folder:
        evaluate_again(app.config, folder, app.overrides)
    keep_copy(app.config, folder.path)
