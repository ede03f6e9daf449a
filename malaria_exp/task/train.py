"""The main job."""

from typing import TYPE_CHECKING

from malaria_exp.registry import register
from malaria_exp.rundir import claim_run

if TYPE_CHECKING:
    from malaria_exp.main import App


@register("task", "train")
def train(app: "App", /) -> float | None:
    """Trains, evaluates and reports (the default)."""
    from malaria_exp.runner import train_and_evaluate

    with claim_run(app.output_dir, config_text=app.config_text, overrides=app.overrides, task="train") as folder:
        return train_and_evaluate(app.config, folder, app.overrides).objective
