"""Values written as overrides that Hydra reads back unchanged, and the arguments of W&B's agent translated into such overrides."""

import ast
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from malaria_exp.sweeps.sealed_jobs import SEAL, may_be_sealed
from malaria_exp.utils.errors import ConfigError

SWEEP_ID, SWEEP_PARAM_PATH = "WANDB_SWEEP_ID", "WANDB_SWEEP_PARAM_PATH"
KEY = re.compile(r"[A-Za-z_][\w-]*", re.ASCII)
# Text that Hydra reads without quotes.
BARE = re.compile(r"[A-Za-z_/][\w./@+-]*", re.ASCII)
# Added to an agent's run that names no loggers: without W&B's logger the sweep would never learn its metric.
TRACKED = ("logger=[console,csv,wandb]", "logger.console.mode=plain", "logger.wandb.images=false", "logger.wandb.models=false")
# Words that Hydra reads as something else, in any case.
RESERVED = ("null", "true", "false", "inf", "nan")


def to_overrides(values: Mapping[str, Any]) -> list[str]:
    """Returns an override for each value; a nested mapping gives one for each of its leaves.

    Text with ${...} stays an interpolation, as on the command line.

    Args:
        values: text, numbers, bools, None, lists of these and mappings, by their dotted names.

    Raises:
        ConfigError: a value that cannot be given on a command line.
    """
    return [f"{name}={_written(name, value)}" for name, value in _leaves(values)]


def from_agent(arguments: list[str]) -> list[str]:
    """Returns a command line in which values that W&B's agent wrote as Python shows them, such as `key=None`, are written for Hydra.

    The agent also writes the values to a file, with their types; without the file they are guessed from the text. Arguments that are not
    the agent's stay as they are, and so does every command line that no agent gave.

    Args:
        arguments: without the program.

    Raises:
        ConfigError: a value that cannot be given to Hydra.
    """
    if not os.environ.get(SWEEP_ID):
        return arguments
    values = agents_values()
    translated: list[str] = []
    for argument in arguments:
        key, equals, text = argument.partition("=")
        if not equals or key.startswith("-"):
            translated.append(argument)
        elif values is None:
            translated += _guessed(argument, key, text)
        elif key in values and str(values[key]) == text:
            translated += to_overrides({key: values[key]})
        else:
            translated.append(argument)
    return translated


def completed(arguments: list[str]) -> list[str]:
    """Returns the command line of a trial, if an agent of W&B gave it, with W&B's logger if it names no logger, and with a sealed test subset.

    So a sweep's file needs neither, and engine=local can run it without the package wandb.
    """
    if not os.environ.get(SWEEP_ID):
        return arguments
    logger = [] if any(argument.startswith("logger=") for argument in arguments) else TRACKED
    return [*arguments, *logger, *([SEAL] if may_be_sealed(arguments) else [])]


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if prefix and not (isinstance(key, str) and KEY.fullmatch(key)):
            raise ConfigError(f"{prefix[:-1]}: received the key {key!r}; keys are letters, digits, _ and -, and begin with a letter or _.")
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{name}.")
        else:
            yield name, value


def _written(name: str, value: Any) -> str:
    """Returns a value in Hydra's grammar."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return repr(float(value))
    if isinstance(value, str):
        return _quoted(name, value)
    if isinstance(value, list | tuple):
        return f"[{','.join(_written(name, item) for item in value)}]"
    if isinstance(value, Mapping):
        for key in value:
            # Hydra has no quotes for keys.
            if not (isinstance(key, str) and KEY.fullmatch(key)) or key.lower() in RESERVED:
                raise ConfigError(f"{name}: received a section with the key {key!r}, which cannot be given on a command line.")
        return f"{{{','.join(f'{key}:{_written(name, item)}' for key, item in value.items())}}}"
    raise ConfigError(
        f"{name}: expected text, a number, true, false, null, a list or a section; received {value!r} ({type(value).__name__})."
    )


def _quoted(name: str, text: str) -> str:
    if "\0" in text:
        raise ConfigError(f"{name}: received text with a NUL character, which cannot be given on a command line.")
    if BARE.fullmatch(text) and text.lower() not in RESERVED:
        return text
    # A backslash is special only before a quote, the closing one too.
    doubled = re.sub(r"(\\+)(?='|\Z)", r"\1\1", text)
    return "'" + doubled.replace("'", "\\'") + "'"


def agents_values() -> dict[str, Any] | None:
    """Returns the values that W&B's agent gives this run, from the file it writes them to; None without a file."""
    path = os.environ.get(SWEEP_PARAM_PATH)
    return read_agents_values(Path(path)) if path else None


def read_agents_values(path: Path) -> dict[str, Any] | None:
    """Returns the values in a file that W&B's agent wrote for a run; None if it cannot be read."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return {key: given["value"] for key, given in content.items() if isinstance(given, Mapping)}
    except (KeyError, OSError, UnicodeDecodeError, yaml.YAMLError, AttributeError):
        return None


def _guessed(argument: str, key: str, text: str) -> list[str]:
    """Returns an argument as Hydra reads it, judged by its text alone."""
    if text == "None" or text[:1] in ("[", "{"):
        try:
            return to_overrides({key: ast.literal_eval(text)})
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            # Not a value as Python shows it.
            pass
    return [argument] if _one_value(argument) else to_overrides({key: text})


def _one_value(argument: str) -> bool:
    """Tells whether Hydra reads an argument, and not as several values for several runs."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        return not OverridesParser.create().parse_override(argument).is_sweep_override()
    except HydraException:
        return False
