"""Exporting a run: writes the bundle, all or nothing, after every model in it has scored cells as Keras does."""

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from malaria_exp.config.run_config import Config
from malaria_exp.deployment import predict_file
from malaria_exp.deployment.bundle import IN_RUN, MODELS, ExportedModel, Format, Numbers, read_facts
from malaria_exp.deployment.card.write_card import MARKDOWN_FILE, write_card
from malaria_exp.deployment.check_cells import RunCells, cells_to_check
from malaria_exp.deployment.deployed_model import ModelFacts
from malaria_exp.deployment.export_table import TABLE, Row, use_section, write_rows
from malaria_exp.deployment.exporter import EXPORTED, Exporter
from malaria_exp.deployment.formats import PACKAGES, check_packages
from malaria_exp.deployment.parity import CheckCells
from malaria_exp.deployment.trained_on import GUARD, guard_of
from malaria_exp.runs.finished_runs import FinishedRun
from malaria_exp.runs.remote_runs import local_run
from malaria_exp.runs.saved_model import MODEL_RECORD, load_model
from malaria_exp.utils.atomic_files import new_folder, saying_disk_full, write_json
from malaria_exp.utils.errors import ConfigError, DataError, UserError
from malaria_exp.utils.filesystems import local_path, scheme_of
from malaria_exp.utils.tensorflow_setup import load_tensorflow
from malaria_exp.utils.version import installed_version

# Training cells by which int8 models are calibrated.
CALIBRATED_WITH = 300


@dataclass(frozen=True)
class ExportSettings:
    """What is exported; see conf/task/export.yaml.

    Attributes:
        formats: to write.
        numbers: what models compute with; a SavedModel is float32 always.
        cells: by how many cells each is checked.
        tolerance: largest difference of a score from Keras', of float32 models.
        int8_tolerance: the same of int8 models.
    """

    formats: list[Format]
    numbers: list[Numbers]
    cells: int
    tolerance: float
    int8_tolerance: float


def export_run(config: Config, overrides: list[str], to: str | None, settings: ExportSettings) -> tuple[Path, list[Row], str]:
    """Exports the run that the configuration names.

    Args:
        config: its `run` is the run.
        overrides: what the user typed.
        to: the bundle's folder; None for `bundle` in the run's folder.
        settings: what is exported.

    Returns:
        The bundle's folder, the rows of its table, and by what cells its models were checked.

    Raises:
        ConfigError: no run is given, a package is missing, or the bundle's folder exists.
        RunFolderError: the run is not finished, or damaged.
        DataError: an export says something else than Keras.
    """
    if config.run is None:
        raise ConfigError("run: missing; task=export needs the folder of a finished run: run=outputs/...")
    folder = _free_folder(config.run, to)
    wanted = [(name, numbers) for name in settings.formats for numbers in settings.numbers if (name, numbers) != ("saved_model", "int8")]
    if not wanted or len(set(wanted)) < len(wanted):
        raise ConfigError(
            f"task.formats: expected formats and numbers, each once; saved_model has no int8. Received formats {settings.formats}, numbers"
            f" {settings.numbers}."
        )
    check_packages(settings.formats)
    run = FinishedRun.read(local_run(config.run, config.cache.path))
    facts = read_facts(run.path)
    try:
        own: RunCells | UserError = RunCells(config, run, overrides)
    except UserError as error:
        own = error
    training = _int8_cells(own, settings)
    cells = cells_to_check(own, settings.cells, facts.rule)
    folder.parent.mkdir(parents=True, exist_ok=True)
    load_tensorflow()
    own_precision = facts.record["precision"]
    # What is loaded last decides in which precision later models compute.
    as_trained = load_model(facts.folder) if own_precision != EXPORTED else None
    with new_folder(folder) as temporary, saying_disk_full(folder):
        exporter = Exporter(temporary, facts, load_model(facts.folder, EXPORTED), cells, training)
        if as_trained:
            exporter.add_keras(as_trained, own_precision)
        for name, numbers in wanted:
            exporter.add(name, numbers, settings.tolerance if numbers == EXPORTED else settings.int8_tolerance)
        record = _record(facts, run, cells, exporter.models)
        write_json(temporary / MODEL_RECORD, record)
        write_rows(temporary / TABLE, exporter.rows)
        write_card(run.path, temporary)
        with (temporary / MARKDOWN_FILE).open("a", encoding="utf-8") as file:
            file.write(use_section(facts, record, exporter.rows))
        shutil.copyfile(predict_file.__file__, temporary / "predict.py")
    return folder, exporter.rows, cells.words


def _free_folder(run: str, to: str | None) -> Path:
    """Returns where the bundle is written; a ConfigError if something is there."""
    if to is None and scheme_of(run) not in ("", "file"):
        raise ConfigError("task.to: missing; say where the bundle of a run that is not on this machine is written: task.to=folder")
    folder = Path(to).expanduser() if to else local_path(run) / IN_RUN
    if folder.exists():
        raise ConfigError(f"task.to: '{folder}' exists already; nothing is written over it. Remove it, or choose another: task.to=...")
    return folder


def _int8_cells(own: RunCells | UserError, settings: ExportSettings) -> list[np.ndarray]:
    """Returns the training cells by which int8 models are calibrated; none if there is no such model."""
    if "int8" not in settings.numbers:
        return []
    if isinstance(own, UserError):
        raise DataError(f"task.numbers: int8 models are calibrated on the run's training cells, which are not at hand: {own}")
    return own.take("train", CALIBRATED_WITH)[0]


def _record(facts: ModelFacts, run: FinishedRun, cells: CheckCells, models: list[ExportedModel]) -> dict[str, Any]:
    """Returns the bundle's model.json: the run's, and what a user needs who has no run."""
    manifest = run.manifest
    return {
        **facts.record,
        "thresholds": {name: asdict(item) for name, item in facts.thresholds.items()},
        "ood": facts.record.get("ood"),
        MODELS: [asdict(model) for model in models],
        "checked_with": cells.words,
        "training_data": {
            "dataset": run.dataset["name"],
            "data_hash": run.provenance.get("data_hash"),
            "split_hash": manifest.hash,
            "subsets": manifest.counts(),
        },
        GUARD: guard_of(manifest),
        "versions": {name: installed_version(name) for name in sorted({"malaria_exp", "tensorflow", "keras", *sum(PACKAGES.values(), ())})},
    }
