import pytest

from malaria_exp.utils.errors import ConfigError


def scales(driven, values):
    found = []
    for value in values:
        driven.epoch(val_auc=value)
        found.append(float(driven.context.rate_scale.numpy()))
    return found


@pytest.mark.parametrize(
    ("params", "values", "expected"),
    [
        ({"patience": 1, "factor": 0.5}, [0.5, 0.4, 0.6, 0.6, 0.5], [1, 0.5, 0.5, 0.25, 0.125]),
        ({"patience": 2, "factor": 0.5}, [0.5] * 6, [1, 1, 0.5, 0.5, 0.25, 0.25]),
        ({"patience": 1, "factor": 0.5, "cooldown": 2}, [0.5] * 6, [1, 0.5, 0.5, 0.5, 0.25, 0.25]),
        ({"patience": 1, "factor": 0.1, "floor": 0.05}, [0.5] * 4, [1, 0.1, 0.05, 0.05]),
        ({"patience": 1, "factor": 0.5, "min_delta": 0.2}, [0.5, 0.6, 0.75], [1, 0.5, 0.5]),
    ],
)
def test_the_rate_falls_where_nothing_gets_better(driver, params, values, expected):
    assert scales(driver("plateau", **params), values) == pytest.approx(expected)


def test_the_next_stage_begins_at_its_full_rate_with_a_patience_of_its_own(driver):
    driven = driver("plateau", patience=2, factor=0.5)
    assert scales(driven, [0.9, 0.5, 0.5, 0.5]) == [1, 1, 0.5, 0.5]
    driven.callback.on_train_begin({})
    assert scales(driven, [0.6, 0.6, 0.6, 0.6]) == [1, 0.5, 0.5, 0.25]


def test_a_floor_above_the_schedule_is_refused(driver):
    with pytest.raises(ConfigError, match="floor: expected less than 1"):
        driver("plateau", floor=1.5)


def test_the_learning_rate_of_a_run_falls(run_task, tiny_cellnet, tmp_path):
    import csv

    own = [
        "callback=[nan_guard,plateau]",
        "callback.plateau.patience=1",
        "callback.plateau.min_delta=0.9",
        "callback.plateau.factor=0.1",
        "trainer.epochs=3",
        "schedule=constant",
        "schedule.warmup='0%'",
        "optimizer.learning_rate=0.01",
    ]
    folder = run_task([*tiny_cellnet, *own], tmp_path / "run")
    rates = [float(row["learning_rate"]) for row in csv.DictReader((folder / "history.csv").open())]
    # Written at an epoch's end, before the callback acts: epoch 2 is the first without a better value.
    assert rates == pytest.approx([0.01, 0.01, 0.001])
