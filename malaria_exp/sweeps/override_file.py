"""override_sets=pairs.yaml: overrides that go together, job by job, instead of every combination."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from malaria_exp.sweeps.search.arguments import to_overrides
from malaria_exp.utils.errors import ConfigError, did_you_mean

EXAMPLE = "- {model: cellnet, optimizer.learning_rate: 0.004}"


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
