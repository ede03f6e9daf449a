"""The main job."""

from typing import TYPE_CHECKING

from malaria_exp.config.registry import register
from malaria_exp.runs.run_folder import PREVIOUS_ATTEMPTS, claim_run, has_checkpoint
from malaria_exp.utils.errors import ConfigError, RunFolderError
from malaria_exp.utils.redaction import redact_yaml
from malaria_exp.utils.terminal_log import log

if TYPE_CHECKING:
    from malaria_exp.config.app import App
    from malaria_exp.runs.resumption import Resumption


@register("task", "train")
def train(app: "App", /) -> float | None:
    """Trains, evaluates and reports (the default)."""
    from malaria_exp.runs.pipeline import train_and_evaluate, train_as_worker
    from malaria_exp.runs.storage import keep_copy
    from malaria_exp.training.strategy import worker_folder

    beside = worker_folder(app.output_dir, app.config.one("trainer").params.get("strategy", "none"))
    found = _cut_off(app) if app.may_resume and not beside else None
    path, again = beside or app.output_dir, found is not None
    with claim_run(path, config_text=app.config_text, overrides=app.overrides, task="train", again=again) as folder:
        if beside:
            return train_as_worker(app.config, folder)
        objective = train_and_evaluate(app.config, folder, app.overrides, found).objective
    # Only now, because the copy includes the final status.
    keep_copy(app.config, folder.path)
    return objective


def _cut_off(app: "App") -> "Resumption | None":
    """Returns what the job goes on from if it was cut off; None for a new job, and for one that has to begin anew."""
    from malaria_exp.runs.resumption import read_cut_off
    from malaria_exp.sweeps.job_status import move_aside

    if not has_checkpoint(app.output_dir):
        return None
    try:
        found = read_cut_off(app.output_dir, plugins=app.config.plugins)
        if found.config_text != redact_yaml(app.config_text):
            raise RunFolderError("its configuration was edited since")
    except (RunFolderError, ConfigError) as error:
        log.warning(f"resume    the job begins anew; what it left is kept in {PREVIOUS_ATTEMPTS}/: {error}")
        move_aside(app.output_dir.parent, int(app.output_dir.name))
        return None
    return found
