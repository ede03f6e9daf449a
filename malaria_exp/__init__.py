"""malaria_exp: an experiment framework for diagnosing malaria from images of single blood cells.

What the command line does, from Python:

    import malaria_exp

    run = malaria_exp.run(["model=resnet_functional", "aug=[dihedral,cutmix]", "trainer.epochs=3"])
    run.metrics["subsets"]["test"]["ranking"]["auc"]
    malaria_exp.load_run(run.folder).model()
    run.predict("cells.zip").score
    malaria_exp.list_components("model")

A wrong override raises malaria_exp.utils.errors.UserError with the message that the command line prints.
"""

from collections.abc import Iterable
from os import PathLike
from typing import TYPE_CHECKING

from malaria_exp.utils.version import __version__

if TYPE_CHECKING:
    from malaria_exp.config.run_config import Config
    from malaria_exp.deployment.deployed_run import DeployedRun

__all__ = ["__version__", "compose", "list_components", "load_run", "run"]


def run(overrides: Iterable[str] = ()) -> "DeployedRun":
    """Trains, evaluates and reports, as `python run.py OVERRIDES` does, with the same result to the byte.

    Args:
        overrides: as on the command line: ["model=vit", "seed=1"]. With "task=evaluate" and "run=..." a finished run is scored again;
            with "task=resume" and "run=..." one that was cut off goes on.

    Returns:
        The finished run; its folder is outputs/..., or what "hydra.run.dir=..." says.

    Raises:
        UserError: an override is wrong, or the run cannot be made; the message says what to do.
    """
    from malaria_exp.deployment.deployed_run import DeployedRun
    from malaria_exp.main import run_in_process

    return DeployedRun(run_in_process(list(overrides)))


def compose(overrides: Iterable[str] = ()) -> "Config":
    """Composes and checks the configuration of a run without running it.

    Args:
        overrides: as on the command line.

    Returns:
        The checked configuration, with every component's parameters.

    Raises:
        ConfigError: an override is wrong; the message says what is allowed and what is nearest.
    """
    from malaria_exp.main import compose_app

    config = compose_app(list(overrides)).config
    config.check_components()
    return config


def load_run(folder: str | PathLike[str]) -> "DeployedRun":
    """Returns a finished run, to read its metrics, history, predictions and model, and to predict with it.

    Args:
        folder: the run folder, or that of a bundle, which only predicts; or its URL (gs://..., s3://...), from where what reading it takes
            is fetched into the cache folder.

    Raises:
        RunFolderError: there is no finished run, and no bundle.
    """
    from malaria_exp.deployment.deployed_run import DeployedRun
    from malaria_exp.deployment.local_model import local_model
    from malaria_exp.main import compose_app

    return DeployedRun(local_model(str(folder), compose_app([]).config.cache.path))


def list_components(group: str | None = None) -> dict[str, str]:
    """Returns the options of a config group with a line of help for each, or, without a group, the groups.

    Args:
        group: model, aug, loss ...

    Raises:
        ConfigError: there is no such group; the message lists them.
    """
    from malaria_exp.config.registry import GROUPS, check_group, options

    if group is None:
        return {name: item.help for name, item in GROUPS.items()}
    check_group(group)
    return options(group)
