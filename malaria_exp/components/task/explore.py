"""Pictures of what a run is made of, without training."""

from typing import TYPE_CHECKING, Annotated, Literal

from malaria_exp.components.task._explore_data import explore_data
from malaria_exp.components.task._explore_model import explore_model
from malaria_exp.components.task._explore_schedule import explore_schedule
from malaria_exp.config.registry import register
from malaria_exp.config.validation import Range
from malaria_exp.runs.run_folder import claim_run

if TYPE_CHECKING:
    from malaria_exp.config.app import App


@register("task", "explore")
def explore(
    app: "App",
    /,
    *,
    what: Literal["data", "schedule", "model"] = "data",
    samples: Annotated[int, Range(low=1, high=600)] = 48,
    others: bool = True,
) -> None:
    """Draws what a run is made of, without training: a report of data and augmentation, the learning rate, or the model.

    Args:
        what: data: data_report.html and plots/, the data, the split, every augmentation and a training batch in pictures; schedule:
            schedule.png and schedule.csv, the learning rate of every step; model: model.png and model.csv, with shapes, parameters
            and FLOPs.
        samples: cells of each class in the data report's grids of samples.
        others: the data report also shows augmentations that the run does not use, which takes most of its time.
    """
    with claim_run(app.output_dir, config_text=app.config_text, overrides=app.overrides, task="explore") as folder:
        app.config.check_components()
        if what == "data":
            explore_data(app.config, folder, samples=samples, others=others)
        else:
            {"schedule": explore_schedule, "model": explore_model}[what](app.config, folder)
