"""Checking a dataset before believing anything that is trained on it."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from malaria_exp.config.registry import register
from malaria_exp.data.cell_table import CellTable
from malaria_exp.data.readers.index import read_index
from malaria_exp.data.verification import NEAR, Findings, Patients, find_faults
from malaria_exp.data.verification_tables import counts_table, findings_table
from malaria_exp.utils.atomic_files import write_csv
from malaria_exp.utils.errors import MAX_LISTED, ConfigError, DataError, by_reason, listing

if TYPE_CHECKING:
    from malaria_exp.config.app import App


@register("task", "verify")
def verify(app: "App", /, *, patients: Patients = "all", to: str | None = None) -> None:
    """Checks a dataset: every image, and each file against the index of the NIH set; counts classes, patients, slides, fields.

    Images are the same if their pixels are. What only looks like a copy of another image is listed, and is no error.

    Args:
        patients: all expects the files of all 200 patients of the NIH set; present only those of patients with a file here.
        to: a CSV to write every finding to; null to show the first of each kind only.

    Raises:
        ConfigError: the CSV cannot be written.
        DataError: something is off.
    """
    from malaria_exp.runs.load_data import load_table

    table = load_table(app.config)
    findings = find_faults(table, patients)
    # A file or a pipe has no width of its own.
    out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 110)
    out.print(counts_table(table, patients, compared="missing" in findings))
    out.print(findings_table(table, findings))
    if to is not None:
        rows = ((kind, *item) for kind, items in findings.items() for item in items)
        try:
            path = write_csv(Path(to).expanduser(), ("kind", "file", "what"), rows)
        except OSError as error:
            raise ConfigError(f"task.to: cannot write '{to}': {error.strerror or error}.") from None
        out.print(f"all findings: {path}", markup=False)
    for file, what in findings.get(NEAR, ())[:MAX_LISTED]:
        out.print(f"{NEAR}: {file} {what}", markup=False)
    off = {kind: items for kind, items in findings.items() if items and kind != NEAR}
    if off:
        text = "\n".join(f"{kind}: {len(items):,}\n{listing(by_reason(items))}" for kind, items in off.items())
        raise DataError(
            f"dataset '{table.name}' is not as it should be.{_advice(table, patients, off)}"
            + ("" if to else " The whole list: task.to=findings.csv")
            + f"\n{text}"
        )


def _advice(table: CellTable, patients: Patients, off: Findings) -> str:
    whole = {known.parts.patient for known in read_index().values()}
    absent = whole - set(table.patient.tolist())
    if patients == "present" or "missing" not in off or not absent:
        return ""
    return f" Of {len(absent)} of {len(whole)} patients there is no file here; to expect those of the others only: task.patients=present."
