"""Saving a model beside model.json, which says what using it takes, and loading both again.

Loading builds the model from the registry, by name and parameters, and takes only numbers from the file: nothing that a saved run
names is ever imported or called.
"""

from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from malaria_exp.config.registry import build
from malaria_exp.config.run_config import Config, ModelInput, Views
from malaria_exp.config.run_files import MODEL_FILE
from malaria_exp.config.validation import PositiveInt, check, check_keys
from malaria_exp.data.cell_table import CLASS_NAMES
from malaria_exp.data.resize import ResizeRule
from malaria_exp.data.subsets import Data
from malaria_exp.evaluation.calibration import NONE, Calibration
from malaria_exp.evaluation.logit_map import LogitMap
from malaria_exp.evaluation.ood import Detector
from malaria_exp.runs.export_formats import input_dtype, write_formats
from malaria_exp.runs.read_files import check_file, read_json
from malaria_exp.runs.saved_detector import read_detector, write_detector
from malaria_exp.training.precision import POLICIES, Precision, set_precision
from malaria_exp.training.trainer_interface import Trained
from malaria_exp.utils.atomic_files import write_json
from malaria_exp.utils.errors import ConfigError, RunFolderError, UserError

if TYPE_CHECKING:
    import keras

MODEL_RECORD = "model.json"


@dataclass(frozen=True)
class SavedModel:
    """A run's model as `load_model` rebuilds it.

    Attributes:
        uncalibrated: float32 images (B, size, size, 3) in [0, 1] to logits (B, 1), as it was trained.
        calibration: of its logits.
        rule: the resize rule that its images need.
        record: model.json.
        detector: of foreign images; None without one.
        views: over how many views of an image its logits are averaged.
    """

    uncalibrated: "keras.Model"
    calibration: Calibration
    rule: ResizeRule
    record: dict[str, Any]
    detector: Detector | None = None
    views: int = 1

    @cached_property
    def averaged(self) -> "keras.Model":
        """The same images to the mean of its logits over the views (B, 1), which the calibration takes."""
        from malaria_exp.training.views import with_views  # loads TensorFlow

        return with_views(self.uncalibrated, self.views)

    @cached_property
    def model(self) -> "keras.Model":
        """The same images to calibrated logits (B, 1)."""
        return _whole(self.uncalibrated, self.views, self.calibration)


def save_model(
    folder: Path, config: Config, data: Data, trained: Trained, calibration: Calibration, detector: Detector | None = None
) -> None:
    """Writes the model, with its views and calibrated, in the formats of `save_as`, ood.npz with the detector of foreign images, and model.json."""
    model, rule, views = trained.model, data.pixel_cache.rule, config.evaluation.views
    whole = _whole(model, views, calibration, rule if config.model_input == "raw" else None)
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
            "views": views,
            "calibration": {"name": calibration.name, "parameters": asdict(calibration.map)},
            "ood": write_detector(folder, detector) if detector else None,
            "output": "calibrated logit; sigmoid(logit) is the score, the probability of parasitized",
            "classes": list(CLASS_NAMES),
            "precision": trained.precision,
            "split_hash": data.manifest.hash,
        },
    )


def _whole(model: "keras.Model", views: int, calibration: Calibration, rule: ResizeRule | None = None) -> "keras.Model":
    """Returns the model with its views and its calibration, and with a resize rule also what prepares raw images for it."""
    from malaria_exp.training.calibrated_model import with_calibration  # loads TensorFlow
    from malaria_exp.training.views import with_views

    whole = with_calibration(with_views(model, views), calibration.map)
    if rule is None:
        return whole
    from malaria_exp.training.raw_input import with_raw_input

    return with_raw_input(whole, rule)


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


def read_calibration(value: Any, where: str) -> Calibration:
    """Returns the calibration that a record of a model holds.

    Args:
        value: as in model.json; None, of a model from before there was calibration, is none.
        where: the place of it, for messages.

    Raises:
        ConfigError: the numbers are not those of an increasing map.
    """
    if value is None:
        return Calibration()
    found = check(where, value, dict[str, Any])
    check_keys(where, found, {"name", "parameters"})
    name = check(f"{where}.name", found.get("name", NONE), str)
    try:
        return Calibration(name, check("parameters", found.get("parameters"), LogitMap))
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def read_views(value: Any, where: str) -> int:
    """Returns the number of views that a record of a model holds; 1 for None, of a model from before there were views."""
    return check(where, 1 if value is None else value, Views)


def load_model(folder: Path, precision: Precision | None = None) -> SavedModel:
    """Rebuilds a run's model from the registry and loads its weights, also of one that was saved with what prepares raw images.

    Args:
        folder: of the run.
        precision: that it computes in; None for that of its training.

    Raises:
        RunFolderError: the files are missing, damaged, or do not belong together.
        ConfigError: the model's name or parameters are not known here, such as a plugin's that was not given.
    """
    record, rule = read_record(folder)
    where = str(folder / MODEL_RECORD)
    name = check(f"{where}: model.name", _entry(record, where, "model", "name"), str)
    params = check(f"{where}: model.params", _entry(record, where, "model", "params"), dict[str, Any])
    views = read_views(record.get("views"), f"{where}: views")
    calibration = read_calibration(record.get("calibration"), f"{where}: calibration")
    detector = read_detector(folder, record.get("ood"), f"{where}: ood")
    set_precision(precision or record["precision"])
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
        # It was saved inside of models that average its views, calibrate it and prepare raw images. The weights of them all are its own.
        whole = _whole(model, views, calibration, rule if record["input"].get("takes") == "raw" else None)
        whole.load_weights(folder / MODEL_FILE)
    except Exception as error:  # noqa: BLE001 - zip, HDF5 and Keras each raise their own on a damaged file
        raise RunFolderError(f"run: the weights in '{folder / MODEL_FILE}' cannot be loaded: {str(error).splitlines()[0]}") from None
    return SavedModel(model, calibration, rule, record, detector, views)
