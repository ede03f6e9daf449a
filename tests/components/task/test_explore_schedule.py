"""The learning rate that is drawn is the one that training would have."""

import csv
import json

import numpy as np
import pytest
from conftest import compose_app
from PIL import Image

from malaria_exp.config.durations import RunLength
from malaria_exp.config.registry import build, options
from malaria_exp.utils.errors import ConfigError

EPOCHS = 6
DATA = [
    "task=explore",
    "task.what=schedule",
    "sampling=uniform",
    "dataset.infected_patients=8",
    "dataset.healthy_patients=3",
    "dataset.cells_per_patient=8",
    "dataset.cell_size=40",
    "model.image_size=32",
    "batch_size=14",
    f"trainer.epochs={EPOCHS}",
]


def rows_of(folder):
    with (folder / "schedule.csv").open() as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


@pytest.mark.parametrize("schedule", options("schedule"))
def test_the_rates_are_those_the_optimizer_answers_at_each_step(schedule, run_task, tmp_path):
    optimizer = "sgd" if schedule == "constant" else "adamw"
    overrides = [*DATA, f"schedule={schedule}", "schedule.warmup='3 steps'", f"optimizer={optimizer}", "optimizer.learning_rate=0.02"]
    rows = rows_of(run_task(overrides, tmp_path / "run"))
    config = compose_app(overrides, tmp_path).config
    steps_per_epoch = len(rows) // EPOCHS
    multiplier = build("schedule", schedule, config.one("schedule").params, RunLength(EPOCHS, steps_per_epoch, 14))
    made = build("optimizer", optimizer, config.one("optimizer").params, multiplier)
    assert [row["step"] for row in rows] == list(range(1, EPOCHS * steps_per_epoch + 1))
    for number, row in enumerate(rows):
        made.iterations.assign(number)
        assert row["learning_rate"] == pytest.approx(float(made.learning_rate), rel=1e-6, abs=1e-8)
        assert row["learning_rate"] == pytest.approx(0.02 * row["multiplier"], rel=1e-5, abs=1e-8)
        assert row["epoch"] == pytest.approx(number / steps_per_epoch)


def test_the_rates_are_those_of_the_history_of_the_run_itself(finished_run, run_task, tiny_cellnet, tmp_path):
    drawn = rows_of(run_task(["task=explore", "task.what=schedule", *tiny_cellnet, "trainer.epochs=2"], tmp_path / "drawn"))
    with (finished_run / "history.csv").open() as file:
        first, _ = csv.DictReader(file)
    # After an epoch the optimizer stands at the next epoch's first step.
    assert float(first["learning_rate"]) == pytest.approx(drawn[len(drawn) // 2]["learning_rate"], rel=1e-5)


def test_augmentations_that_repeat_the_cells_make_the_run_longer(run_task, tmp_path):
    once, five_times = (len(rows_of(run_task([*DATA, f"aug={aug}"], tmp_path / aug))) / EPOCHS for aug in ("none", "repeat5"))
    assert 5 * once <= five_times < 5 * (once + 1)


def test_each_stage_runs_through_the_schedule_at_its_own_rate(run_task, tmp_path):
    stages = "trainer.stages=[{epochs: 1, train: [logit]}, {epochs: 2, train: ['*'], learning_rate: 0.1}]"
    overrides = [item for item in DATA if not item.startswith("trainer.")]
    rows = rows_of(run_task([*overrides, "trainer=staged", stages, "schedule=cosine", "optimizer.learning_rate=0.02"], tmp_path / "run"))
    third = len(rows) // 3
    assert max(row["learning_rate"] for row in rows[:third]) == pytest.approx(0.02)
    assert max(row["learning_rate"] for row in rows[third:]) == pytest.approx(0.002)
    assert rows[third - 1]["learning_rate"] == pytest.approx(0, abs=1e-8)
    assert rows[-1]["learning_rate"] == pytest.approx(0, abs=1e-8)


def test_it_leaves_a_picture_and_a_status_and_no_model(run_task, tmp_path, caplog):
    with caplog.at_level("INFO", "malaria_exp"):
        folder = run_task(DATA, tmp_path / "run")
    assert sorted(path.name for path in folder.iterdir()) == ["config.yaml", "run.log", "schedule.csv", "schedule.png", "status.json"]
    picture = np.asarray(Image.open(folder / "schedule.png").convert("RGB"))
    assert min(picture.shape[:2]) > 500
    assert (picture != 255).any(axis=-1).mean() > 0.01
    assert json.loads((folder / "status.json").read_text())["status"] == "done"
    assert str(folder / "schedule.png") in caplog.text


def test_a_trainer_that_does_not_train_has_no_rate(run_task, tmp_path):
    with pytest.raises(ConfigError, match="'none' has no epochs"):
        run_task([*[item for item in DATA if not item.startswith("trainer.")], "trainer=none"], tmp_path / "run")
