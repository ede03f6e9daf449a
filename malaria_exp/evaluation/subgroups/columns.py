"""Subgroups by what the user's CSV says of cells: site, stain, age in classes, whatever column evaluation.subgroups names."""

from collections.abc import Sequence

import numpy as np

from malaria_exp.data.cell_table import CellTable
from malaria_exp.evaluation.subgroups.groupings import MOST_GROUPS
from malaria_exp.utils.errors import DataError, did_you_mean

# In predictions.csv the name of such a column follows this.
SUBGROUP = "subgroup_"


def kept_name(name: str) -> str:
    """Returns a column's name as tables and runs keep it, for one that the user has typed in any case of letters."""
    return name.strip().lower()


def subgroup_columns(table: CellTable, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Returns further columns of a table, str (N,), by name.

    Args:
        table: all cells of a dataset.
        names: of the columns, in any case of letters.

    Raises:
        DataError: there is no such column, or cells have no value in it, or it has a single value or more than MOST_GROUPS.
    """
    return {kept_name(name): _column(table, name) for name in names}


def columns_of_cells(table: CellTable, names: Sequence[str], cell_id: np.ndarray, patient: np.ndarray) -> dict[str, np.ndarray]:
    """Returns further columns of a table for cells that were scored earlier, str (N,), by name.

    Args:
        table: the dataset that the cells are of.
        names: of the columns, in any case of letters.
        cell_id: of the scored cells, str (N,).
        patient: of each, str (N,).

    Raises:
        DataError: the table lacks a cell or has it of another patient, or see subgroup_columns.
    """
    columns = subgroup_columns(table, names)
    order = np.argsort(table.cell_id)
    rows = order[np.searchsorted(table.cell_id, cell_id, sorter=order).clip(max=len(order) - 1)]
    other = (table.cell_id[rows] != cell_id) | (table.patient[rows] != patient)
    if other.any():
        raise DataError(
            f"evaluation.subgroups: {int(other.sum()):,} of {len(cell_id):,} scored cells are not in the dataset '{table.name}', or are another patient's,"
            f" first '{cell_id[other][0]}' of patient {patient[other][0]}. Name the data that the runs were trained on."
        )
    return {name: column[rows] for name, column in columns.items()}


def _column(table: CellTable, name: str) -> np.ndarray:
    where = f"evaluation.subgroups: '{name}'"
    column = table.further.get(kept_name(name))
    if column is None:
        known = (
            f"its further columns are {', '.join(table.further)}.{did_you_mean(name, table.further)}"
            if table.further
            else "it has no further columns; they are read from the CSV of dataset=folder: dataset.csv=cells.csv"
        )
        raise DataError(f"{where}: the dataset '{table.name}' has no such column; {known}")
    missing = column == ""
    if missing.any():
        patients = np.unique(table.patient[missing]).tolist()
        few = ", ".join(patients[:5]) + (", ..." if len(patients) > 5 else "")
        raise DataError(
            f"{where}: {int(missing.sum()):,} of {len(table):,} cells have no value in this column of dataset.csv. They are of"
            f" {'1 patient' if len(patients) == 1 else f'{len(patients):,} patients'}: {few}. Fill it in for every file; where nobody knows it, write a word of"
            " your own, such as 'not recorded' (NA, unknown and the like count as nothing)."
        )
    values = np.unique(column).tolist()
    if len(values) == 1:
        raise DataError(f"{where}: this column of dataset.csv is '{values[0]}' for every cell; a group needs another to be compared with.")
    if len(values) > MOST_GROUPS:
        raise DataError(
            f"{where}: this column of dataset.csv has {len(values):,} different values ({', '.join(values[:5])}, ...); expected 2 to {MOST_GROUPS}. Write"
            " classes into it, such as '15 to 40' for ages."
        )
    return column
