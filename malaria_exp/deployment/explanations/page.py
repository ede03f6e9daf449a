"""What task=explain writes: the page, its sheets, and the same as numbers."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from malaria_exp.data.cell_table import CLASS_NAMES
from malaria_exp.data.resize import ResizeRule
from malaria_exp.deployment.explanations.chosen_cells import TITLES
from malaria_exp.deployment.explanations.explained_model import Explanation
from malaria_exp.deployment.explanations.randomization import Stage
from malaria_exp.deployment.explanations.sheet import ShownCell, draw_sheet, full_color
from malaria_exp.evaluation.plots.style import png_bytes
from malaria_exp.evaluation.reports.page_elements import Picture, write_pictures
from malaria_exp.evaluation.reports.templates import interval, number, template
from malaria_exp.utils.atomic_files import write_bytes, write_csv, write_json, write_text

PAGE, SUMMARY, TABLE, MAPS = "report.html", "explanations.json", "explanations.csv", "maps.npz"
ON_PAPER = 8  # cells on a sheet: it fits on a page


@dataclass(frozen=True, eq=False)
class Findings:
    """What was found.

    Attributes:
        subject: which model.
        where: which cells were to choose from.
        threshold: name and value, at which cells are predicted parasitized.
        methods: by name.
        groups: the cells shown, by a key of TITLES.
        maps: by method, (N, m, m) of all cells shown, in the order of the groups.
        rule: how cells become what the model takes.
        stages: of the check with random weights; empty without it.
        checked: cells of that check.
        warnings: of methods that failed it.
        pointing: hit rates of the pointing game; empty where no parasites are known.
        confidence: level of its intervals.
        leaky: the model was trained on a split that leaks.
    """

    subject: str
    where: str
    threshold: tuple[str, float]
    methods: Mapping[str, Explanation]
    groups: Mapping[str, Sequence[ShownCell]]
    maps: Mapping[str, np.ndarray]
    rule: ResizeRule
    stages: Sequence[Stage]
    checked: int
    warnings: Sequence[str]
    pointing: Mapping[str, Any]
    confidence: float
    leaky: bool


def write_page(folder: Path, findings: Findings) -> Path:
    """Writes the page and its sheets; returns the page's path."""
    cells = [cell for group in findings.groups.values() for cell in group]
    full = {name: full_color(values, cells) for name, values in findings.maps.items()}
    units = {name: method.unit for name, method in findings.methods.items()}
    known = any(cell.parasites is not None for cell in cells)
    sections, done = [], 0
    for name, group in findings.groups.items():
        title, words = TITLES[name]
        pictures = []
        for start in range(0, len(group), ON_PAPER):
            part, first = group[start : start + ON_PAPER], done + start
            maps = {method: values[first : first + len(part)] for method, values in findings.maps.items()}
            figure = draw_sheet(title, part, maps, units, full, findings.rule, findings.threshold[1], first=first + 1, leaky=findings.leaky)
            which = f"Cells {first + 1} to {first + len(part)}"
            caption = "The color scales below the columns are the same for all cells of this page." + (
                " White lines are around the parasites that were drawn." if known else ""
            )
            pictures.append(Picture(f"{name}_{first + 1}", which, caption, png_bytes(figure)))
        write_pictures(folder, pictures)
        rows = [
            (str(done + place + 1), cell.name, cell.patient, "" if cell.label is None else CLASS_NAMES[cell.label], f"{cell.score:.4f}")
            for place, cell in enumerate(group)
        ]
        sections.append((title, words, pictures, rows))
        done += len(group)
    name, value = findings.threshold
    page = template("explanations.html.j2").render(
        title="What the scores depend on",
        subtitle=f"{findings.subject}; {findings.where}; threshold {name} = {value:.3g}",
        leaky=findings.leaky,
        findings=findings,
        sections=sections,
        checks=[_check_row(stage, list(findings.methods)) for stage in findings.stages],
        pointing=_pointing_rows(findings),
        heads=[method.replace("_", " ") for method in findings.methods],
    )
    return write_text(folder / PAGE, page)


def _check_row(stage: Stage, methods: Sequence[str]) -> list[str]:
    last = "the top layer" if stage.layers == 1 else f"{stage.layers} layers, down to {stage.top}"
    return [last, *(f"{stage.spearman[name]:.2f} / {stage.ssim[name]:.2f}" for name in methods)]


def _pointing_rows(findings: Findings) -> list[tuple[str, str, str]]:
    if not findings.pointing:
        return []
    rows = [
        (name.replace("_", " "), number(cell["value"], 2), interval(cell) or "n/a") for name, cell in findings.pointing["methods"].items()
    ]
    return [*rows, ("a place of the cell at random", number(findings.pointing["chance"]["value"], 2), "")]


def write_numbers(folder: Path, findings: Findings) -> None:
    """Writes what the page shows as numbers: explanations.csv with a row a cell, explanations.json with the checks, maps.npz with the maps."""
    write_json(
        folder / SUMMARY,
        {
            "subject": findings.subject,
            "cells": findings.where,
            "threshold": dict(zip(("name", "value"), findings.threshold, strict=True)),
            "units": {name: method.unit for name, method in findings.methods.items()},
            "randomization": [asdict(stage) for stage in findings.stages],
            "warnings": findings.warnings,
            "pointing_game": findings.pointing or None,
        },
    )
    names = list(findings.methods)
    columns = [
        "number",
        "group",
        "cell",
        "patient",
        "label",
        "score",
        "predicted",
        *(f"{name}_{end}" for name in names for end in ("least", "most")),
    ]
    rows: list[list[Any]] = []
    for group, cells in findings.groups.items():
        for cell in cells:
            ends = [getattr(findings.maps[name][len(rows)], end)() for name in names for end in ("min", "max")]
            predicted = CLASS_NAMES[cell.score >= findings.threshold[1]]
            rows.append(
                [len(rows) + 1, group, cell.name, cell.patient, "" if cell.label is None else cell.label, cell.score, predicted, *ends]
            )
    write_csv(folder / TABLE, columns, rows)
    _write_maps(folder / MAPS, findings.maps)


def _write_maps(path: Path, maps: Mapping[str, np.ndarray]) -> None:
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {name: values.astype(np.float32) for name, values in maps.items()}
    np.savez_compressed(buffer, **arrays)
    write_bytes(path, buffer.getvalue())
