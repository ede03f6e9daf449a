"""What the tests of storages share."""

import json

import pytest


@pytest.fixture
def small_run(tmp_path):
    """A finished run's folder with a file or two of each part."""
    folder = tmp_path / "outputs" / "20260102-030405-000000-abcdef"
    for name in (
        "model.keras",
        "model.json",
        "saved_model/saved_model.pb",
        "saved_model/variables/variables.index",
        "report.html",
        "plots/roc.png",
        "metrics.json",
        "history.csv",
        "predictions.csv",
        "split.csv",
        "run.log",
        "config.yaml",
        "provenance.json",
        "profile/own.txt",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    (folder / "status.json").write_text(json.dumps({"task": "train", "status": "done"}))
    return folder
