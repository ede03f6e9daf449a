"""Exporting a run: writes the bundle, all or nothing, after every model in it has scored cells as Keras does."""

from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from malaria_exp.config.run_config import Config
from malaria_exp.deployment.bundle import MODELS, ExportedModel, Format, content_hash, file_name, read_facts
from malaria_exp.deployment.card.write_card import write_card
from malaria_exp.deployment.check_cells import RunCells, cells_to_check
from malaria_exp.deployment.deployed_model import ModelFacts
from malaria_exp.deployment.formats import PACKAGES, check_packages, open_runner, write_model
from malaria_exp.deployment.open_model import KerasModel
from malaria_exp.deployment.parity import BATCH, CheckCells, compare
from malaria_exp.runs.finished_runs import FinishedRun
from malaria_exp.runs.remote_runs import local_run
from malaria_exp.runs.saved_model import MODEL_RECORD, load_model
from malaria_exp.utils.atomic_files import new_folder, write_json
from malaria_exp.utils.errors import ConfigError, DataError, UserError
from malaria_exp.utils.filesystems import local_path, scheme_of
from malaria_exp.utils.terminal_log import log

# The fraction of raw images whose score may differ by more than the tolerance: where a pixel lies halfway between two levels, the last bit
# decides which one it becomes.
ROUNDED_OTHERWISE = 0.01


@dataclass(frozen=True)
class ExportSettings:
    """What is exported; see conf/task/export.yaml.

    Attributes:
        formats: to write.
        cells: by how many cells each is checked.
        tolerance: largest difference of a score from Keras'.
    """

    formats: list[Format]
    cells: int
    tolerance: float


def export_run(config: Config, overrides: list[str], to: str | None, settings: ExportSettings) -> Path:
    """Exports the run that the configuration names, and returns the bundle's folder.

    Args:
        config: its `run` is the run.
        overrides: what the user typed.
        to: the bundle's folder; None for `bundle` in the run's folder.
        settings: what is exported.

    Raises:
        ConfigError: no run is given, a package is missing, or the bundle's folder exists.
        RunFolderError: the run is not finished, or damaged.
        DataError: an export says something else than Keras.
    """
    if config.run is None:
        raise ConfigError("run: missing; task=export needs the folder of a finished run: run=outputs/...")
    folder = _free_folder(config.run, to)
    check_packages(settings.formats)
    run = FinishedRun.read(local_run(config.run, config.cache.path))
    facts = read_facts(run.path)
    try:
        own: RunCells | UserError = RunCells(config, run, overrides)
    except UserError as error:
        own = error
    cells = cells_to_check(own, settings.cells, facts.rule)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with new_folder(folder) as temporary:
        models = _write_models(temporary, facts, cells, settings)
        write_json(temporary / MODEL_RECORD, _record(facts, run, cells, models))
        write_card(run.path, temporary)
    log.info(f"bundle    {folder}")
    return folder


def _free_folder(run: str, to: str | None) -> Path:
    """Returns where the bundle is written; a ConfigError if something is there."""
    if to is None and scheme_of(run) not in ("", "file"):
        raise ConfigError("task.to: missing; say where the bundle of a run that is not on this machine is written: task.to=folder")
    folder = Path(to).expanduser() if to else local_path(run) / "bundle"
    if folder.exists():
        raise ConfigError(f"task.to: '{folder}' exists already; nothing is written over it. Remove it, or choose another: task.to=...")
    return folder


def _write_models(folder: Path, facts: ModelFacts, cells: CheckCells, settings: ExportSettings) -> list[ExportedModel]:
    from malaria_exp.utils.tensorflow_setup import load_tensorflow

    load_tensorflow()
    from malaria_exp.deployment.served_model import ServedModel

    saved = load_model(facts.folder, precision="float32")
    keras, served = KerasModel(facts, saved), ServedModel(saved)
    expected = np.concatenate([keras(cells.prepared[start : start + BATCH]).score for start in range(0, len(cells.labels), BATCH)])
    models = []
    for name in settings.formats:
        path = folder / file_name(name, "float32")
        try:
            write_model(served, name, path)
            run = open_runner(name, path, 0)
            parity = compare(run, cells, expected, facts.thresholds, settings.tolerance)
        except UserError:
            raise
        except Exception as error:  # each converter and runtime raises its own
            raise DataError(f"task.formats: '{name}' cannot be written of this model: {' '.join(str(error).split())[:500]}") from error
        if not (parity.same_pixels <= settings.tolerance and parity.off <= ROUNDED_OTHERWISE):
            raise DataError(
                f"task.formats: the model as '{name}' does not say what Keras says: scores of {cells.words} differ by up to"
                f" {parity.same_pixels:.2g}, and by {parity.raw:.2g} where it resizes them itself; task.tolerance is {settings.tolerance:g}."
                " Nothing was written. Leave the format out, or accept the difference: task.tolerance=..."
            )
        files = [path] if path.is_file() else [item for item in path.rglob("*") if item.is_file()]
        size = sum(item.stat().st_size for item in files)
        auc = None if np.isnan(parity.auc) else parity.auc
        models.append(ExportedModel(name, "float32", path.name, content_hash(path), size, parity.raw, parity.flips, auc))
    return models


def _record(facts: ModelFacts, run: FinishedRun, cells: CheckCells, models: list[ExportedModel]) -> dict[str, Any]:
    """Returns the bundle's model.json: the run's, and what a user needs who has no run."""
    manifest = run.manifest
    train = manifest.rows("train")
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
        "guard": sorted(set(manifest.image[train].tolist())),
        "versions": {name: _version(name) for name in sorted({"malaria_exp", "tensorflow", "keras", *sum(PACKAGES.values(), ())})},
    }


def _version(name: str) -> str | None:
    try:
        return version(name.replace("_", "-"))
    except PackageNotFoundError:
        return None
