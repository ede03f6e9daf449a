"""What Hydra has to know of this project before it composes: its sweeper, its launchers, and whether the engines they need are there."""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins

from malaria_exp.utils.errors import ConfigError

# Of each launcher that is no part of Hydra: the package it needs, and the extra that brings it.
NEEDS = {"submitit_local": ("submitit", "submitit"), "submitit_slurm": ("submitit", "submitit"), "ray": ("ray", "ray")}
LAUNCHERS = {
    "joblib": ("malaria_exp.sweeps.launcher.joblib", "JoblibLauncher"),
    "submitit_local": ("malaria_exp.sweeps.launcher.submitit", "SubmititLauncher"),
    "submitit_slurm": ("malaria_exp.sweeps.launcher.submitit", "SubmititLauncher"),
    "ray": ("malaria_exp.sweeps.launcher.ray", "RayLauncher"),
}
PACKAGE = "hydra_plugins"
OPTION = "hydra/launcher="


def register_with_hydra(arguments: Sequence[str]) -> None:
    """Makes the project's sweeper and launchers known to Hydra.

    Args:
        arguments: the command line without the program's name.

    Raises:
        ConfigError: the launcher that is asked for needs a package that is not installed.
    """
    chosen = next((argument.removeprefix(OPTION) for argument in arguments if argument.startswith(OPTION)), None)
    if chosen in NEEDS:
        package, extra = NEEDS[chosen]
        if not _installed(package):
            raise ConfigError(
                f"hydra/launcher: '{chosen}' needs a package that is not installed. Install it: pip install 'malaria_exp[{extra}]'"
            )
    if not any(argument in ("-m", "--multirun") for argument in arguments):
        return
    # First of all: looking for plugins loads the modules of Hydra's own anew, which the sweeper builds on.
    Plugins.instance()
    from malaria_exp.sweeps.grid_sweeper import GridSweeper

    _offer(GridSweeper)
    if chosen in LAUNCHERS:
        module, name = LAUNCHERS[chosen]
        _offer(getattr(import_module(module), name))
        # Of the same name where a plugin package of Hydra's is installed too; its schema does not fit this project's options.
        ConfigStore.instance().repo.get("hydra", {}).get("launcher", {}).pop(f"{chosen}.yaml", None)


def _offer(plugin: type) -> None:
    """Makes a class known to Hydra, which makes plugins only of classes of the package hydra_plugins."""
    parent = sys.modules.get(PACKAGE)
    if parent is None:
        try:
            parent = import_module(PACKAGE)
        except ModuleNotFoundError:
            parent = sys.modules.setdefault(PACKAGE, ModuleType(PACKAGE))
    place = sys.modules.setdefault(f"{PACKAGE}.malaria_exp", ModuleType(f"{PACKAGE}.malaria_exp"))
    parent.malaria_exp = place  # type: ignore[attr-defined]
    setattr(place, plugin.__name__, plugin)
    Plugins.instance().class_name_to_class[f"{place.__name__}.{plugin.__name__}"] = plugin


def threads_per_job(jobs: int) -> str:
    """Returns each job's share of this machine's cores, at least 1, if so many jobs run at a time; -1 is one a core."""
    cores = os.cpu_count() or 1
    return str(max(1, cores // (cores if jobs < 1 else jobs)))


def _installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:
        return False
