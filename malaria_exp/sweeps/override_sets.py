"""What python run.py -m is told of the multirun itself: override_sets=pairs.yaml and resume=true."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser

from malaria_exp.sweeps.search.arguments import to_overrides
from malaria_exp.utils.errors import ConfigError, did_you_mean

MULTIRUN_KEYS = ("override_sets", "resume")
EXAMPLE = "- {model: cellnet, optimizer.learning_rate: 0.004}"


def split_arguments(arguments: Sequence[str]) -> tuple[str | None, bool, list[str]]:
    """Returns the file of override sets, whether a multirun goes on, and the arguments that are meant for the jobs.

    Raises:
        ConfigError: one of the first two has several values or none that it can have.
    """
    own: dict[str, Any] = {}
    others = []
    for argument in arguments:
        key = argument.partition("=")[0]
        if key not in MULTIRUN_KEYS:
            others.append(argument)
            continue
        override = OverridesParser.create().parse_override(argument)
        if override.is_sweep_override():
            raise ConfigError(f"{key}: one for the whole multirun, received {argument}.")
        own[key] = override.value()
    resume, sets = own.get("resume", False), own.get("override_sets")
    if not isinstance(resume, bool):
        raise ConfigError(f"resume: expected true or false, received {resume!r}.")
    return None if sets is None else str(getattr(sets, "text", sets)), resume, others


def with_override_sets(jobs: Sequence[list[str]], path: str, typed: Collection[str]) -> list[list[str]]:
    """Returns the overrides of every job with every override set, which varies slowest.

    Args:
        jobs: their overrides so far.
        path: of the file of override sets.
        typed: keys that the command line sets.

    Raises:
        ConfigError: the file cannot be read, or it sets a key that the command line sets too.
    """
    override_sets = read_override_sets(Path(path).expanduser())
    for override in (override for entry in override_sets for override in entry):
        key = override.partition("=")[0].lstrip("+~")
        if key in typed:
            raise ConfigError(f"{key}: stands in '{path}' and on the command line. Leave one of them out.")
    return [[*job, *entry] for entry in override_sets for job in jobs]


def read_override_sets(path: Path) -> list[list[str]]:
    """Returns the overrides of each entry of a file of override sets.

    Args:
        path: a YAML list; each entry is a section of keys and values, or a list of overrides as they are typed.

    Raises:
        ConfigError: the file is missing, or is no such list.
    """
    try:
        entries: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        near = [item.as_posix() for item in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
        raise ConfigError(f"override_sets: '{path}' does not exist.{did_you_mean(str(path), near)}") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"override_sets: '{path}' cannot be read: {' '.join(str(error).split())}.") from None
    if not isinstance(entries, list) or not entries:
        raise ConfigError(
            f"override_sets: '{path}': expected a list with an entry for each job, such as '{EXAMPLE}'; received {type(entries).__name__}."
        )
    found = []
    for number, entry in enumerate(entries, start=1):
        if isinstance(entry, Mapping) and entry:
            found.append(to_overrides({str(key): value for key, value in entry.items()}))
        elif isinstance(entry, list) and entry and all(isinstance(item, str) and "=" in item for item in entry):
            found.append(list(entry))
        else:
            raise ConfigError(
                f"override_sets: '{path}', entry {number}: expected a section such as '{EXAMPLE}' or a list of key=value, received {entry!r}."
            )
    return found
