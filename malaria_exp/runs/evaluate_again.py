"""Evaluating a finished run again: on its own validation and test cells, or on all cells of other data."""

from collections.abc import Sequence

import numpy as np

from malaria_exp.config.run_config import Config
from malaria_exp.data.cell_table import UNKNOWN, CellTable
from malaria_exp.data.split_manifest import TABLE_COLUMNS, Manifest
from malaria_exp.data.subsets import Data
from malaria_exp.evaluation.evaluation_result import EvaluationResult, describe_never_tested
from malaria_exp.evaluation.subgroups.columns import subgroup_columns
from malaria_exp.runs import provenance
from malaria_exp.runs.access_log import record_opening
from malaria_exp.runs.detect_foreign import open_detector
from malaria_exp.runs.evaluate_model import score_and_measure
from malaria_exp.runs.finished_runs import FinishedRun
from malaria_exp.runs.load_data import decode_images, load_table, names_dataset
from malaria_exp.runs.parent_leaks import (
    Leaks,
    compared_by_pixels,
    count_leaks,
    find_leaks,
    find_near_duplicates,
    join_leaks,
    list_few,
    list_leaks,
)
from malaria_exp.runs.read_files import SPLIT, read_config, thresholds_of
from malaria_exp.runs.remote_runs import local_run
from malaria_exp.runs.run_folder import RunFolder
from malaria_exp.runs.saved_model import load_model, read_record
from malaria_exp.runs.shortcut_baseline import add_shortcuts
from malaria_exp.runs.storage import open_storage
from malaria_exp.runs.write_results import write_excluded, write_result
from malaria_exp.training.predict import Scorer
from malaria_exp.utils.errors import ConfigError, DataError, LeakError, RunFolderError
from malaria_exp.utils.filesystems import scheme_of
from malaria_exp.utils.http import public_url
from malaria_exp.utils.tensorflow_setup import load_tensorflow
from malaria_exp.utils.terminal_log import log

EXTERNAL = "external"


def evaluate_again(config: Config, folder: RunFolder, overrides: list[str]) -> None:
    """Evaluates the run that the configuration names, into a new folder.

    Args:
        config: its `run` is the parent run, the one to evaluate.
        folder: of the evaluation.
        overrides: what the user typed. Other data is scored if a dataset is among them.

    Raises:
        ConfigError: no run is given.
        RunFolderError: the run is not finished or damaged.
        DataError: the run's own data has changed, or a column that evaluation.subgroups names makes no subgroups.
        LeakError: other data shares patients or images with the run's training or validation cells.
    """
    if config.run is None:
        raise ConfigError("run: missing; task=evaluate needs the folder of a finished run: run=outputs/...")
    open_storage(config).check()
    run = FinishedRun.read(local_run(config.run, config.cache.path))
    other_data = names_dataset(overrides)

    table = load_table(config, config.one("dataset") if other_data else run.dataset_choice)
    table, pixel_cache, bad_images = decode_images(config, table, read_record(run.path)[1])
    write_excluded(folder, bad_images)
    own = table.data_hash == run.provenance.get("data_hash")
    if not (own or other_data):
        raise DataError(
            f"run: the data is no longer what '{run.path}' was trained on. To score other data, name it: dataset=... dataset.path=..."
        )
    leaks = {} if own else _guard_against_leaks(table, run, allow_leak=config.allow_leak)
    data = Data(
        _own_split(table, run) if own else _all_external(table), pixel_cache, columns=subgroup_columns(table, config.evaluation.subgroups)
    )

    load_tensorflow()
    saved = load_model(run.path)
    subsets = ("val", "test") if own and config.evaluation.test else ("val",) if own else (EXTERNAL,)
    access = None
    if (opened := subsets[-1]) != "val":
        saved_config, protocol = read_config(run.path), run.manifest.protocol
        access = record_opening(folder, table, data.manifest, opened, task="evaluate", protocol=protocol, config=saved_config)
    cells = [data.open(subset, "task=evaluate") for subset in subsets]
    scorer = Scorer(saved.averaged, config.evaluation.batch_size)
    thresholds = thresholds_of(run.metrics)
    foreign = open_detector(saved.uncalibrated, saved.detector, config.evaluation.batch_size)
    predictions, metrics = score_and_measure(config, scorer, saved.calibration, data, cells, thresholds, foreign)

    leaky, split = bool(leaks) or run.manifest.leaky, run.metrics.get("split", {})
    about = {
        "run": public_url(config.run) if scheme_of(config.run) else str(run.path),
        "protocol": run.manifest.protocol,
        "leaky": leaky,
        "split_hash": run.manifest.hash,
        "split": split,
        "access_log": data.access_log,
    }
    subject = f"{saved.record['model']['name']} of run {run.path.name} on {table.name}"
    held_out = _describe_held_out(run, table, own, leaks, subsets)
    result = EvaluationResult(subject, cells, predictions, about | metrics, run.manifest.protocol, leaky, held_out)
    result.columns = data.columns_of(cells)
    if own and (never_tested := split.get("never_tested")):
        result.held_out += f" {describe_never_tested(never_tested)}"
    if access:
        access.note(result)
    result.notes += run.manifest.details.get("warnings", ())
    result.note_data(table, bad_images)
    add_shortcuts(config, table, data.manifest, result)
    record = provenance.collect(seed=config.seed, overrides=overrides)
    record |= {"data_hash": table.data_hash, "split_hash": run.manifest.hash, "run": run.provenance}
    write_result(folder, config, result, record)


def _guard_against_leaks(table: CellTable, run: FinishedRun, *, allow_leak: bool) -> Leaks:
    """Returns what other data shares with the training and validation cells of a run and of its parents."""
    leaks = join_leaks(find_leaks(table, split) for split in (run.manifest, run.parents) if split is not None)
    if not leaks:
        return leaks
    if not allow_leak:
        raise LeakError(
            f"dataset: cells of '{table.name}' were in the training or validation subset of '{run.path}'.\n{list_leaks(leaks)}\n"
            "Take them out, or set allow_leak=true: the result is then stamped LEAKY."
        )
    log.warning(f"leak      {count_leaks(leaks)} were in the run's training or validation subset; the result is stamped LEAKY")
    return leaks


def _own_split(table: CellTable, run: FinishedRun) -> Manifest:
    """Returns a run's split in the order of the table's rows."""
    manifest, cells = run.manifest, table.cell_id.tolist()
    subset_of = dict(zip(manifest.cell_id.tolist(), manifest.subset.tolist(), strict=True))
    if subset_of.keys() != set(cells):
        raise RunFolderError(f"run: '{run.path / SPLIT}' lists other cells than the run's data has.")
    return Manifest.from_table(manifest.protocol, table, np.array([subset_of[cell] for cell in cells]))


def _all_external(table: CellTable) -> Manifest:
    """Returns a manifest with every cell in the subset "external"."""
    columns = {name: getattr(table, name) for name in TABLE_COLUMNS}
    return Manifest(protocol=EXTERNAL, subset=np.full(len(table), EXTERNAL), **columns)


def _describe_held_out(run: FinishedRun, table: CellTable, own: bool, leaks: Leaks, subsets: Sequence[str]) -> str:
    """Returns sentences for the report: which cells were scored, and what the model knows of them."""
    count = run.manifest.counts()["train"]
    trained = f"The run {run.path.name} was trained on {count['cells']:,} cells of {count['patients']} patients."
    if own:
        if "test" not in subsets:
            return f"{trained} Its own validation cells were scored again; its test subset stayed sealed (evaluation.test=false)."
        if "test" not in run.metrics["subsets"]:
            return f"{trained} Its test subset, which had stayed sealed (evaluation.test=false), was opened for this evaluation."
        return f"{trained} Its own validation and test cells were scored again."
    if leaks:
        return f"{trained} All cells of '{table.name}' were scored, though {count_leaks(leaks)} were in the run's training or validation subset."
    learned = [split for split in (run.manifest, run.parents) if split is not None]
    by_pixels = all(compared_by_pixels(table, split) for split in learned)
    images = "no image with the same pixels" if by_pixels else "no image with the same file content (not all pixels were recorded)"
    apart = f"none of its patients and {images} was in training or validation."
    if table.unknown_patients or UNKNOWN in run.manifest.patient:
        whose = "its" if table.unknown_patients else "the run's"
        apart = f"{images} was in training or validation; {whose} patients are not known, so nobody knows whether they are others."
    near = [find_near_duplicates(table, split) for split in learned]
    found = sorted({name for names in near for name in names or ()})
    if found:
        apart += f" {len(found):,} look like copies of images in training or validation, by a comparison of thumbnails: {list_few(found)}."
    elif by_pixels and None not in near:
        apart += " None looks like a lossy copy of one, by a comparison of thumbnails."
    return f"{trained} All {len(table):,} cells of '{table.name}' were scored; {apart}"
