"""The task that draws: what it can be asked for, and the picture of a model."""

import csv
import json

import pytest

from malaria_exp.utils.errors import ConfigError


def test_what_cannot_be_drawn_is_said(run_task, tmp_path):
    with pytest.raises(ConfigError, match="task.what: expected one of 'data', 'schedule', 'model'"):
        run_task(["task=explore", "task.what=schedul"], tmp_path / "run")


# One of each way of writing a model; that the others have the same layers: tests/evaluation/test_model_summary.py.
@pytest.mark.long
@pytest.mark.parametrize("model", ["cellnet", "lenet_subclassed", "lenet_layer", "resnet_subclassed", "vit", "transfer"])
def test_every_kind_of_model_is_drawn_without_data(model, run_task, tmp_path):
    nowhere = ["dataset=nih", f"dataset.path={tmp_path / 'nowhere'}"]
    folder = run_task(["task=explore", "task.what=model", f"model={model}", "model.image_size=32", *nowhere], tmp_path / "run")
    assert (folder / "model.png").stat().st_size > 5000
    status = json.loads((folder / "status.json").read_text())
    with (folder / "model.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert sum(int(row["parameters"]) for row in rows) == status["parameters"]
    assert sum(int(row["flops"]) for row in rows) == status["flops"] > 10_000
    assert (rows[-1]["layer"], rows[-1]["output"]) == ("logit", "1")
    assert rows[0]["reads_rows"] == "image"
