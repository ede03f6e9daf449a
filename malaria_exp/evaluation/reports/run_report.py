"""The report: one HTML file that holds everything, to be read on a screen, on a phone, or printed on A4.

It loads nothing from anywhere: style and pictures are inside it. All text that comes from outside is escaped.
"""

import base64
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from malaria_exp.evaluation.evaluate import CHOSEN_ON_VALIDATION, reported_subset
from malaria_exp.evaluation.metrics import METRICS
from malaria_exp.evaluation.reports.templates import template
from malaria_exp.utils.atomic_files import write_text

TEMPLATE = "run_report.html.j2"
TILES = ("auc", "sensitivity", "specificity", "accuracy")
# Plots that need the page's whole width.
WIDE = ("training_curves", "per_patient", "worst_errors")
SUBSET_NAMES = {"train": "Training", "val": "Validation", "test": "Test", "external": "External"}

# By the beginning of a plot's name: title, and how to read it.
CAPTIONS: dict[str, tuple[str, str]] = {
    "confusion_matrix": (
        "Confusion matrix",
        "Rows are the truth, columns what the model called. Upper left over its row is the sensitivity, lower right over its row the "
        "specificity. Misses stand upper right, false alarms lower left.",
    ),
    "roc": (
        "ROC curve",
        "Each point is a threshold: how many parasitized cells it finds against how many uninfected ones it calls parasitized. "
        "The curve of a good model hugs the upper left corner; the dotted diagonal is guessing. The band says how far the curve "
        "moves when other patients are drawn.",
    ),
    "precision_recall": (
        "Precision and recall",
        "How many of the cells called parasitized are (PPV), as more of the parasitized are found. It depends on how many cells are "
        "parasitized here; in a patient's blood far fewer are, and PPV will be lower.",
    ),
    "score_histogram": (
        "Scores by class",
        "How sure the model is. Hatched bars left of a threshold are misses, plain bars right of it false alarms. A logarithmic axis shows "
        "the few errors beside the many right calls.",
    ),
    "training_curves": (
        "Training",
        "Training (solid) and validation (dashed) over the epochs. Training going on to improve while validation turns is overfitting. "
        "The dotted line is the epoch whose weights were kept.",
    ),
    "per_patient": (
        "Patient by patient",
        "Each dot is a patient, worst first; larger dots have more cells. A few patients far below the rest mean that the average hides "
        "people for whom the model fails.",
    ),
    "worst_errors": (
        "The worst errors",
        "The cells that the model got most wrong, with score, patient and file. Experts who read these images again doubted about "
        "one label in twenty: some of these are errors of the labels.",
    ),
}


@dataclass(frozen=True)
class ReportData:
    """What a report says; all text may hold anything, it is escaped.

    Attributes:
        title: the page's title.
        run_name: the run's name.
        created: when, as text; the report itself never looks at a clock.
        held_out: one or two sentences: the protocol, and what the model never saw.
        metrics: as `malaria_exp.evaluation.evaluate.evaluate` returns it.
        leaky: cells of one patient stood in training and in evaluation; stamps the report.
        counts: rows of the table of what was held out, by subset, each like `CellTable.summary()`; None takes the counts of
            the evaluated subsets from `metrics`.
        plots: PNG bytes by name, in the order shown; a name that begins like a key of CAPTIONS gets its title and caption.
        captions: captions by plot name that replace those.
        config: the composed configuration as YAML.
        provenance: nested; shown as rows with dotted keys.
        notes: sentences of caution, shown near the top.
        command: the command line that repeats the run.
    """

    title: str
    run_name: str
    created: str
    held_out: str
    metrics: Mapping[str, Any]
    leaky: bool = False
    counts: Mapping[str, Mapping[str, int]] | None = None
    plots: Mapping[str, bytes] = field(default_factory=dict)
    captions: Mapping[str, str] = field(default_factory=dict)
    config: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()
    command: str = ""


def flat(nested: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Returns the leaves of nested mappings as (dotted key, text); a list is one leaf, its items a line each."""
    rows = []
    for key, value in nested.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            rows += flat(value, f"{name}.")
        elif isinstance(value, list | tuple):
            rows.append((name, "\n".join(map(str, value))))
        else:
            rows.append((name, "" if value is None else str(value)))
    return rows


def render(data: ReportData) -> str:
    """Returns the report as HTML; equal data gives equal text."""
    metrics = data.metrics
    shown = reported_subset(metrics)
    part = metrics["subsets"][shown]
    cells = {**part["ranking"], **part["at"]["half"]}
    return template(TEMPLATE).render(
        data=data,
        metrics=metrics,
        shown=shown,
        tiles=[(METRICS[name], cells[name]) for name in TILES],
        part=part,
        registry=METRICS,
        # The subset that the headline is about comes first.
        subsets={shown: part} | dict(metrics["subsets"]),
        counts=data.counts or {name: subset["counted"] for name, subset in metrics["subsets"].items()},
        figures=[_figure(name, png, data.captions) for name, png in data.plots.items()],
        provenance=flat(data.provenance),
        subset_names=SUBSET_NAMES,
        on_validation=metrics["threshold_source"] == CHOSEN_ON_VALIDATION,
    )


def write_report(path: str | os.PathLike[str], data: ReportData) -> Path:
    """Writes the report atomically.

    Returns:
        The path written.
    """
    return write_text(path, render(data))


def _figure(name: str, png: bytes, captions: Mapping[str, str]) -> dict[str, Any]:
    known = next((key for key in CAPTIONS if name.startswith(key)), None)
    title, caption = CAPTIONS[known] if known else (name.replace("_", " ").capitalize(), "")
    rest = name.removeprefix(known or name).strip("_").replace("_", " ")
    return {
        "title": f"{title} ({rest})" if rest else title,
        "caption": captions.get(name, caption),
        "wide": known in WIDE,
        "source": "data:image/png;base64," + base64.b64encode(png).decode(),
    }
