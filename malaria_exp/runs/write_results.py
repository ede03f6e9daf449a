"""Writing an evaluation result: predictions.csv, metrics.json, plots/, report.html, patients.html, fields.html, and the list of excluded images."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from malaria_exp.config.run_config import Config
from malaria_exp.data.bad_images import EXCLUDED_FILE
from malaria_exp.data.cell_table import BadImage
from malaria_exp.evaluation.evaluation_result import EvaluationResult
from malaria_exp.evaluation.reports.results_table import results_table
from malaria_exp.evaluation.shortcuts import COLUMN
from malaria_exp.evaluation.subgroups.columns import SUBGROUP
from malaria_exp.evaluation.summary import cautions, first_threshold, headline, reported_subset
from malaria_exp.runs.run_folder import RunFolder
from malaria_exp.utils.atomic_files import write_bytes, write_csv, write_json
from malaria_exp.utils.terminal_log import RESULT, log

if TYPE_CHECKING:
    from malaria_exp.evaluation.reports.page_elements import SortableTable


def write_result(folder: RunFolder, config: Config, result: EvaluationResult, record: Mapping[str, Any]) -> None:
    """Writes the files of an evaluation, see `write_evaluation`, and shows the metrics in the terminal and in status.json.

    Args:
        folder: the run's folder, which holds config.yaml already.
        config: the run's configuration.
        result: the evaluation result.
        record: the provenance.
    """
    title = f"run {folder.path.parent.name}/{folder.path.name}"
    config_text = (folder / "config.yaml").read_text(encoding="utf-8")
    report = write_evaluation(folder.path, result, record, title, config_text, errors=config.evaluation.worst)
    folder.facts |= {"headline": headline(result.metrics), "leaky": result.leaky, "objective": result.objective, "report": "report.html"}
    log.log(RESULT, results_table(result.metrics, leaky=result.leaky))
    log.log(RESULT, f"report    {report}")


def write_evaluation(
    folder: Path,
    result: EvaluationResult,
    record: Mapping[str, Any],
    title: str,
    config_text: str,
    *,
    errors: int,
    columns: Mapping[str, np.ndarray] | None = None,
    drawn: EvaluationResult | None = None,
    runs: "SortableTable | None" = None,
    pooled_links: Mapping[str, str] = MappingProxyType({}),
) -> Path:
    """Writes predictions.csv, metrics.json, plots/*.png, report.html, and as far as images and names allow patients.html and fields.html; returns the report's path.

    Args:
        folder: that they are written to.
        result: the evaluation result.
        record: the provenance.
        title: what was evaluated, in words.
        config_text: the configuration as YAML.
        errors: most cells among the worst errors.
        columns: further columns of predictions.csv.
        drawn: what the figures show, if it is not all of the result.
        runs: of a pooled result, a table with a row for each run.
        pooled_links: of a pooled result, where a patient's cells are shown, by patient.
    """
    from malaria_exp.evaluation.plots.run_figures import draw_plots
    from malaria_exp.evaluation.reports.field_cells import write_field_cells
    from malaria_exp.evaluation.reports.patient_cells import patient_links, write_patient_cells
    from malaria_exp.evaluation.reports.run_report import ReportData, write_report

    more = dict(columns or {}) | {f"{SUBGROUP}{name}": column for name, column in result.columns.items()}
    if result.shortcut_scores is not None:
        more[COLUMN] = np.array([repr(score) for score in result.shortcut_scores.tolist()])
    result.predictions.write(folder / "predictions.csv", more)
    write_json(folder / "metrics.json", result.metrics)
    plots = draw_plots(drawn or result, errors=errors)
    for name, png in plots.items():
        write_bytes(folder / "plots" / f"{name}.png", png)
    subset, first = reported_subset(result.metrics), first_threshold(result.metrics)
    shown, part = result.predictions.select(subset), result.metrics["subsets"][subset]
    cells = next((one for one in result.cells if one.subset == subset), None)
    links = pooled_links if cells is None else patient_links(row["patient"] for row in part["per_patient"])
    threshold = result.own_thresholds.get(first, part["at"][first]["threshold"])
    about: dict[str, Any] = {"subject": result.subject, "leaky": result.leaky}
    fields = write_field_cells(folder, shown, threshold, first, cells=cells, patient_links=links, **about)
    if cells:
        write_patient_cells(folder, shown, cells, part, first, fields=fields, **about)
    return write_report(
        folder / "report.html",
        ReportData(
            title=f"Malaria cell classification, {title}",
            run_name=result.subject,
            created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            held_out=result.held_out,
            metrics=result.metrics,
            leaky=result.leaky,
            counts=result.metrics.get("subset_counts"),
            plots=plots,
            nih=result.nih,
            config=config_text,
            provenance=record,
            notes=[*result.notes, *cautions(result.metrics, nih=result.nih)],
            command=record["command"],
            runs=runs,
            patient_links=links,
            fields=fields,
        ),
    )


def write_excluded(folder: RunFolder, excluded: list[BadImage]) -> None:
    """Writes excluded.csv, the bad images with reasons, into the run's folder; nothing if there are none."""
    if excluded:
        write_csv(folder / EXCLUDED_FILE, BadImage._fields, excluded)
