"""What came out of a run, and its files: predictions.csv, metrics.json, plots/ and report.html."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from malaria_exp.config.run_config import Config
from malaria_exp.data.bad_images import LEFT_OUT_FILE, describe
from malaria_exp.data.cell_table import BadImage, CellTable, of_patients
from malaria_exp.data.subsets import Cells, Data
from malaria_exp.evaluation.evaluate import cautions, headline, reported_subset
from malaria_exp.evaluation.predictions import Predictions
from malaria_exp.evaluation.results_table import results_table
from malaria_exp.rundir import RunFolder
from malaria_exp.trainer._base import Trained
from malaria_exp.utils.atomic_files import write_bytes, write_json
from malaria_exp.utils.rows import Row
from malaria_exp.utils.terminal_log import RESULT, log

PROTOCOLS = {
    "patient_holdout": "Patients were divided into training, validation and test; no person is in two of them.",
    "patient_kfold": "Cross-validation over patients: this fold's people are in no other subset.",
    "by_manifest": "The subsets come from a given list.",
    "cell_level_leaky": "Cells, not patients, were divided: the same people are in training and test.",
}


@dataclass(eq=False)
class Outcome:
    """The scores of a model and what they amount to.

    Attributes:
        subject: which model on which data, for the report's head.
        cells: the subsets that were scored, in the order of the predictions.
        predictions: every scored cell.
        metrics: as in metrics.json.
        protocol: name of the split.
        leaky: whether training and evaluation share patients or images.
        held_out: sentences for the report: what the model never saw.
        history: training's rows, if there was training.
        monitor: the metric that chose the epoch, if there was training.
        best_epoch: the epoch whose weights were kept, if there was training.
        objective: the best validation value of the monitor, for sweeps; None if it was undefined throughout.
        notes: cautions for the report.
    """

    subject: str
    cells: list[Cells]
    predictions: Predictions
    metrics: dict[str, Any]
    protocol: str
    leaky: bool
    held_out: str
    history: list[Row] = field(default_factory=list)
    monitor: str = "val_auc"
    best_epoch: int | None = None
    objective: float | None = None
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of_training(
        cls, subject: str, data: Data, cells: list[Cells], predictions: Predictions, metrics: dict[str, Any], trained: Trained
    ) -> "Outcome":
        """Puts together what a training run found."""
        manifest = data.manifest
        counts = manifest.counts()
        about = {
            "protocol": manifest.protocol,
            "leaky": manifest.leaky,
            "split_hash": manifest.hash,
            "split": manifest.details,
            "subset_counts": counts if manifest.patients_known else {name: _without_people(part) for name, part in counts.items()},
            "opened": data.opened,
            "training": trained.summary(),
        }
        test, known = counts["test"], manifest.patients_known
        health = f" ({test['infected_patients']} infected, {test['healthy_patients']} healthy)" if known else ""
        held_out = (
            f"{PROTOCOLS.get(manifest.protocol, '')} Test: {test['cells']:,} cells {of_patients(test, known=known)}{health},"
            " opened only for this evaluation."
        )
        return cls(
            subject=subject,
            cells=cells,
            predictions=predictions,
            metrics=about | metrics,
            protocol=manifest.protocol,
            leaky=manifest.leaky,
            held_out=held_out,
            history=trained.history,
            monitor=trained.monitor,
            best_epoch=trained.best_epoch,
            objective=trained.best if math.isfinite(trained.best) else None,
            notes=[*trained.notes, *manifest.details.get("warnings", ())],
        )

    def note_data(self, table: CellTable, left_out: list[BadImage]) -> None:
        """Puts on record what a reader should know of the data: images that were left out as bad, and the dataset's own notes.

        Args:
            table: the cells that were used.
            left_out: the images that were not.
        """
        self.metrics["left_out"] = len(left_out)
        if left_out:
            share = describe(left_out, len(table) + len(left_out))
            self.notes.append(f"{share} were bad and left out; {LEFT_OUT_FILE} lists them.")
        self.notes.extend(table.notes)


def write_outcome(folder: RunFolder, config: Config, outcome: Outcome, record: Mapping[str, Any]) -> None:
    """Writes predictions.csv, metrics.json, plots/*.png and report.html, and tells the terminal and status.json.

    Args:
        folder: the run's folder, which holds config.yaml already.
        config: the run's configuration.
        outcome: what came out.
        record: the provenance.
    """
    from malaria_exp.evaluation.plots import png_bytes
    from malaria_exp.evaluation.report import ReportData, write_report

    outcome.predictions.write(folder / "predictions.csv")
    write_json(folder / "metrics.json", outcome.metrics)
    plots = {name: png_bytes(figure) for name, figure in draw_plots(config, outcome).items()}
    for name, png in plots.items():
        write_bytes(folder / "plots" / f"{name}.png", png)
    report = folder / "report.html"
    write_report(
        report,
        ReportData(
            title=f"Malaria cell classification, run {folder.path.parent.name}/{folder.path.name}",
            run_name=outcome.subject,
            created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            held_out=outcome.held_out,
            metrics=outcome.metrics,
            leaky=outcome.leaky,
            counts=outcome.metrics.get("subset_counts"),
            plots=plots,
            config=(folder / "config.yaml").read_text(encoding="utf-8"),
            provenance=record,
            notes=[*outcome.notes, *cautions(outcome.metrics)],
            command=record["command"],
        ),
    )
    numbers = headline(outcome.metrics)
    folder.facts |= {"headline": numbers, "leaky": outcome.leaky, "objective": outcome.objective, "report": "report.html"}
    log.log(RESULT, results_table(outcome.metrics, leaky=outcome.leaky))
    log.log(RESULT, f"report    {report}")


def _without_people(counts: Mapping[str, int]) -> dict[str, int | None]:
    """Returns the counts with None for those of patients, which nobody knows."""
    return {key: None if "patients" in key else value for key, value in counts.items()}


def draw_plots(config: Config, outcome: Outcome) -> dict[str, Any]:
    """Returns the report's figures by name, in the order they are shown."""
    from malaria_exp.evaluation import plots

    metrics, leaky = outcome.metrics, outcome.leaky
    subset = reported_subset(metrics)
    part, shown = metrics["subsets"][subset], outcome.predictions.select(subset)
    thresholds = metrics["thresholds"]
    drawn = {
        f"confusion_matrix_{name}": plots.confusion_matrix(shown.label, shown.score, value, name=name, leaky=leaky)
        for name, value in thresholds.items()
    }
    drawn["roc"] = plots.roc(
        shown.label, shown.score, shown.patient, thresholds=thresholds, auc=part["ranking"]["auc"], seed=config.seed, leaky=leaky
    )
    drawn["precision_recall"] = plots.precision_recall(
        shown.label, shown.score, thresholds=thresholds, average_precision=part["ranking"]["average_precision"], leaky=leaky
    )
    drawn["score_histogram"] = plots.score_histogram(shown.label, shown.score, thresholds=thresholds, leaky=leaky)
    if outcome.history:
        drawn["training_curves"] = plots.training_curves(
            outcome.history, monitor=outcome.monitor, best_epoch=outcome.best_epoch, leaky=leaky
        )
    drawn["per_patient"] = plots.per_patient(part["per_patient"], leaky=leaky)
    cells = next(cells for cells in outcome.cells if cells.subset == subset)
    missed, alarms = plots.worst(shown.label, shown.score, thresholds["half"], config.evaluation.worst // 2)
    if len(missed) or len(alarms):
        drawn["worst_errors"] = plots.worst_errors(_pictures(shown, cells, missed), _pictures(shown, cells, alarms), leaky=leaky)
    return drawn


def _pictures(shown: Predictions, cells: Cells, rows: np.ndarray) -> list[Any]:
    from malaria_exp.evaluation.plots import ErrorCell

    images = cells.store.take(cells.rows[rows])
    return [
        ErrorCell(image, str(shown.cell_id[row]), str(shown.patient[row]), float(shown.score[row]))
        for image, row in zip(images, rows, strict=True)
    ]
