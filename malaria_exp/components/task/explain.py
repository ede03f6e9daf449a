"""Which places of its cells a finished run's scores depend on."""

from typing import TYPE_CHECKING, Annotated

from malaria_exp.config.registry import register
from malaria_exp.config.validation import Range
from malaria_exp.deployment.explanations.chosen_cells import Settings, Subset
from malaria_exp.runs.run_folder import claim_run

if TYPE_CHECKING:
    from malaria_exp.config.app import App

Number = Annotated[int, Range(low=0, high=200)]


@register("task", "explain")
def explain(
    app: "App",
    /,
    *,
    errors: Number = 6,
    doubtful: Number = 6,
    random: Number = 6,
    subset: Subset | None = None,
    check: Number = 4,
    point: Annotated[int, Range(low=0, high=10_000)] = 40,
) -> None:
    """Shows which places of a cell a run's scores depend on (run=outputs/...): Grad-CAM, occlusion and integrated gradients, and checks of them.

    The cells are the run's errors, its doubtful ones and some at random, or those that images=... names.

    Args:
        errors: so many missed cells, and so many false alarms: those with the surest scores.
        doubtful: so many of the cells with scores nearest to the threshold.
        random: so many of the others, drawn by the run's seed.
        subset: whose cells: test or val; null: test where the run has scored it, else val.
        check: so many of the cells are explained again while the layers get random weights, from the last one down; 0: no check.
        point: on synthetic cells, whose parasites are known, so many found ones are in the pointing game; 0: no game.
    """
    from malaria_exp.deployment.explanations.explain import explain as explain_run
    from malaria_exp.runs.storage import keep_copy

    settings = Settings(errors, doubtful, random, subset, check, point)
    with claim_run(app.output_dir, config_text=app.config_text, overrides=app.overrides, task="explain") as folder:
        explain_run(app.config, folder, app.overrides, settings)
    keep_copy(app.config, folder.path)
