"""How findings about a dataset are shown on the terminal."""

from collections import defaultdict
from collections.abc import Iterable

import numpy as np
from rich import box
from rich.table import Table

from malaria_exp.data.cell_table import CLASS_NAMES, UNKNOWN, CellTable
from malaria_exp.data.verification import KINDS, Findings, Patients, expected


def counts_table(table: CellTable, patients: Patients, *, compared: bool) -> Table:
    """Returns the table of counts, beside those of the index where the two are compared."""
    whole = expected(table, patients) if compared else []
    parts = [known.parts for known in whole]
    classes = [known.class_name for known in whole]
    labels = np.array(CLASS_NAMES)[table.label].tolist()
    here = _by_class(labels, table.patient.tolist(), table.slide.tolist(), table.field.tolist())
    there = _by_class(classes, *([getattr(item, name) for item in parts] for name in ("patient", "slide", "field")))
    title = f"{table.name}: {len(table):,} cells" + ("; in brackets what the index expects" if compared else "")
    shown = Table(
        title=title, title_justify="left", box=box.SIMPLE_HEAD, caption="per patient: least, median, most cells", caption_justify="left"
    )
    shown.add_column("")
    for name in ("cells", "patients", "slides", "fields", "per patient"):
        shown.add_column(name, justify="right")
    for name in (*CLASS_NAMES, "all"):
        numbers, wanted = here[name], there[name]
        cells = [f"{n:,} ({w:,})" if compared else f"{n:,}" for n, w in zip(numbers[:4], wanted[:4], strict=True)]
        shown.add_row(name, *cells, numbers[4])
    return shown


def _by_class(classes: list[str], patients: Iterable[str], slides: Iterable[str], fields: Iterable[str]) -> dict[str, tuple]:
    """Returns (cells, patients, slides, fields, spread of cells per patient) for each class and for all."""
    rows = defaultdict(list)
    for class_name, *row in zip(classes, patients, slides, fields, strict=True):
        rows[class_name].append(row)
        rows["all"].append(row)
    result = {}
    for name in (*CLASS_NAMES, "all"):
        columns = list(zip(*rows[name], strict=True)) or [(), (), ()]
        _, counts = np.unique([name for name in columns[0] if name != UNKNOWN], return_counts=True)
        spread = f"{counts.min():,}, {np.median(counts):,.0f}, {counts.max():,}" if len(counts) else ""
        result[name] = (len(rows[name]), *(len(set(column) - {UNKNOWN}) for column in columns), spread)
    return result


def findings_table(table: CellTable, findings: Findings) -> Table:
    """Returns the table of how many files each kind of finding has."""
    shown = Table(title="findings", title_justify="left", box=box.SIMPLE_HEAD)
    shown.add_column("kind")
    shown.add_column("files", justify="right")
    shown.add_column("")
    for kind, words in KINDS.items():
        if kind in findings:
            shown.add_row(kind, f"{len(findings[kind]):,}", words)
    if "missing" not in findings:
        shown.caption = f"No cell of '{table.name}' is one of the NIH set's: nothing to compare with the index."
    return shown
