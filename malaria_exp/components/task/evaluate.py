"""Scoring a finished run again: on its own validation and test cells, or on other data."""

from typing import TYPE_CHECKING

import numpy as np

from malaria_exp.config.registry import build, register
from malaria_exp.config.run_config import Config
from malaria_exp.data.cell_table import UNKNOWN, CellTable
from malaria_exp.data.split_manifest import SUBSETS, TABLE_COLUMNS, Manifest
from malaria_exp.runs.finished_runs import FinishedRun
from malaria_exp.runs.remote_runs import local_run
from malaria_exp.runs.run_folder import claim_run
from malaria_exp.runs.storage import keep_copy, open_storage
from malaria_exp.utils.errors import ConfigError, DataError, LeakError, listing
from malaria_exp.utils.filesystems import scheme_of
from malaria_exp.utils.http import public_url
from malaria_exp.utils.terminal_log import log

if TYPE_CHECKING:
    from malaria_exp.config.app import App
    from malaria_exp.runs.run_folder import RunFolder

EXTERNAL = "external"


@register("task", "evaluate")
def evaluate(app: "App", /) -> None:
    """Scores a finished run again (run=outputs/...), on its own cells or, with dataset=..., on every cell of other data."""
    with claim_run(app.output_dir, config_text=app.config_text, overrides=app.overrides, task="evaluate") as folder:
        score_again(app.config, folder, app.overrides)
    keep_copy(app.config, folder.path)


def score_again(config: Config, folder: "RunFolder", overrides: list[str]) -> None:
    """Scores the run that the configuration names, into a new folder.

    Raises:
        ConfigError: no run is given.
        RunFolderError: the run is not finished or damaged.
        DataError: the run's own data is no longer what it was.
        LeakError: other data shares patients or images with the run's training or validation cells.
    """
    from malaria_exp.data.bad_images import exclude_bad_images
    from malaria_exp.data.pixel_cache import open_pixel_cache
    from malaria_exp.data.subsets import Data
    from malaria_exp.evaluation.evaluate import evaluate as judge
    from malaria_exp.evaluation.evaluation_result import EvaluationResult
    from malaria_exp.runs import provenance
    from malaria_exp.runs.pipeline import describe_table
    from malaria_exp.runs.saved_model import load_model, read_record
    from malaria_exp.runs.write_results import write_excluded, write_result
    from malaria_exp.training.predict import Scorer, predict
    from malaria_exp.utils.tensorflow_setup import load_tensorflow

    if config.run is None:
        raise ConfigError("run: missing; task=evaluate needs the folder of a finished run: run=outputs/...")
    open_storage(config).check()
    run = FinishedRun.read(local_run(config.run, config.cache.path))
    asked_for_data = any(item.lstrip("+").startswith(("dataset=", "dataset.")) for item in overrides)
    choice = config.one("dataset")
    name, params = (
        (choice.name, choice.params) if asked_for_data else (run.dataset["name"], {k: v for k, v in run.dataset.items() if k != "name"})
    )
    table: CellTable = build("dataset", name, params, path="dataset" if asked_for_data else f"{run.path / 'config.yaml'}: dataset")
    describe_table(table)
    rule = read_record(run.path)[1]
    table, pixel_cache, excluded = exclude_bad_images(table, open_pixel_cache(table, rule, config.cache.path, config.cache.workers))
    write_excluded(folder, excluded)
    own = table.data_hash == run.provenance.get("data_hash")
    if not own and not asked_for_data:
        raise DataError(
            f"run: the data is no longer what '{run.path}' was trained on. To score other data, name it: dataset=... dataset.path=..."
        )
    leaks: dict[str, list[str]] = {} if own else find_leaks(table, run.manifest)
    if run.earlier is not None and not own:
        # Its weights came from other runs, which had patients of their own.
        for what, found in find_leaks(table, run.earlier).items():
            leaks[what] = sorted({*leaks.get(what, []), *found})
    if leaks and not config.allow_leak:
        text = "\n".join(f"{len(found)} {what}:\n{listing(found)}" for what, found in leaks.items())
        raise LeakError(
            f"dataset: cells of '{table.name}' were in the training or validation subset of '{run.path}'.\n{text}\n"
            "Take them out, or set allow_leak=true: the result is then stamped LEAKY."
        )
    manifest = _manifest_of_own(table, run) if own else _everything_external(table)
    load_tensorflow()
    model, _, saved = load_model(run.path)
    data = Data(manifest, pixel_cache)
    cells = [data.open(subset, "task=evaluate") for subset in (("val", "test") if own else (EXTERNAL,))]
    predictions = predict(Scorer(model, config.evaluation.batch_size), manifest, cells)
    settings = config.evaluation
    metrics = judge(
        predictions,
        target_sensitivity=run.metrics["target_sensitivity"],
        resamples=settings.resamples,
        confidence=settings.confidence,
        seed=config.seed,
        thresholds=run.thresholds,
    )
    leaky = bool(leaks) or run.manifest.leaky
    about = {
        "run": public_url(config.run) if scheme_of(config.run) else str(run.path),
        "protocol": run.manifest.protocol,
        "leaky": leaky,
        "split_hash": run.manifest.hash,
        "access_log": data.access_log,
    }
    record = provenance.collect(seed=config.seed, overrides=overrides)
    record |= {"data_hash": table.data_hash, "split_hash": run.manifest.hash, "run": run.provenance}
    subject = f"{saved['model']['name']} of run {run.path.name} on {table.name}"
    result = EvaluationResult(subject, cells, predictions, about | metrics, run.manifest.protocol, leaky, _held_out(run, table, own, leaks))
    result.notes += run.manifest.details.get("warnings", ())
    result.note_data(table, excluded)
    write_result(folder, config, result, record)


def find_leaks(table: CellTable, manifest: Manifest) -> dict[str, list[str]]:
    """Returns the table's patients and cells that the run trained or validated on, by kind; empty if there are none.

    Cells of unknown patients are no evidence: that nobody knows is said in the report.
    """
    seen = np.isin(manifest.subset, ("train", "val"))
    shared = {
        "patients": sorted((set(table.patient.tolist()) & set(manifest.patient[seen].tolist())) - {UNKNOWN}),
        "images": table.cell_id[np.isin(table.content, manifest.content[seen])].tolist(),
    }
    return {what: found for what, found in shared.items() if found}


def _manifest_of_own(table: CellTable, run: FinishedRun) -> Manifest:
    """Returns the run's split in the order of the table's rows."""
    subset_of = dict(zip(run.manifest.cell_id.tolist(), run.manifest.subset.tolist(), strict=True))
    return Manifest.from_table(run.manifest.protocol, table, np.array([subset_of[cell] for cell in table.cell_id.tolist()]))


def _everything_external(table: CellTable) -> Manifest:
    columns = {name: getattr(table, name) for name in TABLE_COLUMNS}
    return Manifest(protocol=EXTERNAL, subset=np.full(len(table), EXTERNAL), **columns)


def _held_out(run: FinishedRun, table: CellTable, own: bool, leaks: dict[str, list[str]]) -> str:
    counts = run.manifest.counts()
    trained = f"The run {run.path.name} was trained on {counts[SUBSETS[0]]['cells']:,} cells of {counts[SUBSETS[0]]['patients']} patients."
    if own:
        return f"{trained} Its own validation and test cells were scored again."
    if leaks:
        shared = " and ".join(f"{len(found):,} {what}" for what, found in leaks.items())
        log.warning(f"leak      {shared} were in the run's training or validation subset; the result is stamped LEAKY")
        return f"{trained} All cells of '{table.name}' were scored, though {shared} were in the run's training or validation subset."
    kept_apart = "none of its patients or images was in training or validation."
    if table.unknown_patients or UNKNOWN in run.manifest.patient:
        whose = "its" if table.unknown_patients else "the run's"
        kept_apart = (
            f"none of its images was in training or validation; {whose} patients are not known, so nobody knows whether they are others."
        )
    return f"{trained} All {len(table):,} cells of '{table.name}' were scored; {kept_apart}"
