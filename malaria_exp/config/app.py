"""What a task is handed, and where the program's own files are."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from malaria_exp.config.composition_errors import explain
from malaria_exp.config.registry import GROUPS, options
from malaria_exp.config.run_config import Config
from malaria_exp.utils.errors import ConfigError

PACKAGE = Path(__file__).resolve().parent.parent
# conf/ and sweeps/ stand beside the package in a clone, and inside of it where the package was installed from a wheel.
HOME = PACKAGE if (PACKAGE / "conf").is_dir() else PACKAGE.parent
CONF = HOME / "conf"
# ${variable:NAME,default} in conf/: an environment variable that is set but empty counts as not set.
OmegaConf.register_new_resolver("variable", lambda name, default: os.environ.get(name) or default, replace=True)
# Groups of conf/ whose options set keys of all others; they have no components.
PRESETS = {"experiment": "presets of many keys: experiments of the notebooks, and studies", "debug": "presets for debugging"}


@dataclass(frozen=True)
class App:
    """What a task is handed.

    Attributes:
        config: the checked configuration.
        config_text: the composed configuration as YAML, as it is saved.
        overrides: what the user typed.
        output_dir: the folder Hydra chose for this job.
        may_resume: whether a run that was cut off in that folder goes on.
    """

    config: Config
    config_text: str
    overrides: list[str]
    output_dir: Path
    may_resume: bool = False


def make_app(composed: DictConfig, overrides: list[str], output_dir: Path, choices: dict[str, Any]) -> App:
    """Checks what Hydra composed and returns what a task is handed.

    Args:
        composed: the configuration without Hydra's own section.
        overrides: what the user typed.
        output_dir: the folder of the run.
        choices: {group: option or options}, as Hydra has them.

    Raises:
        ConfigError: a value is missing, of the wrong type, out of its range, or cannot be resolved.
    """
    try:
        missing = sorted(OmegaConf.missing_keys(composed))
        plain = OmegaConf.to_container(composed, resolve=True)
    except OmegaConfBaseException as error:
        raise explain(error, overrides, CONF) from None
    if missing:
        key = missing[0]
        group = key.partition(".")[0]
        where = f" (conf/{group}/{choices[group]}.yaml)" if choices.get(group) else ""
        raise ConfigError(f"{key}: missing; this option needs it{where}. Set it on the command line: {key}=...")
    if not isinstance(plain, dict):
        raise TypeError("Expected a mapping as the composed configuration.")
    values = {str(key): value for key, value in plain.items()}
    for override in OverridesParser.create().parse_overrides([item for item in overrides if item.partition("=")[0] in {*GROUPS, *PRESETS}]):
        if isinstance(names := override.value(), list):
            _check_list(override.key_or_group, [str(name) for name in names])
        elif names == {}:
            raise ConfigError(
                f"{override.key_or_group}: expected the name of an option, received {override.input_line}, which changes nothing."
                f" Choose with {override.key_or_group}=name."
            )
    for group, choice in choices.items():
        node = values.get(group)
        if group in GROUPS and isinstance(node, dict) and isinstance(choice, str) and node.get("name", choice) != choice:
            raise ConfigError(
                f"{group}.name: received '{node['name']}', but the keys are those of conf/{group}/{choice}.yaml. Choose the option with {group}={node['name']}."
            )
    return App(Config.from_plain(values), OmegaConf.to_yaml(OmegaConf.create(plain)), overrides, output_dir)


def _check_list(group: str, names: list[str]) -> None:
    """Refuses what Hydra would merge without a word: several options of a group that holds one, and the same option twice."""
    received = f"received {group}=[{','.join(names)}]"
    if group in PRESETS:
        if len(names) > 1:
            raise ConfigError(
                f"{group}: expected the name of one preset, {received}. One run for each: -m {group}={','.join(names)}; to join two, write the keys"
                " of one on the command line."
            )
        return
    if not GROUPS[group].many:
        raise ConfigError(
            f"{group}: expected the name of one option, {received}. One run for each: -m {group}={','.join(names) or 'first,second'}"
        )
    if not names and not GROUPS[group].may_be_empty:
        none = f" For none: {group}=none." if "none" in options(group) else ""
        raise ConfigError(f"{group}: expected at least one option, {received}.{none} Options of {group}: {', '.join(options(group))}.")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(f"{group}: '{twice}' is named twice, {received}. Each option stands in a list once.")
