"""Users' own components: modules named on the command line are imported, and what they register becomes an option.

    python run.py plugins=[my_module] model=my_net model.width=32

A plugin's component needs no YAML file: its keys and defaults are those of its builder's signature. Only what stands on
the command line is imported, never what a saved run names.
"""

import importlib
import inspect
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from malaria_exp.config.registry import GROUPS, Component, plugin_components
from malaria_exp.utils.errors import ConfigError, UserError, did_you_mean
from malaria_exp.utils.tensorflow_setup import TENSORFLOW_NOISE, fix_environment, held_back_stderr

MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


def load(arguments: Sequence[str]) -> list[str]:
    """Imports the modules of a `plugins=[...]` among the arguments and makes their components known to Hydra.

    Args:
        arguments: the command line without the program's name.

    Returns:
        The modules' names.

    Raises:
        ConfigError: a module cannot be found or fails while it is imported.
    """
    names = _named_plugins(arguments)
    fix_environment()
    if names and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    for name in names:
        try:
            # A module that imports TensorFlow at its top would bring back the lines that it prints.
            with held_back_stderr(TENSORFLOW_NOISE):
                importlib.import_module(name)
        except UserError:
            raise
        except ModuleNotFoundError as error:
            if error.name is not None and error.name != name and not name.startswith(f"{error.name}."):
                raise ConfigError(
                    f"plugins: importing '{name}' failed: it needs the module '{error.name}', which is not installed."
                ) from error
            own = did_you_mean(name, (path.stem for path in Path.cwd().glob("*.py")))
            raise ConfigError(
                f"plugins: '{name}' cannot be imported: no module '{error.name}', looked for from {Path.cwd()} and in the installed packages.{own}"
            ) from None
        except (Exception, SystemExit) as error:
            raise ConfigError(f"plugins: importing '{name}' failed: {type(error).__name__}: {error}") from error
    for component in plugin_components():
        _store(component)
    return names


def _named_plugins(arguments: Sequence[str]) -> list[str]:
    names: list[str] = []
    for argument in arguments:
        if argument.lstrip("+").startswith("plugins="):
            try:
                override = OverridesParser.create().parse_override(argument)
            except HydraException:
                return []  # Hydra itself says what is wrong with it.
            if override.is_sweep_override():
                raise ConfigError(f"plugins: expected a list of modules, received {argument}. Write plugins=[first,second].")
            value = override.value()
            found = [str(getattr(item, "text", item)) for item in (value if isinstance(value, list) else [value]) if item is not None]
            for name in found:
                if not MODULE.fullmatch(name):
                    raise ConfigError(
                        f"plugins: expected names of modules, such as my_module or my_package.my_module, received '{name}'. A file my_module.py"
                        " is found in the working folder, and below the folders of PYTHONPATH."
                    )
            names += found
    return names


def _store(component: Component) -> None:
    defaults = {
        key: "???" if parameter.default is inspect.Parameter.empty else parameter.default for key, parameter in component.parameters.items()
    }
    node = {component.name: defaults} if GROUPS[component.group].many else {"name": component.name, **defaults}
    ConfigStore.instance().store(name=component.name, group=component.group, node=node)
