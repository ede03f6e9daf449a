"""The model card of a finished run, and the reporting checklists."""

from typing import TYPE_CHECKING, Annotated

from malaria_exp.config.registry import register
from malaria_exp.config.validation import Pattern
from malaria_exp.runs.run_folder import claim_run

if TYPE_CHECKING:
    from malaria_exp.config.app import App

License = Annotated[str, Pattern(r"[a-z0-9][a-z0-9.-]{0,60}", "an id of https://hf.co/docs/hub/repositories-licenses, such as apache-2.0")]


@register("task", "card")
def card(app: "App", /, *, license: License | None = None) -> None:
    """Writes a run's model card (run=outputs/...), and the checklists CLAIM 2024 and STARD-AI as far as its records answer them.

    The run may be a pooled result; runs=[...] adds evaluations of the run on other data.

    Args:
        license: of the model, an id of the Hugging Face Hub, for the card's front matter; null: the author has not said.
    """
    from pathlib import Path

    from malaria_exp.deployment.card.write_card import write_card
    from malaria_exp.runs.find_runs import find_runs
    from malaria_exp.runs.remote_runs import local_run
    from malaria_exp.utils.errors import ConfigError
    from malaria_exp.utils.terminal_log import RESULT, log

    config = app.config
    if config.run is None:
        raise ConfigError("run: missing; task=card needs the folder of a finished run or of a pooled result: run=outputs/...")
    with claim_run(app.output_dir, config_text=app.config_text, overrides=app.overrides, task="card") as folder:
        evaluations = [found.path for found in find_runs(config.runs, config.cache.path, folder.path, "card")] if config.runs else []
        for path in write_card(Path(local_run(config.run, config.cache.path)), folder.path, license=license, evaluations=evaluations):
            log.log(RESULT, f"card      {path}")
