"""Reading the JSON and YAML files of a finished run."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from malaria_exp.utils.errors import RunFolderError


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON file of a finished run; a RunFolderError if it is missing or damaged."""
    return _read_mapping(path, lambda: json.loads(path.read_text(encoding="utf-8")))


def read_yaml(path: Path) -> dict[str, Any]:
    """Reads the composed configuration of a finished run as plain values; a RunFolderError if it is missing or damaged."""
    return _read_mapping(path, lambda: OmegaConf.to_container(OmegaConf.load(path)))


def _read_mapping(path: Path, read: Callable[[], Any]) -> dict[str, Any]:
    try:
        found = read()
    except FileNotFoundError:
        raise RunFolderError(
            f"run: '{path.parent}' has no {path.name}. Give the folder of a finished training run: run=outputs/..."
        ) from None
    except (OSError, ValueError, YAMLError, OmegaConfBaseException) as error:
        raise RunFolderError(f"run: '{path}' cannot be read: {str(error).splitlines()[0]}.") from None
    if not isinstance(found, dict):
        raise RunFolderError(f"run: '{path}' cannot be read: expected a mapping.")
    return {str(key): value for key, value in found.items()}
