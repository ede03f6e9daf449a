"""The table of an export: parity, size and latency of each model; in the terminal, as CSV, and in the bundle's README."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from malaria_exp.deployment.bundle import MODELS
from malaria_exp.deployment.deployed_model import ModelFacts
from malaria_exp.deployment.latency import MANY, latency
from malaria_exp.deployment.parity import Parity
from malaria_exp.utils.atomic_files import write_csv
from malaria_exp.utils.machine import cores, processor

TABLE = "exports.csv"


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
        format: of the model, or "keras".
        numbers: what it computes with.
        bytes: of its file or folder; None of Keras.
        parity: of its scores with Keras' in float32.
        latency: by number of threads (0 for one a core), milliseconds for one cell and for 1,000 cells in large batches.
    """

    format: str
    numbers: str
    bytes: int | None
    parity: Parity
    latency: dict[int, tuple[float, float]]


def latencies(
    open_run: Callable[[int], Callable[[np.ndarray], object]], cells: np.ndarray, threads: Iterable[int]
) -> dict[int, tuple[float, float]]:
    """Returns `latency` by number of threads; `open_run` opens the model for so many."""
    return {count: latency(open_run(count), cells) for count in threads}


def columns(rows: Sequence[Row]) -> list[str]:
    """Returns the names of the table's columns."""
    flips = [f"flips at {name}" for name in rows[0].parity.flips]
    times = [
        f"{what}, {threads}" for threads in ("1 thread", "all threads") for what in ("ms a cell", f"ms per 1,000 in batches of {MANY}")
    ]
    return ["format", "numbers", "MB", "largest difference of a score", *flips, "AUC", *times]


def values(row: Row) -> list[str]:
    """Returns a row as text."""
    times = [f"{value:.3g}" if value is not None else "" for count in (1, 0) for value in row.latency.get(count, (None, None))]
    size, auc = "" if row.bytes is None else f"{row.bytes / 1e6:.2f}", row.parity.auc
    parity = [f"{row.parity.largest_difference:.1e}", *map(str, row.parity.flips.values()), "" if auc is None else f"{auc:.5f}"]
    return [row.format, row.numbers, size, *parity, *times]


def rich_table(rows: Sequence[Row], checked_with: str) -> Table:
    """Returns the table for the terminal."""
    table = Table(title=f"{checked_with}, compared with Keras in float32; {cores()} cores of {processor()}", title_justify="left")
    for place, name in enumerate(columns(rows)):
        table.add_column(name, justify="left" if place < 2 else "right", no_wrap=place < 2, overflow="fold")
    for row in rows:
        table.add_row(*values(row))
    return table


def markdown_table(rows: Sequence[Row]) -> str:
    """Returns the table in Markdown."""
    names = columns(rows)
    lines = [names, ["---"] * len(names), *map(values, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Writes the table as CSV."""
    write_csv(path, columns(rows), map(values, rows))


def use_section(facts: ModelFacts, record: dict[str, Any], rows: Sequence[Row]) -> str:
    """Returns what the bundle's README says of using it, in Markdown."""
    models = "\n".join(f"- `{model['file']}`: {model['format']}, {model['numbers']}" for model in record[MODELS])
    thresholds = "\n".join(f"- {name}: {item.value:.6g}" for name, item in facts.thresholds.items())
    return f"""
## Use

{models}

Each takes `images`, RGB, uint8 (B, H, W, 3) of any height and width, one cell an image; resizing, scaling and calibration are inside. It gives
`logit` and `score`, float32 (B, 1); score is the probability of parasitized. With a detector of foreign images (`ood` in `model.json`) it also gives
`ood`, float32 (B, P), a number for each part of the detector; above 1 the image does not look like the training data in that respect.
A cell is predicted parasitized if its score is at least a threshold:

{thresholds}

`model.json` holds these facts and more: fingerprints of the training cells (`guard`), versions, the SHA-256 of each model.

    python predict.py cells/ > predictions.csv

needs numpy, pillow and the runtime of the first model above that is no SavedModel.

## Checked against Keras

By {record["checked_with"]}, on {cores()} cores of {processor()}; differences are from Keras in float32 with images resized by the program.

{markdown_table(rows)}
"""
