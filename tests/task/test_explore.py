"""The pictures, and that their numbers are those of training."""

import csv
import json

import numpy as np
import pytest

from malaria_exp.errors import ConfigError
from malaria_exp.model_facts import flops, layer_facts
from malaria_exp.registry import build, options


def read(path):
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("schedule", options("schedule"))
def test_the_schedule_drawn_is_the_one_that_trains(schedule, run_task, tiny_cellnet, tmp_path):
    own = [*tiny_cellnet, f"schedule={schedule}", "trainer.epochs=2", "optimizer.learning_rate=0.02"]
    folder = run_task(["task=explore", *own], tmp_path / "drawn")
    rows = read(folder / "schedule.csv")
    assert (folder / "schedule.png").stat().st_size > 5000
    trained = read(run_task(own, tmp_path / "trained") / "history.csv")
    # After an epoch's last step the optimizer tells the rate of the next one.
    steps = len(rows) // 2
    assert float(trained[0]["learning_rate"]) == pytest.approx(float(rows[steps]["learning_rate"]), rel=1e-5)
    assert [int(row["step"]) for row in rows] == list(range(1, 2 * steps + 1))
    assert float(rows[steps]["epoch"]) == 1
    assert all(float(row["learning_rate"]) == pytest.approx(0.02 * float(row["factor"])) for row in rows)


def test_of_stages_the_first_is_drawn(run_task, tiny_cellnet, tmp_path):
    own = [item for item in tiny_cellnet if not item.startswith("trainer.")]
    stages = "trainer.stages=[{epochs: 3, train: [logit], learning_rate: 0.5}, {epochs: 1, train: ['*']}]"
    folder = run_task(["task=explore", "trainer=staged", stages, "optimizer.learning_rate=0.02", *own], tmp_path / "run")
    rows = read(folder / "schedule.csv")
    assert max(float(row["learning_rate"]) for row in rows) == pytest.approx(0.01, rel=1e-3)
    assert float(rows[-1]["epoch"]) > 2


@pytest.mark.parametrize("model", sorted(set(options("model")) - {"ensemble"}))
def test_every_model_can_be_drawn(model, run_task, tmp_path):
    folder = run_task(["task=explore", "task.what=model", f"model={model}", "model.image_size=32"], tmp_path / "run")
    assert (folder / "model.png").stat().st_size > 5000
    status = json.loads((folder / "status.json").read_text())
    assert status["flops"] > 10_000
    rows = read(folder / "model.csv")
    assert sum(int(row["parameters"]) for row in rows) == status["parameters"]
    assert (rows[-1]["layer"], rows[-1]["output"]) == ("logit", "1")


def test_two_ways_of_writing_a_net_have_the_same_layers():
    functional, subclassed = (
        [(fact.kind, fact.shape, fact.parameters) for fact in layer_facts(build("model", f"lenet_{way}", {"image_size": 40}))]
        for way in ("functional", "subclassed")
    )
    assert functional == subclassed


def test_operations_are_those_counted_by_hand():
    import keras
    from keras import layers

    net = keras.Sequential(
        [keras.Input((10, 10, 3)), layers.Conv2D(4, 3, use_bias=False), layers.Flatten(), layers.Dense(5, use_bias=False)]
    )
    assert flops(net) == 2 * (8 * 8 * 4 * 27 + 256 * 5)


def test_a_layer_called_twice_counts_once():
    import keras
    from keras import layers

    inputs, dense = keras.Input((4, 4, 3)), layers.Dense(3)
    net = keras.Model(inputs, layers.Dense(1, name="logit")(layers.Flatten()(dense(dense(inputs)))))
    assert [fact.parameters for fact in layer_facts(net)] == [12, 0, 0, 49]


def test_recording_leaves_keras_as_it_was():
    import keras

    before = keras.layers.Layer.__call__
    layer_facts(build("model", "cellnet", {"image_size": 32}))
    with pytest.raises(ValueError):
        layer_facts(keras.Sequential([keras.Input((4,)), keras.layers.Reshape((5,))]))
    assert keras.layers.Layer.__call__ is before


def test_what_cannot_be_drawn_is_said(run_task, tmp_path):
    with pytest.raises(ConfigError, match="task.what: expected one of 'schedule', 'model'"):
        run_task(["task=explore", "task.what=schedul"], tmp_path / "run")


def test_stages_of_a_deep_net_hold_all_its_parameters():
    from malaria_exp.evaluation._plots_model import _of_stages

    layers = layer_facts(build("model", "transfer", {"image_size": 32}))
    boxes = _of_stages(layers)
    assert len(boxes) < 15
    shown = sum(int(box.heading.split("   ")[1].split(" parameters")[0].replace(",", "")) for box in boxes if "parameters" in box.heading)
    assert shown == sum(layer.parameters for layer in layers)
    assert np.all([line for box in boxes for line in box.lines])
