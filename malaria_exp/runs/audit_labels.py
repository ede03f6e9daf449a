"""The audit of labels: the models of folds score all cells, and cells whose label they contradict are listed."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from malaria_exp.config.run_config import Config
from malaria_exp.data.cell_table import CellTable
from malaria_exp.data.pixel_cache import PixelCache
from malaria_exp.data.split_manifest import TABLE_COLUMNS, Manifest
from malaria_exp.data.subsets import Cells
from malaria_exp.evaluation.label_audit import LEAST_DOUBT, LabelAudit, join_models, nearest
from malaria_exp.evaluation.reports.label_audit import AuditPage, Neighbors
from malaria_exp.runs.access_log import record_opening
from malaria_exp.runs.audit_files import write_lists
from malaria_exp.runs.compared_runs import read_runs
from malaria_exp.runs.detect_foreign import FeatureReader
from malaria_exp.runs.find_runs import find_runs
from malaria_exp.runs.finished_runs import FinishedRun
from malaria_exp.runs.load_data import decode_images, load_table
from malaria_exp.runs.pooled_runs import PooledConfiguration, pooled_configurations
from malaria_exp.runs.read_files import read_config
from malaria_exp.runs.run_folder import RunFolder
from malaria_exp.runs.saved_model import load_model, read_record
from malaria_exp.training.predict import Scorer
from malaria_exp.utils.errors import DataError, RunFolderError
from malaria_exp.utils.tensorflow_setup import load_tensorflow
from malaria_exp.utils.terminal_log import RESULT, log

HOW = (
    "python run.py -m split=patient_kfold 'split.fold=range(5)' sampling=uniform trainer.epochs=6 dataset=... makes them, and"
    " task=audit runs=outputs/multirun-... audits them"
)
HARD = "hard_examples"


class Scored(NamedTuple):
    """What the runs say of the cells of the table.

    Attributes:
        logits: float64 (M, N), calibrated, of each run.
        tested: bool (M, N), the run's model never saw the patient.
        run: int64 (N,), the number of the first run that tested it; -1 for others.
        features: float32 (N, D), of that run's model; of other cells 0.
    """

    logits: np.ndarray
    tested: np.ndarray
    run: np.ndarray
    features: list[np.ndarray]


def audit_labels(config: Config, folder: RunFolder, *, views: int, shown: int, neighbors: int) -> None:
    """Audits the labels of the data of finished folds, and writes audit.html, audit.csv and the lists for `dataset.csv`.

    Args:
        config: its `runs` are the folds, of one configuration, with one or several seeds.
        folder: of the audit.
        views: over how many views of a cell its logits are averaged.
        shown: cells of each class on the page.
        neighbors: of each class beside each of them.

    Raises:
        RunFolderError: there are no such folds, or their models have seen the patients whose cells they would judge.
        DataError: the data has changed.
    """
    found = _folds(config, folder)
    runs = [FinishedRun.read(tested.run.path) for tested in found.runs]
    table = load_table(config, runs[0].dataset_choice)
    table, pixel_cache, _ = decode_images(config, table, read_record(runs[0].path)[1])
    if table.data_hash != runs[0].provenance.get("data_hash"):
        raise DataError(f"runs: the data is no longer what '{runs[0].path}' was trained on.")
    load_tensorflow()
    scored = _score(runs, table, pixel_cache, views, config.evaluation.batch_size)
    audited = scored.tested.any(axis=0)
    rows = np.flatnonzero(audited)
    every = Manifest(
        protocol="audit", subset=np.where(audited, "test", "excluded"), **{name: getattr(table, name) for name in TABLE_COLUMNS}
    )
    record_opening(folder, table, every, "test", task="audit", protocol=runs[0].manifest.protocol, config=read_config(runs[0].path))

    logit, doubt = join_models(scored.logits[:, rows], scored.tested[:, rows], table.label[rows])
    audit = LabelAudit(table.label[rows], logit)
    notes = [*found.notes, *_notes(found, table, rows, doubt)]
    for note in notes:
        log.warning(f"audit     {note}")
    write_lists(folder.path, table, rows, audit)
    page = AuditPage(table, rows, audit, pixel_cache, lambda own: _neighbors(scored, table, rows[own], neighbors))
    page.write(
        folder.path,
        shown=shown,
        notes=notes,
        subtitle=f"{found.label}: {found.words}, scores of {views} views",
        files=table.file is not None,
    )
    count = int(audit.contradicted.sum())
    folder.facts |= {"cells": len(rows), "contradicted": count, "report": "audit.html"}
    log.log(
        RESULT,
        f"audit     {count:,} of {len(rows):,} labels are contradicted by the models: {folder / 'audit.html'}",
    )


def _folds(config: Config, folder: RunFolder) -> PooledConfiguration:
    """Returns the folds that are asked for, of one configuration, none of which has seen what it judges."""
    runs = read_runs(find_runs(config.runs, config.cache.path, folder.path, "audit"))
    found = pooled_configurations(runs)
    if len(found) != 1:
        many = f"of {len(found)} configurations: {', '.join(one.label for one in found)}. Give those of one" if found else "none"
        raise RunFolderError(f"runs: expected the finished folds of one configuration; received {many}. {HOW}.")
    if leaky := [run.run.name for run in found[0].runs if run.run.leaky]:
        raise RunFolderError(f"runs: LEAKY: {', '.join(leaky)}. A model that has seen a cell's patient repeats that cell's label. {HOW}.")
    return found[0]


def _score(runs: Sequence[FinishedRun], table: CellTable, pixel_cache: PixelCache, views: int, batch_size: int) -> Scored:
    """Lets each run's model score all cells."""
    from malaria_exp.training.ood_features import choose_taps
    from malaria_exp.training.views import with_views

    row_of = {name: row for row, name in enumerate(table.cell_id.tolist())}
    every = Cells("audit", np.arange(len(table)), table.label, pixel_cache)
    logits, tested = np.zeros((len(runs), len(table))), np.zeros((len(runs), len(table)), bool)
    first, features = np.full(len(table), -1), []
    for number, run in enumerate(runs):
        saved = load_model(run.path)
        if saved.rule != pixel_cache.rule:
            raise RunFolderError(f"runs: '{run.path}' takes images of another size than '{runs[0].path}'.")
        rows = np.array([row_of[name] for name in run.manifest.cell_id[run.manifest.rows("test")].tolist()])
        # Calibrated, so that logits of different models can be compared.
        logits[number] = saved.calibration.map(Scorer(with_views(saved.uncalibrated, views), batch_size).logits(every))
        tested[number, rows] = True
        new = rows[first[rows] < 0]
        first[new] = number
        taps = choose_taps(saved.uncalibrated)[-1:]
        last = FeatureReader(saved.uncalibrated, batch_size, taps)(Cells("test", new, table.label[new], pixel_cache))[-1]
        features.append(last)
        log.info(
            f"audit     {run.path.name}, {number + 1} of {len(runs)}: all cells scored, {len(rows):,} of them of patients that it never saw"
        )
    return Scored(logits, tested, first, features)


def _neighbors(scored: Scored, table: CellTable, row: int, count: int) -> Neighbors:
    """Returns the nearest cells of other patients, of the cell's own class and of the other, among those that the same model never saw."""
    pool = np.flatnonzero(scored.run == scored.run[row])
    features = scored.features[scored.run[row]]
    other_patient = table.patient[pool] != table.patient[row]
    own = features[pool == row]
    alike = [
        nearest(own, features, (other_patient & (table.label[pool] == label))[None], count)[0]
        for label in (table.label[row], 1 - table.label[row])
    ]
    return Neighbors(*(pool[places[places >= 0]] for places in alike))


def _notes(found: PooledConfiguration, table: CellTable, rows: np.ndarray, doubt: float) -> list[str]:
    """Returns what a reader must know beside what the runs' own notes say."""
    notes = []
    if len(rows) < len(table):
        notes.append(
            f"{len(table) - len(rows):,} of {len(table):,} cells were tested by none of the runs; they are not audited and keep label and weight."
        )
    if any(run.setting("sampling") == HARD for run in found.runs):
        notes.append(
            f"The models were trained with sampling={HARD}. They give hard cells, among which wrong labels are, more room, and find fewer of"
            " them: sampling=uniform is better for an audit."
        )
    if doubt < LEAST_DOUBT:
        notes.append(
            f"The models contradict labels that they were trained on {doubt:.2f} times as often as those of new patients: they have learned"
            " labels by heart. Only models that never saw the patient were asked. A shorter training finds more wrong labels."
        )
    if table.truth is not None:
        notes.append("Labels of these cells are wrong on purpose; audit.csv has the truth beside them.")
    return notes
