"""The worked example of docs/own-logger.md, as it stands there."""

import importlib
import re
import sqlite3
import sys

import pytest
from conftest import ROOT

PAGE = ROOT / "docs" / "own-logger.md"


@pytest.fixture
def example(tmp_path, monkeypatch):
    """The folder of the example's module, importable."""
    code = re.search(r"<!-- example: begin -->\n```python\n(.*?)```", PAGE.read_text(), re.DOTALL).group(1)
    (tmp_path / "sqlite_logger.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    from malaria_exp.config import registry

    importlib.import_module("sqlite_logger")
    yield tmp_path
    sys.modules.pop("sqlite_logger")
    # Nothing else: a component that the run was the first to need is not registered again.
    del registry._components["logger", "sqlite"]


def test_the_worked_example_records_a_run(example, run_task, tiny_cellnet, tmp_path):
    folder = run_task([*tiny_cellnet, "trainer.epochs=2", "logger=[csv]", "+logger.sqlite={steps: 2, figures: 2}"], tmp_path / "run")
    file = sqlite3.connect(folder / "runs.sqlite")
    epochs = file.execute("select number, value from numbers where axis = 'epoch' and name = 'val_auc' order by number").fetchall()
    lines = (folder / "history.csv").read_text().splitlines()
    column = lines[0].split(",").index("val_auc")
    assert [value for _, value in epochs] == [float(line.split(",")[column]) for line in lines[1:]]
    steps = [number for (number,) in file.execute("select number from numbers where axis = 'step' and name = 'loss'")]
    assert steps
    assert all(step % 2 == 0 for step in steps)
    assert file.execute("select value from numbers where name = 'test/auc'").fetchall()
    assert [path.name for path in folder.glob("val_confusion_matrix_*.png")] == ["val_confusion_matrix_2.png"]
