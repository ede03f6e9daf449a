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
