import math

import pytest

from malaria_exp.utils.errors import ConfigError


def epochs_until_stop(driven, monitor, values):
    for number, value in enumerate(values, start=1):
        if driven.epoch(**{monitor: value}):
            return number
    return None


@pytest.mark.parametrize(
    ("params", "monitor", "values", "stops"),
    [
        ({"patience": 2}, "val_auc", [0.5, 0.6, 0.6, 0.59, 0.9], 4),
        ({"patience": 2, "monitor": "val_loss"}, "val_loss", [1.0, 0.9, 0.95, 0.9], 4),
        ({"patience": 2, "monitor": "val_own"}, "val_own", [1.0, 1.1, 1.2], 3),
        ({"patience": 2, "min_delta": 0.1}, "val_auc", [0.5, 0.55, 0.59], 3),
        ({"patience": 2, "min_delta": 0.1}, "val_auc", [0.5, 0.55, 0.61, 0.62, 0.70], 5),
        ({"patience": 3}, "val_auc", [0.5, 0.4, 0.4, 0.6, 0.5, 0.5], None),
        # A value that is no number is no improvement, and nothing to beat.
        ({"patience": 2}, "val_auc", [math.nan, 0.5, math.nan, math.nan], 4),
        ({"patience": 2}, "val_auc", [math.nan, math.nan], 2),
        ({}, "val_auc", [0.5] * 6, 6),
    ],
)
def test_it_stops_so_many_epochs_after_the_best(driver, params, monitor, values, stops):
    assert epochs_until_stop(driver("early_stopping", **params), monitor, values) == stops


def test_the_next_stage_has_its_own_patience_and_the_same_best(driver):
    driven = driver("early_stopping", patience=2)
    assert epochs_until_stop(driven, "val_auc", [0.9, 0.5, 0.5]) == 3
    driven.model.stop_training = False
    driven.callback.on_train_begin({})
    assert epochs_until_stop(driven, "val_auc", [0.6, 0.6]) == 2


@pytest.mark.parametrize(
    ("monitor", "said"),
    [
        ("val_acuracy", "val_accuracy"),
        ("val_tp", "the better direction of 'val_tp' is not known.*val_own"),
        ("val_recall", "val_sensitivity"),
    ],
)
@pytest.mark.parametrize("name", ["early_stopping", "plateau"])
def test_a_monitor_that_does_not_exist_is_refused(driver, name, monitor, said):
    with pytest.raises(ConfigError, match=rf"^callback\.{name}\.monitor: .*{said}"):
        driver(name, monitor=monitor)
