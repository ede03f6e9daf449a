"""Going on with a run that was cut off."""

from typing import TYPE_CHECKING

from malaria_exp.config.registry import register
from malaria_exp.runs.run_folder import claim_run
from malaria_exp.utils.errors import ConfigError

if TYPE_CHECKING:
    from malaria_exp.config.app import App

OWN_KEYS = ("task", "task.force", "run", "plugins")


@register("task", "resume")
def resume(app: "App", /, *, force: bool = False) -> float | None:
    """Goes on with a training or prediction that was cut off (run=outputs/...), in its folder and with its configuration.

    A training goes on from its last checkpoint, a prediction behind its last batch. The result is that of a run that was never cut off, bit
    for bit.

    Args:
        force: go on although code, packages, data or machine have changed; the result may then be another.
    """
    from malaria_exp.deployment.predict_images import predict_images
    from malaria_exp.runs.pipeline import train_and_evaluate
    from malaria_exp.runs.resumption import read_cut_off
    from malaria_exp.runs.storage import keep_copy
    from malaria_exp.utils.filesystems import local_path, scheme_of

    keys = [item.partition("=")[0].lstrip("+~") for item in app.overrides]
    if others := [key for key in keys if key not in OWN_KEYS and not key.startswith("hydra")]:
        raise ConfigError(
            f"{others[0]}: task=resume goes on with the run's own configuration, so it cannot be set. Begin a new run with it."
        )
    if app.config.run is None or scheme_of(app.config.run) not in ("", "file"):
        raise ConfigError(
            f"run: received {app.config.run!r}; task=resume needs the local folder of a run that was cut off: run=outputs/..."
        )
    found = read_cut_off(local_path(app.config.run), plugins=app.config.plugins, force=force)
    with claim_run(found.path, config_text=found.config_text, overrides=found.overrides, task=found.task, again=True) as folder:
        if found.task == "predict":
            predict_images(found.config, folder, found.overrides)
        objective = train_and_evaluate(found.config, folder, found.overrides, found).objective if found.task == "train" else None
    keep_copy(found.config, found.path)
    return objective
