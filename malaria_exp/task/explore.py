"""Pictures of what a run is made of, without training."""

from typing import TYPE_CHECKING, Literal

from malaria_exp.registry import register
from malaria_exp.rundir import claim_run
from malaria_exp.task._explore_model import explore_model
from malaria_exp.task._explore_schedule import explore_schedule

if TYPE_CHECKING:
    from malaria_exp.main import App


@register("task", "explore")
def explore(app: "App", /, *, what: Literal["schedule", "model"] = "schedule") -> None:
    """Draws what a run is made of, without training: the learning rate over the run, or the model's architecture.

    Args:
        what: schedule: schedule.png and schedule.csv; model: model.png and model.csv, with shapes, parameters and FLOPs.
    """
    with claim_run(app.output_dir, config_text=app.config_text, overrides=app.overrides, task="explore") as folder:
        app.config.check_components()
        {"schedule": explore_schedule, "model": explore_model}[what](app.config, folder)
