"""The main job."""

from typing import TYPE_CHECKING

from malaria_exp.config.registry import register
from malaria_exp.runs.run_folder import claim_run

if TYPE_CHECKING:
    from malaria_exp.config.app import App


@register("task", "train")
def train(app: "App", /) -> float | None:
    """Trains, evaluates and reports (the default)."""
    from malaria_exp.runs.pipeline import train_and_evaluate, train_as_worker
    from malaria_exp.runs.storage import keep_copy
    from malaria_exp.training.strategy import worker_folder

    beside = worker_folder(app.output_dir, app.config.one("trainer").params.get("strategy", "none"))
    with claim_run(beside or app.output_dir, config_text=app.config_text, overrides=app.overrides, task="train") as folder:
        if beside:
            return train_as_worker(app.config, folder)
        objective = train_and_evaluate(app.config, folder, app.overrides).objective
    # Only now, because the copy includes the final status.
    keep_copy(app.config, folder.path)
    return objective
