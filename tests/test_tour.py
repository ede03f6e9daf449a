"""notebooks/tour.ipynb: kept without outputs, and it runs from start to end."""

import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from conftest import ROOT, TINY, TINY_CELLNET

NOTEBOOK = ROOT / "notebooks" / "tour.ipynb"
LONGEST_CELL = 15


def test_it_is_kept_without_outputs_in_short_cells():
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert not [cell["id"] for cell in code if cell["outputs"] or cell["execution_count"] is not None]
    assert not [cell["id"] for cell in cells if len(cell["source"]) > LONGEST_CELL]
    # Names, not random digits, so that a cell keeps its name when it is saved again.
    assert len({cell["id"] for cell in cells}) == len(cells) and all(cell["id"].replace("-", "").isalpha() for cell in cells)


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """What the kernel finds in its environment: a tiny run, this clone, and a folder of its own for TensorBoard's notes."""
    for package in ("nbclient", "ipykernel", "onnxruntime", "tf2onnx"):
        pytest.importorskip(package)
    tiny = [item for item in (*TINY, *TINY_CELLNET) if item != "ood=none"]
    monkeypatch.setenv("MALARIA_EXP_TOUR", " ".join(tiny))
    monkeypatch.setenv("MALARIA_EXP_TOUR_FOLDER", "tour")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    yield
    for note in (tmp_path / ".tensorboard-info").glob("pid-*.info"):
        with suppress(ProcessLookupError):
            os.kill(json.loads(note.read_text())["pid"], signal.SIGTERM)


@pytest.mark.long
def test_it_runs_from_start_to_end(environment, tmp_path):
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = {cell["id"]: cell["outputs"] for cell in notebook.cells if cell["cell_type"] == "code"}
    for name in ("samples", "patients", "augmentation", "curves", "losses"):
        assert any("image/png" in output.get("data", {}) for output in outputs[name]), name
    for name in ("report", "compare", "explain", "tensorboard"):
        assert any("iframe" in output.get("data", {}).get("text/html", "") for output in outputs[name]), name
    said = {name: "".join(one["text"] for one in found if one.get("name") == "stdout") for name, found in outputs.items()}
    assert "Did you mean 'learning_rate'?" in said["wrong"]
    assert sum(line.startswith("lenet_") for line in said["six"].splitlines()) == 6
    by_fit, by_hand = said["by-hand"].splitlines()[-1].partition(": loss ")[2].removesuffix(" by hand").split(" by fit, ")
    assert float(by_fit) == pytest.approx(float(by_hand), abs=1e-3)
    assert 0 <= float(outputs["use"][-1]["data"]["text/plain"]) <= 1
    assert (tmp_path / "tour" / "sweep").is_dir()
