"""A saved model: the network with its weights, and beside it what using it takes; and reading both back.

Reading builds the network from the registry, by name and parameters, and takes only numbers from the file: nothing that
stands in a saved run is ever imported or called.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from malaria_exp.batches import Data
from malaria_exp.config import Config
from malaria_exp.errors import RunFolderError
from malaria_exp.files import write_atomically, write_json
from malaria_exp.images import ResizeRule
from malaria_exp.registry import build
from malaria_exp.schema import check
from malaria_exp.table import CLASS_NAMES
from malaria_exp.trainer._base import CHECKPOINT_FILE, Trained
from malaria_exp.trainer._precision import POLICIES, set_precision

if TYPE_CHECKING:
    import keras

MODEL_FILE = "model.keras"
MODEL_RECORD = "model.json"


def save_model(folder: Path, config: Config, data: Data, trained: Trained) -> None:
    """Writes model.keras and model.json; the checkpoint, which the model now holds, goes."""
    write_atomically(folder / MODEL_FILE, trained.model.save)
    choice = config.one("model")
    write_json(
        folder / MODEL_RECORD,
        {
            "model": {"name": choice.name, "params": choice.params},
            "parameters": trained.model.count_params(),
            "input": {**data.store.rule.to_dict(), "channels": "RGB", "scale": "uint8 / 255"},
            "output": "logit; sigmoid(logit) is the score, the probability of parasitized",
            "classes": list(CLASS_NAMES),
            "precision": trained.precision,
            "split_hash": data.manifest.hash,
        },
    )
    (folder / CHECKPOINT_FILE).unlink(missing_ok=True)


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


def load_model(folder: Path) -> tuple["keras.Model", ResizeRule, dict[str, Any]]:
    """Rebuilds a run's model from the registry and loads its weights.

    Returns:
        The model, the resize rule its images need, and its record (model.json).

    Raises:
        RunFolderError: the files are missing, damaged, or do not belong together.
        ConfigError: the model's name or parameters are not known here, such as a plugin's that was not given.
    """
    record = read_json(folder / MODEL_RECORD)
    where = str(folder / MODEL_RECORD)
    try:
        name, params = record["model"]["name"], record["model"]["params"]
        size, mode, version = (record["input"][key] for key in ("size", "mode", "version"))
        precision = record["precision"]
    except (KeyError, TypeError) as error:
        raise RunFolderError(f"run: '{where}' lacks {error}.") from None
    rule = ResizeRule(check(f"{where}: size", size, int), check(f"{where}: mode", mode, ResizeRule.__annotations__["mode"]), version)
    if precision not in POLICIES or version != ResizeRule(1, "pad").version:
        raise RunFolderError(f"run: '{where}' was written by another version: precision {precision!r}, resize rule version {version!r}.")
    set_precision(precision)
    model: keras.Model = build("model", name, params, path=f"{where}: model")
    try:
        model.load_weights(folder / MODEL_FILE)
    except Exception as error:  # noqa: BLE001 - zip, HDF5 and Keras each raise their own on a damaged file
        raise RunFolderError(f"run: the weights in '{folder / MODEL_FILE}' cannot be loaded: {str(error).splitlines()[0]}") from None
    return model, rule, record
