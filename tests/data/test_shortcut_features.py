import numpy as np
import pytest

from malaria_exp.config.registry import build
from malaria_exp.data.shortcut_features import NAMES, shortcut_features


@pytest.fixture(params=["zip", "folder"])
def table(request, tmp_path, nih_files, make_nih_zip):
    if request.param == "zip":
        return build("dataset", "nih", {"path": str(make_nih_zip(tmp_path / "cells.zip", nih_files))})
    for name, data in nih_files.items():
        path = tmp_path / "cells" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return build("dataset", "nih", {"path": str(tmp_path / "cells")})


def test_features_are_those_of_each_cells_own_file(table, nih_files):
    some = table.select(np.array([5, 2, 9]))
    found = shortcut_features(some)
    column = dict(zip(found.names, found.values.T, strict=True))
    files = {name.rpartition("/")[2]: data for name, data in nih_files.items()}
    for row in range(3):
        height, width, _ = some.source.read(row).shape
        assert (column["image height"][row], column["image width"][row]) == (height, width)
        assert column["file size"][row] == len(files[f"{some.cell_id[row]}.png"])
        assert column["cell number"][row] == int(some.cell_id[row].rpartition("_")[2])
    assert set(found.names) <= set(NAMES)


def test_cells_without_files_have_none_and_say_so():
    table = build("dataset", "synthetic", {"infected_patients": 2, "healthy_patients": 1, "cells_per_patient": 4, "cell_size": 40})
    found = shortcut_features(table)
    assert found.values.shape == (len(table), 0)
    assert found.reason == "the cells of 'synthetic' are not in files of their own"
