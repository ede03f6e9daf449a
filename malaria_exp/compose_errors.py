"""Turns Hydra's and OmegaConf's errors while composing into messages that name what is allowed and what is nearest."""

import re
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from malaria_exp.errors import ConfigError, did_you_mean
from malaria_exp.registry import GROUPS


def explain(error: Exception, arguments: list[str], conf: Path) -> ConfigError:
    """Returns the error for the user.

    Args:
        error: raised by Hydra while it composed.
        arguments: the command line without the program's name.
        conf: the folder of the configuration.
    """
    text = str(error)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, option = error.missing_cfg_file.rpartition("/")
        options = sorted(item for item in error.options or () if item)
        own = "" if group == "experiment" else " An option of your own needs plugins=[your_module]."
        return ConfigError(f"{group}: no option '{option}'.{did_you_mean(option, options)} Options of {group}: {', '.join(options)}.{own}")
    match = re.search(r"Could not override '([^']+)'", text)
    if match:
        return _unknown_key(match[1], arguments, conf)
    cause = error.__cause__
    detail = str(cause).splitlines()[0] if isinstance(cause, OmegaConfBaseException) else ""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("See https://hydra.cc")]
    return ConfigError(" ".join([*lines, detail]).strip() or type(error).__name__)


def _unknown_key(key: str, arguments: list[str], conf: Path) -> ConfigError:
    value = next((item for item in arguments if item.lstrip("+~").startswith(f"{key}=")), key)
    parent_path, _, last = key.rpartition(".")
    parent = _defaults(arguments, key, conf)
    found = OmegaConf.select(parent, parent_path) if parent is not None and parent_path else parent
    if not isinstance(found, DictConfig):
        top = sorted(GROUPS) + sorted(str(name) for name in parent or () if name not in GROUPS)
        first = key.partition(".")[0]
        return ConfigError(f"{key}: there is no such key, received {value}.{did_you_mean(first, top)} Top-level keys: {', '.join(top)}.")
    allowed = sorted(str(name) for name in found)
    where = f"Keys of {parent_path}" if parent_path else "Groups and top-level keys"
    hint = f" See: python run.py task=list task.show={parent_path}" if parent_path in GROUPS else ""
    return ConfigError(f"{key}: unknown key, received {value}.{did_you_mean(last, allowed)} {where}: {', '.join(allowed)}.{hint}")


def _defaults(arguments: list[str], without: str, conf: Path) -> DictConfig | None:
    """Composes what the user asked for without the override that failed; without any override if that fails too."""
    kept = [item for item in arguments if not item.startswith("-") and not item.lstrip("+~").startswith(f"{without}=")]
    for overrides in (kept, []):
        GlobalHydra.instance().clear()
        try:
            with initialize_config_dir(str(conf), version_base="1.3"):
                return compose("config", overrides=overrides)
        except (HydraException, OmegaConfBaseException):
            continue
    return None
