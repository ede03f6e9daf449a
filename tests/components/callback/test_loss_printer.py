import logging

import pytest

from malaria_exp.utils.errors import ConfigError


def test_a_line_at_regular_steps(driver, caplog):
    driven = driver("loss_printer", epochs=2, every="3 steps")
    with caplog.at_level(logging.INFO, "malaria_exp"):
        for loss in range(7):
            driven.step(loss)
    assert [record.message for record in caplog.records] == [
        "step      3/8  loss 2.0000  accuracy 0.7500",
        "step      6/8  loss 5.0000  accuracy 0.7500",
    ]


@pytest.mark.parametrize("name", ["loss_printer", "nan_guard", "checkpoints"])
def test_an_interval_longer_than_the_run_is_refused(driver, name):
    with pytest.raises(ConfigError, match=rf"callback.{name}.every: '3 epochs' is longer than the run \(2 epochs\)"):
        driver(name, epochs=2, every="3 epochs")
