"""A search over settings, from a file in W&B's format."""

from typing import TYPE_CHECKING, Annotated

from malaria_exp.config.registry import register
from malaria_exp.config.validation import PositiveInt, Range

if TYPE_CHECKING:
    from malaria_exp.config.app import App


@register("task", "sweep")
def sweep(
    app: "App",
    /,
    *,
    agents: Annotated[int, Range(low=1, high=1024)] = 1,
    trials: PositiveInt | None = None,
    project: str | None = None,
    entity: str | None = None,
) -> float | None:
    """Searches settings as a file in W&B's format says (file=sweeps/cellnet_bayes.yaml), with engine=local or wandb.

    Overrides beside those of the task go to every trial: dataset=nih dataset.path=...

    Args:
        agents: processes that run trials, one each at a time.
        trials: at most so many; null for the file's run_cap, or all of a grid.
        project: engine=wandb: of the sweep; null for the file's, or malaria_exp.
        entity: engine=wandb: user or team; null for the file's, or the account's own.
    """
    from malaria_exp.sweeps.search.sweep_run import run_sweep

    return run_sweep(app, agents=agents, trials=trials, project=project, entity=entity)
