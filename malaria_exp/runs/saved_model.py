"""Saving a model beside model.json, which says what using it takes, and loading both again.

Loading builds the model from the registry, by name and parameters, and takes only numbers from the file: nothing that a saved run
names is ever imported or called.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from malaria_exp.config.registry import build
from malaria_exp.config.run_config import Config, ModelInput
from malaria_exp.config.run_files import MODEL_FILE
from malaria_exp.config.validation import PositiveInt, check
from malaria_exp.data.cell_table import CLASS_NAMES
from malaria_exp.data.resize import ResizeRule
from malaria_exp.data.subsets import Data
from malaria_exp.runs.export_formats import input_dtype, write_formats
from malaria_exp.runs.read_files import check_file, read_json
from malaria_exp.training.precision import POLICIES, set_precision
from malaria_exp.training.trainer_interface import Trained
from malaria_exp.utils.atomic_files import write_json
from malaria_exp.utils.errors import RunFolderError, UserError

if TYPE_CHECKING:
    import keras

MODEL_RECORD = "model.json"


def save_model(folder: Path, config: Config, data: Data, trained: Trained) -> None:
    """Writes the model in the formats of `save_as`, and model.json."""
    model, rule = trained.model, data.pixel_cache.rule
    whole = _with_raw_input(model, rule) if config.model_input == "raw" else model
    files = write_formats(folder, model, whole, config.save_as)
    choice = config.one("model")
    write_json(
        folder / MODEL_RECORD,
        {
            "model": {"name": choice.name, "params": {**choice.params, **dict(getattr(model, "rebuild_params", {}))}},
            "parameters": model.count_params(),
            "files": files,
            "input": {
                **rule.to_dict(),
                "channels": "RGB",
                "scale": "uint8 / 255",
                "takes": config.model_input,
                "shape": list(whole.input_shape),
                "dtype": input_dtype(whole),
            },
            "output": "logit; sigmoid(logit) is the score, the probability of parasitized",
            "classes": list(CLASS_NAMES),
            "precision": trained.precision,
            "split_hash": data.manifest.hash,
        },
    )


def _with_raw_input(model: "keras.Model", rule: ResizeRule) -> "keras.Model":
    from malaria_exp.training.raw_input import with_raw_input  # loads TensorFlow

    return with_raw_input(model, rule)


def _entry(record: dict[str, Any], where: str, *keys: str) -> Any:
    """Returns the value at nested keys of a record; a RunFolderError if it is not there."""
    found: Any = record
    for key in keys:
        if not isinstance(found, dict) or key not in found:
            raise RunFolderError(f"run: '{where}' lacks {'.'.join(keys)}.")
        found = found[key]
    return found


def read_record(folder: Path) -> tuple[dict[str, Any], ResizeRule]:
    """Reads a run's model.json.

    Returns:
        The record, and the resize rule that the model's images need.

    Raises:
        RunFolderError: it is missing, damaged, or was written by another version.
    """
    record = read_json(folder / MODEL_RECORD)
    where = str(folder / MODEL_RECORD)
    size, mode, version = (_entry(record, where, "input", key) for key in ("size", "mode", "version"))
    precision = _entry(record, where, "precision")
    check(f"{where}: input.takes", record["input"].get("takes", "prepared"), ModelInput)
    rule = ResizeRule(
        check(f"{where}: size", size, PositiveInt), check(f"{where}: mode", mode, ResizeRule.__annotations__["mode"]), version
    )
    if precision not in list(POLICIES) or version != ResizeRule(1, "pad").version:
        raise RunFolderError(f"run: '{where}' was written by another version: precision {precision!r}, resize rule version {version!r}.")
    return record, rule


def load_model(folder: Path) -> tuple["keras.Model", ResizeRule, dict[str, Any]]:
    """Rebuilds a run's model from the registry and loads its weights.

    Returns:
        The model, float32 images (B, size, size, 3) in [0, 1] to logits (B, 1), even if the saved file takes raw images; the resize rule
        that its images need; and its record (model.json).

    Raises:
        RunFolderError: the files are missing, damaged, or do not belong together.
        ConfigError: the model's name or parameters are not known here, such as a plugin's that was not given.
    """
    record, rule = read_record(folder)
    where = str(folder / MODEL_RECORD)
    name = check(f"{where}: model.name", _entry(record, where, "model", "name"), str)
    params = check(f"{where}: model.params", _entry(record, where, "model", "params"), dict[str, Any])
    set_precision(record["precision"])
    check_file(folder / MODEL_FILE)
    try:
        model: keras.Model = build("model", name, params, path=f"{where}: model")
    except UserError:
        raise
    except Exception as error:
        raise RunFolderError(f"run: '{where}': the model cannot be built: {' '.join(str(error).split())[:300]}") from error
    if tuple(model.input_shape[1:3]) != (rule.size, rule.size):
        raise RunFolderError(f"run: '{where}' contradicts itself: images of {rule.size} px for a model of {model.input_shape[1]} px.")
    try:
        # A model that takes raw images was saved inside another one. Weights are loaded into both, and the inner one is returned.
        whole = _with_raw_input(model, rule) if record["input"].get("takes") == "raw" else model
        whole.load_weights(folder / MODEL_FILE)
    except Exception as error:  # noqa: BLE001 - zip, HDF5 and Keras each raise their own on a damaged file
        raise RunFolderError(f"run: the weights in '{folder / MODEL_FILE}' cannot be loaded: {str(error).splitlines()[0]}") from None
    return model, rule, record
