"""Checking a dataset before believing anything that is trained on it."""

import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from malaria_exp.config.registry import register
from malaria_exp.data.bad_images import all_bad_images
from malaria_exp.data.cell_table import CLASS_NAMES, BadImageError, CellTable
from malaria_exp.data.readers.index import DIGITS, Known, read_index
from malaria_exp.data.readers.layout import class_prefix
from malaria_exp.utils.atomic_files import write_csv
from malaria_exp.utils.errors import ConfigError, DataError, listing
from malaria_exp.utils.progress_bars import track

if TYPE_CHECKING:
    from malaria_exp.config.app import App

# What can be off, in the order it is shown.
KINDS = {
    "missing": "in the index, not here",
    "extra": "here, not in the index",
    "changed": "the name of a file of the index, but other content",
    "renamed": "the content of a file of the index, under another name",
    "other class": "in the index, but in the other class",
    "bad or double": "cannot be used, or stands here more than once",
}
# Datasets that are the NIH set, or should be: not one cell of it is then a finding too.
NIH_DATASETS = ("nih", "tfds")
CLASSES = dict(zip(CLASS_NAMES, CLASS_NAMES, strict=True))
Findings = dict[str, list[tuple[str, str]]]


@register("task", "verify")
def verify(app: "App", /, *, people: Literal["all", "present"] = "all", to: str | None = None) -> None:
    """Checks a dataset: every image, and each file against the index of the NIH set; counts classes, patients, slides, fields.

    Args:
        people: all expects the files of all 200 people of the NIH set; present only those of people with a file here.
        to: a CSV to write every finding to; null to show the first of each kind only.

    Raises:
        ConfigError: the CSV cannot be written.
        DataError: something is off.
    """
    from malaria_exp.runs.load_data import load_table

    table = load_table(app.config)
    bad = all_bad_images(table, undecodable(table))
    findings = compare(table, people) if is_nih(table) else {}
    findings["bad or double"] = list(bad)
    # A file or a pipe has no width of its own.
    out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 110)
    out.print(_counts(table, people, compared=len(findings) > 1))
    out.print(_summary(table, findings))
    if to is not None:
        rows = ((kind, *item) for kind, items in findings.items() for item in items)
        try:
            path = write_csv(Path(to).expanduser(), ("kind", "file", "what"), rows)
        except OSError as error:
            raise ConfigError(f"task.to: cannot write '{to}': {error.strerror or error}.") from None
        out.print(f"all findings: {path}", markup=False)
    off = {kind: items for kind, items in findings.items() if items}
    if off:
        text = "\n".join(
            f"{kind}: {len(items):,}\n{listing(': '.join(filter(None, item)) for item in items)}" for kind, items in off.items()
        )
        raise DataError(
            f"dataset '{table.name}' is not as it should be.\n{text}{_advice(table, people, off)}"
            + ("" if to else "\nThe whole list: task.to=findings.csv")
        )


def _advice(table: CellTable, people: Literal["all", "present"], off: Findings) -> str:
    whole = {known.parts.patient for known in read_index().values()}
    absent = whole - set(table.patient.tolist())
    if people == "present" or "missing" not in off or not absent:
        return ""
    return f"\nOf {len(absent)} of {len(whole)} people there is no file here; to expect those of the others only: task.people=present"


def is_nih(table: CellTable) -> bool:
    """Returns whether a table is to be compared with the index: it says so itself, or a name or content of the NIH set is in it."""
    index = read_index()
    contents = {item[:DIGITS] for item in table.content.tolist()}
    names = {_bare(cell_id) for cell_id in table.cell_id.tolist()}
    return table.name in NIH_DATASETS or not contents.isdisjoint(index) or not names.isdisjoint(_names(index))


def _names(index: Mapping[str, Known]) -> dict[str, Known]:
    return {known.cell_id: known for known in index.values()}


def _bare(name: str) -> str:
    return name.rpartition("/")[2]


def undecodable(table: CellTable) -> dict[int, str]:
    """Decodes every image and returns the reasons of those that cannot be, by row."""

    def reason(row: int) -> str | None:
        try:
            table.source.read(row)
        except BadImageError as error:
            return str(error)
        return None

    with ThreadPoolExecutor() as pool:
        reasons = list(track(pool.map(reason, range(len(table))), "looking at every image", total=len(table)))
    return {row: text for row, text in enumerate(reasons) if text}


def compare(table: CellTable, people: Literal["all", "present"] = "all") -> Findings:
    """Compares a table with the index of the NIH set, by content first and then by name.

    Args:
        table: the cells.
        people: see `verify`.

    Returns:
        For each of KINDS but the last, the names and what is off with them.
    """
    index = read_index()
    by_name = _names(index)
    findings: Findings = {kind: [] for kind in KINDS if kind != "bad or double"}
    # What cannot be used has no row, and is not missing either.
    here = {class_prefix(PurePosixPath(item.file).stem, CLASSES)[1] for item in table.bad}
    for row, (cell_id, label, content) in enumerate(zip(table.cell_id.tolist(), table.label.tolist(), table.content.tolist(), strict=True)):
        name = cell_id if table.file is None else str(table.file[row])
        known, named = index.get(content[:DIGITS]), by_name.get(_bare(cell_id))
        if known is None and named is None:
            findings["extra"].append((name, ""))
        elif known is None and named is not None:
            findings["changed"].append((name, "other content than the NIH set's file of this name"))
            here.add(named.cell_id)
        elif known is not None:
            here.add(known.cell_id)
            if known.cell_id != _bare(cell_id):
                findings["renamed"].append((name, f"is {known.cell_id}"))
            if known.class_name != CLASS_NAMES[label]:
                findings["other class"].append((name, f"{CLASS_NAMES[label]} here, {known.class_name} in the NIH set"))
    absent = [known for known in expected(table, people) if known.cell_id not in here]
    findings["missing"] = [(f"{known.cell_id}.png", known.class_name) for known in absent]
    return findings


def expected(table: CellTable, people: Literal["all", "present"]) -> list[Known]:
    """Returns the files of the index that should be here."""
    present = set(table.patient.tolist())
    return [known for known in read_index().values() if people == "all" or known.parts.patient in present]


def _counts(table: CellTable, people: Literal["all", "present"], *, compared: bool) -> Table:
    """Returns the table of counts, beside those of the index where the two are compared."""
    whole = expected(table, people) if compared else []
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
        _, counts = np.unique(columns[0], return_counts=True)
        spread = f"{counts.min():,}, {np.median(counts):,.0f}, {counts.max():,}" if len(counts) else ""
        result[name] = (len(rows[name]), *(len(set(column)) for column in columns), spread)
    return result


def _summary(table: CellTable, findings: Findings) -> Table:
    shown = Table(title="findings", title_justify="left", box=box.SIMPLE_HEAD)
    shown.add_column("kind")
    shown.add_column("files", justify="right")
    shown.add_column("")
    for kind, words in KINDS.items():
        if kind in findings:
            shown.add_row(kind, f"{len(findings[kind]):,}", words)
    if len(findings) == 1:
        shown.caption = f"No cell of '{table.name}' is one of the NIH set's: nothing to compare with the index."
    return shown
