"""How many patients a study needs."""

from typing import TYPE_CHECKING

from malaria_exp.config.registry import register
from malaria_exp.config.validation import Fraction, PositiveInt
from malaria_exp.runs.run_folder import claim_run

if TYPE_CHECKING:
    from malaria_exp.config.app import App


@register("task", "plan_study")
def plan_study(
    app: "App",
    /,
    *,
    width: Fraction = 0.05,
    difference: Fraction = 0.02,
    power: Fraction = 0.8,
    cells: list[PositiveInt] = [20, 50, 100, 200, 1000],  # noqa: B006
    other: str | None = None,
) -> None:
    """Says how many patients a study needs, from how much those of a finished run or of a pooled result differ (run=outputs/...).

    Args:
        width: of the interval of sensitivity, specificity and AUC, from end to end.
        difference: between two models tested on the same patients, that the study is to find.
        power: probability of finding it.
        cells: of a class and patient; a row each.
        other: the run of another model with the same test cells: how much the difference varies is then measured; null: both err
            independently of each other.
    """
    from malaria_exp.runs.plan_study import write_plan

    with claim_run(app.output_dir, config_text=app.config_text, overrides=app.overrides, task="plan_study") as folder:
        write_plan(app.config, folder.path, width=width, difference=difference, power=power, cells=cells, other=other)
