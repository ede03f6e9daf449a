"""Synthetic cells some of which cannot be read."""

from malaria_exp.config.registry import build
from malaria_exp.data.cell_table import CellTable


class Fallible:
    """Reads another source's cells, but for some of them raises."""

    def __init__(self, source, errors):
        self.source, self.errors, self.reads = source, errors, []

    def read(self, index):
        self.reads.append(index)
        if index in self.errors:
            raise self.errors[index]
        return self.source.read(index)


def draw(errors=None, order=None, **more) -> CellTable:
    table = build("dataset", "synthetic", {"infected_patients": 6, "healthy_patients": 2, "cells_per_patient": 10, "cell_size": 24})
    columns = {name: getattr(table, name) for name in ("cell_id", "label", "patient", "slide", "field", "content")}
    table = CellTable(name="drawn", source=Fallible(table.source, errors or {}), **(columns | more))
    return table if order is None else table.select(order)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}
