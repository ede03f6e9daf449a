"""The report of a run: one HTML file that holds everything, to be read on a screen, on a phone, or printed on A4.

It loads nothing: style and pictures are inside of it. All text that comes from outside is escaped.
"""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from malaria_exp.data.cell_table import of_patients
from malaria_exp.evaluation.intervals.interval_interface import PATIENTS_UNKNOWN
from malaria_exp.evaluation.metrics import METRICS
from malaria_exp.evaluation.ood import describe_foreign
from malaria_exp.evaluation.reports.page_elements import Picture, SortableTable
from malaria_exp.evaluation.reports.patient_chapter import NO_DIAGNOSIS, patient_sentences
from malaria_exp.evaluation.reports.templates import interval, number, template
from malaria_exp.evaluation.reports.usefulness_chapter import SUBGROUP_CLOSING, USE_CLOSING, subgroup_sentences, use_sentences
from malaria_exp.evaluation.shortcuts import describe_shortcuts
from malaria_exp.evaluation.summary import first_threshold, reported_subset, shown_cells
from malaria_exp.utils.atomic_files import write_text

# What the tiles show, in plain words.
TILES = {
    "auc": "pairs of which the parasitized cell has the higher score",
    "sensitivity": "parasitized cells found",
    "specificity": "uninfected cells cleared",
    "accuracy": "cells judged right",
}
# By the beginning of their names: plots that the page shows unfolded, in this order, and those that need its whole width.
SHOWN = ("roc", "reliability", "worst_errors")
WIDE = ("training_curves", "per_patient", "worst_errors", "patient_detection", "patient_agreement", "subgroups")
# Those of the chapters on patients, on groups, and on use.
OF_PATIENTS = ("patient_detection", "patient_agreement", "per_patient", "predictive_values")
OF_GROUPS, OF_USE = ("subgroups",), ("risk_coverage", "decision_curve")
SUBSET_NAMES = {"train": "Training", "val": "Validation", "test": "Test", "external": "External"}

# By the beginning of a plot's name: title, and how to read it.
CAPTIONS: dict[str, tuple[str, str]] = {
    "confusion_matrix": (
        "Confusion matrix",
        "Rows are the truth, columns what the model predicted. Upper left over its row is the sensitivity, lower right over its row the "
        "specificity. Misses stand upper right, false alarms lower left.",
    ),
    "roc": (
        "ROC curve",
        "Each point is a threshold: how many parasitized cells it finds against how many uninfected ones it predicts as parasitized. "
        "The curve of a good model runs close to the upper left corner; the dotted diagonal is guessing. The band says how far the "
        "curve may lie for other patients.",
    ),
    "precision_recall": (
        "Precision and recall",
        "The fraction of the cells predicted as parasitized that are parasitized (PPV), as more of the parasitized cells are found. It "
        "depends on how many cells are parasitized here; in a patient's blood far fewer are, and PPV will be lower.",
    ),
    "reliability": (
        "Reliability",
        "Of the cells with a score of .8, eight in ten should be parasitized: then the curve lies on the dotted diagonal. Steeper than it (slope above 1), "
        "the scores are not sure enough; flatter, they are too sure. ECE is how far off they are on average. The band says how far each point moves "
        "with other patients; between 0 and 1 there are few cells, as the bars below show, and it is wide.",
    ),
    "score_histogram": (
        "Scores by class",
        "How sure the model is. Hatched bars left of a threshold are misses, plain bars right of it false alarms. The logarithmic axis "
        "shows the few errors beside the many correct predictions.",
    ),
    "training_curves": (
        "Training",
        "Training (solid) and validation (dashed) over the epochs. If training still improves while validation gets worse, the model "
        "overfits. The dotted line is the epoch whose weights were kept. Scores are calibrated only after training, so the losses are higher "
        "here.",
    ),
    "per_patient": (
        "Patient by patient",
        "Each dot is a patient, worst first; larger dots have more cells. If a few patients lie far below the rest, the average hides "
        "patients for whom the model fails.",
    ),
    "patient_detection": (
        "Infected and healthy patients",
        "Left: below the dashed line lie 95 of 100 healthy patients; right of the dash-dotted one, 95 of 100 infected patients lie above it. "
        "Right: each point is a limit, and how many healthy and infected patients have more cells predicted parasitized than that.",
    ),
    "patient_agreement": (
        "Predicted and labeled fraction",
        "Each dot is a patient. Left: on the dotted line the prediction agrees with the labels; bars are the intervals that the program gives "
        "for a patient whose labels it does not know. Right: how far off it is; 95 of 100 patients lie between the dashed limits, whose "
        "own uncertainty is shaded.",
    ),
    "predictive_values": (
        "Predictive values",
        "What a prediction is worth, by how many of all cells are parasitized: one half among the cells of a data set, far fewer in blood. There "
        "most cells predicted parasitized are false alarms.",
    ),
    "subgroups": (
        "Groups of patients",
        "Each line is a group with its interval, the number of its patients in brackets; the dotted line is the rate of all cells. Red diamonds differ from "
        "all other patients beyond chance. A group without a line has one patient.",
    ),
    "risk_coverage": (
        "Error against coverage",
        "If the model leaves the cells that it is least sure of to a person, it errs less in the others. At the right end it answers all cells.",
    ),
    "decision_curve": (
        "Decision curve",
        "What acting by the score is worth, against acting on every cell and on none, for people who act from different probabilities on: left those who fear "
        "a missed parasite, right those who fear a false alarm. The highest curve is the best choice.",
    ),
    "worst_errors": (
        "The worst errors",
        "The cells that the model got most wrong, with score, patient and file.",
    ),
}
# Added to the captions where cells of the NIH set were scored.
NIH_CAPTIONS = {
    "worst_errors": "Experts who read the NIH set again doubted about one label in twenty, so some of these are errors of the labels.",
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
        leaky: training and evaluation share patients or images; stamps the report.
        counts: rows of the table of what was held out, by subset, each like `CellTable.summary()`; None takes the counts of
            the evaluated subsets from `metrics`.
        plots: PNG bytes by name, in the order shown; a name that begins like a key of CAPTIONS gets its title and caption.
        nih: cells of the NIH set were scored, which adds what is known of its labels to the captions.
        config: the composed configuration as YAML.
        provenance: nested; shown as rows with dotted keys.
        notes: sentences of caution, shown near the top.
        command: the command line that repeats the run.
        runs: of a pooled result, a table with a row for each run.
        patient_links: where a patient's cells are shown, by patient.
        fields: whether fields.html, with each slide's photographs, stands beside it.
    """

    title: str
    run_name: str
    created: str
    held_out: str
    metrics: Mapping[str, Any]
    leaky: bool = False
    counts: Mapping[str, Mapping[str, int]] | None = None
    plots: Mapping[str, bytes] = field(default_factory=dict)
    nih: bool = False
    config: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()
    command: str = ""
    runs: SortableTable | None = None
    patient_links: Mapping[str, str] = field(default_factory=dict)
    fields: bool = False


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
    first = first_threshold(metrics)
    cells = shown_cells(metrics, shown)
    pictures = [(_picture(name, png, nih=data.nih), name.startswith(WIDE)) for name, png in data.plots.items()]
    main, of_patients, of_groups, of_use = (
        [item for start in names for item in pictures if item[0].name.startswith(start)]
        for names in (SHOWN, OF_PATIENTS, OF_GROUPS, OF_USE)
    )
    effective = cells["sensitivity"].get("patients")
    return template("run_report.html.j2").render(
        title=f"{data.run_name} - {data.title}",
        subtitle=f"{data.title} · {data.created}",
        leaky=data.leaky,
        data=data,
        metrics=metrics,
        shown=shown,
        first=first,
        answer=_answer(metrics, shown),
        tiles=_tiles([(METRICS[name].label, words, cells[name]) for name, words in TILES.items()]),
        effective=None if effective is None else f"{effective:.1f}",
        foreign=describe_foreign(SUBSET_NAMES[shown].lower(), part["ood"]) if part.get("ood") else "",
        shortcut=describe_shortcuts(part["shortcut"]) if "shortcut" in part else "",
        part=part,
        registry=METRICS,
        # The subset that the headline is about comes first.
        subsets={shown: part} | dict(metrics["subsets"]),
        counts=data.counts or {name: subset["counted"] for name, subset in metrics["subsets"].items()},
        main_pictures=main,
        patient_pictures=of_patients,
        patient_sentences=patient_sentences(part) if part["patient_level"] else (),
        no_diagnosis=NO_DIAGNOSIS,
        subgroup_pictures=of_groups,
        subgroup_sentences=subgroup_sentences(part["subgroups"], part["at"][first]) if part.get("subgroups") else (),
        SUBGROUP_CLOSING=SUBGROUP_CLOSING,
        use_pictures=of_use,
        use_sentences=use_sentences(part) if "risk_coverage" in part else (),
        USE_CLOSING=USE_CLOSING,
        more_pictures=[item for item in pictures if item not in (*main, *of_patients, *of_groups, *of_use)],
        provenance=flat(data.provenance),
        subset_names=SUBSET_NAMES,
    )


def _answer(metrics: Mapping[str, Any], shown: str) -> str:
    """Returns the result in one sentence."""
    part, first = metrics["subsets"][shown], first_threshold(metrics)
    counted = part["counted"]
    rates = [
        f"{words} {cell['value']:.1%} of the {kind} cells" + ("" if cell["low"] is None else f" ({cell['low']:.1%} to {cell['high']:.1%})")
        for words, kind, cell in (
            ("finds", "parasitized", part["at"][first]["sensitivity"]),
            ("clears", "uninfected", part["at"][first]["specificity"]),
        )
        if cell["value"] is not None
    ]
    patients = of_patients(counted, known=part["no_interval"] != PATIENTS_UNKNOWN)
    whose = "by whom epoch and thresholds were chosen" if shown == "val" else "that it has not learned from"
    said = " and ".join(rates) or "has nothing to find"
    return (
        f"The model {said}, in {counted['cells']:,} {SUBSET_NAMES[shown].lower()} cells {patients} {whose}. It judges single cells and makes no diagnosis;"
        " what it is good for, and what not, stands below."
    )


def _tiles(cells: Sequence[tuple[str, str, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Returns label, words, value and interval of each tile, and where its bar begins and ends, in percent of a scale that all tiles share."""
    lowest = min((cell["value"] if cell["low"] is None else cell["low"] for _, _, cell in cells if cell["value"] is not None), default=0.0)
    floor = min(0.9, math.floor(lowest * 10) / 10)

    def place(value: float | None) -> float | None:
        return None if value is None else round(100 * (value - floor) / (1 - floor), 2)

    return [
        {
            "label": label,
            "words": words,
            "value": number(cell["value"]),
            "interval": interval(cell) or "no interval",
            "floor": f"{floor:g}",
            **{key: place(cell[name]) for key, name in (("at", "value"), ("low", "low"), ("high", "high"))},
        }
        for label, words, cell in cells
    ]


def write_report(path: str | os.PathLike[str], data: ReportData) -> Path:
    """Writes the report atomically.

    Returns:
        The path written.
    """
    return write_text(path, render(data))


def _picture(name: str, png: bytes, *, nih: bool) -> Picture:
    known = next((key for key in CAPTIONS if name.startswith(key)), None)
    title, caption = CAPTIONS[known] if known else (name.replace("_", " ").capitalize(), "")
    if nih and known in NIH_CAPTIONS:
        caption = f"{caption} {NIH_CAPTIONS[known]}"
    rest = name.removeprefix(known or name).strip("_").replace("_", " ")
    return Picture(name, f"{title} ({rest})" if rest else title, caption, png)
