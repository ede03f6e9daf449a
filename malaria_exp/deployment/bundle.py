"""The bundle: what a folder that `task=export` writes holds, read and checked as somebody else's, who may have made it to do harm."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from malaria_exp.config.validation import Count, NonNegative, Pattern, Probability, check, check_dataclass
from malaria_exp.data.cell_table import CLASS_NAMES
from malaria_exp.deployment.deployed_model import ModelFacts, OodFacts
from malaria_exp.evaluation.shift import read_shift
from malaria_exp.evaluation.thresholds import Threshold, ThresholdName
from malaria_exp.runs.read_files import check_file, read_metrics
from malaria_exp.runs.saved_model import MODEL_RECORD, read_record
from malaria_exp.utils.errors import ConfigError, RunFolderError
from malaria_exp.utils.filesystems import file_sha256

Format = Literal["saved_model", "onnx", "litert", "openvino"]
Numbers = Literal["float32", "int8"]
# The file of each format, or its folder.
FILES: dict[Format, str] = {"saved_model": "saved_model", "onnx": "model.onnx", "litert": "model.tflite", "openvino": "openvino"}
# The key of model.json by which a bundle is told from a run's folder.
MODELS = "models"
# A run's bundle, within the run's folder.
IN_RUN = "bundle"
LONGEST_WORDS = 200


@dataclass(frozen=True)
class ExportedModel:
    """A model of a bundle, as it stands in model.json.

    Attributes:
        format: what reads it.
        numbers: what it computes with.
        file: its name in the bundle; a folder for the formats of several files.
        sha256: of the file, or of a folder, see `content_hash`.
        bytes: its size.
        largest_difference: of a score from Keras' score of the same cell, over the cells by which it was checked.
        flips: by threshold, how many of these cells it predicts otherwise than Keras.
        auc: of its scores of these cells; None if they are of one class.
    """

    format: Format
    numbers: Numbers
    file: Annotated[str, Pattern(r"[a-z0-9_]{1,40}(\.[a-z0-9_]{1,20})?", "the name of a file in the bundle")]
    sha256: Annotated[str, Pattern(r"[0-9a-f]{64}", "64 hexadecimal digits")]
    bytes: Count
    largest_difference: NonNegative
    flips: dict[ThresholdName, Count]
    auc: Probability | None


def file_name(format: Format, numbers: Numbers) -> str:
    """Returns the name of a model in a bundle, such as model_int8.onnx."""
    stem, dot, ending = FILES[format].partition(".")
    return f"{stem}{'_int8' if numbers == 'int8' else ''}{dot}{ending}"


def content_hash(path: Path) -> str:
    """Returns the SHA-256 of a file as hex; of a folder that of lines with the hash and the name of each of its files, sorted by name."""
    if path.is_dir():
        files = sorted(item.relative_to(path).as_posix() for item in path.rglob("*") if item.is_file())
        return hashlib.sha256("".join(f"{content_hash(path / name)}  {name}\n" for name in files).encode()).hexdigest()
    return file_sha256(path)


def read_facts(folder: Path) -> ModelFacts:
    """Reads what a user of a model has to know, of a finished run or of a bundle.

    Raises:
        RunFolderError: model.json, or a run's metrics.json, is missing or damaged.
    """
    record, rule = read_record(folder)
    where = f"run: '{folder / MODEL_RECORD}'"
    try:
        classes = check("classes", record.get("classes"), list[str])
        if classes != list(CLASS_NAMES):
            raise ConfigError(f"classes: expected {list(CLASS_NAMES)}, received {classes}.")
        found = record.get("thresholds") if MODELS in record else read_metrics(folder)["thresholds"]
        thresholds = check("thresholds", found, dict[ThresholdName, Threshold])
        if not thresholds:
            raise ConfigError("thresholds: it holds none.")
        return ModelFacts(folder, rule, CLASS_NAMES, thresholds, _ood(record.get("ood")), record)
    except ConfigError as error:
        raise RunFolderError(f"{where}: {error}") from None


def read_models(facts: ModelFacts) -> list[ExportedModel]:
    """Returns the models of a bundle; a RunFolderError if model.json is damaged."""
    try:
        found = check(MODELS, facts.record.get(MODELS), list[dict[str, Any]])
        return [check_dataclass(f"{MODELS}[{place}]", item, ExportedModel) for place, item in enumerate(found)]
    except ConfigError as error:
        raise RunFolderError(f"run: '{facts.folder / MODEL_RECORD}': {error}") from None


def onnx_of(facts: ModelFacts) -> ExportedModel:
    """Returns the model of a bundle that this program uses: ONNX, float32 if there is such a one; a RunFolderError if there is none."""
    found = {model.numbers: model for model in read_models(facts) if model.format == "onnx"}
    if not found:
        raise RunFolderError(
            f"run: the bundle '{facts.folder}' has no ONNX model, which this program reads. Export one: task=export task.formats=[onnx]"
        )
    return found.get("float32") or found["int8"]


def read_model_file(facts: ModelFacts, model: ExportedModel) -> bytes:
    """Returns the content of a model that is one file, which must be the one that was exported.

    Raises:
        RunFolderError: it is missing, or another one.
    """
    path = facts.folder / model.file
    check_file(path)
    if path.stat().st_size == model.bytes:
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() == model.sha256:
            return content
    raise RunFolderError(
        f"run: '{path}' is damaged, or another file than was exported: its SHA-256 differs from {MODEL_RECORD}'s. Copy the bundle"
        " again, or export it again: task=export run=..."
    )


def _ood(value: Any) -> OodFacts | None:
    """Returns the detector of foreign cells as model.json has it; it may hold more."""
    if value is None:
        return None
    found = check("ood", value, dict[str, Any])
    name, parts = check("ood.name", found.get("name"), str), check("ood.parts", found.get("parts"), list[str])
    if any(len(words) > LONGEST_WORDS or not words.isprintable() for words in (name, *parts)):
        raise ConfigError(f"ood: expected words of at most {LONGEST_WORDS} printable letters.")
    shift = read_shift(found["shift"], "ood.shift", len(parts)) if "shift" in found else None
    return (
        OodFacts(name, tuple(parts), check("ood.false_warnings", found.get("false_warnings"), Probability | None), shift) if parts else None
    )
