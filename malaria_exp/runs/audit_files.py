"""The lists that an audit of labels leaves: the ranking, and three forms of what to do about it that `dataset.csv` reads."""

from pathlib import Path

import numpy as np

from malaria_exp.data.cell_table import CLASS_NAMES, CellTable
from malaria_exp.evaluation.label_audit import LabelAudit
from malaria_exp.utils.atomic_files import write_csv

RANKING = "audit.csv"
# What becomes of a contradicted cell: it weighs less in training, or is not listed, or has the other label.
WEIGHTED, DROPPED, RELABELED = "weighted.csv", "dropped.csv", "relabeled.csv"
COLUMNS = ("file", "patient", "slide", "field", "label")


def write_lists(folder: Path, table: CellTable, rows: np.ndarray, audit: LabelAudit) -> None:
    """Writes audit.csv, from the cell that contradicts its label most on; and of data in files weighted.csv, dropped.csv, relabeled.csv.

    Args:
        folder: that they are written to.
        table: the data.
        rows: int64 (N,), of the audited cells.
        audit: of these cells.
    """
    names = np.array(CLASS_NAMES)
    order = audit.order
    cells = rows[order]
    columns = {
        "rank": np.arange(1, len(rows) + 1),
        "cell_id": table.cell_id[cells],
        **({} if table.file is None else {"file": table.file[cells]}),
        "patient": table.patient[cells],
        "slide": table.slide[cells],
        "field": table.field[cells],
        "label": names[table.label[cells]],
        "label_score": audit.right[order].round(6),
        "contradicted": np.where(audit.contradicted[order], "yes", "no"),
        "weight": audit.weight[order].round(4),
        **({} if table.truth is None else {"truth": names[table.truth[cells]]}),
    }
    write_csv(folder / RANKING, tuple(columns), zip(*(column.tolist() for column in columns.values()), strict=True))
    if table.file is None:
        return
    contradicted, weight = np.zeros(len(table), bool), np.ones(len(table))
    contradicted[rows], weight[rows] = audit.contradicted, audit.weight
    if table.weight is not None:
        weight *= table.weight
    label = names[table.label]
    listed = [table.file, table.patient, table.slide, table.field]
    further = table.further.values()
    for name, kept, own in (
        (WEIGHTED, np.full(len(table), True), label),
        (DROPPED, ~contradicted, label),
        (RELABELED, np.full(len(table), True), np.where(contradicted, names[1 - table.label], label)),
    ):
        parts = [column[kept].tolist() for column in (*listed, own, *further)]
        more = [weight[kept].round(4).tolist()] if name == WEIGHTED else []
        write_csv(folder / name, (*COLUMNS, *table.further, *(["weight"] if more else [])), zip(*parts, *more, strict=True))
