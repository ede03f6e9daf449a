import json
import math

import numpy as np
import pytest

from malaria_exp.utils.errors import UserError


def stopped(act):
    with pytest.raises(UserError) as caught:
        act()
    return str(caught.value)


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_it_names_the_step_and_keeps_the_last_good_weights(driver, tmp_path, loss):
    driven = driver("nan_guard", every="2 steps")
    for number in (1, 2, 3):
        driven.set_weights(number)
        driven.step()
    message = stopped(lambda: driven.step(loss))
    assert f"the loss is {loss} after step 4 of 80 (epoch 1)" in message and "those after step 2" in message
    assert "init_from=" in message and "optimizer.learning_rate" in message
    driven.model.load_weights(tmp_path / "last_good.weights.h5")
    assert all((weight == 2).all() for weight in driven.model.get_weights())


def test_weights_that_are_no_numbers_are_found_though_the_loss_is_one(driver):
    driven = driver("nan_guard", every="2 steps")
    driven.step()
    driven.set_weights(math.nan)
    message = stopped(driven.step)
    assert "4 of 4 weights are no numbers, the first of them " in message and "the first ones" in message
    assert all(np.isfinite(weight).all() for weight in driven.model.get_weights())


def test_a_good_run_leaves_no_file(driver, tmp_path):
    driven = driver("nan_guard")
    for _ in range(3):
        driven.epoch()
    assert not list(tmp_path.iterdir())


def test_a_run_that_diverges_fails_and_leaves_weights_to_go_on_from(run_task, tiny_cellnet, tmp_path):
    own = ["trainer=loop", "optimizer=sgd", "optimizer.learning_rate=1e30", "schedule=constant", "schedule.warmup='0%'", "trainer.epochs=3"]
    with pytest.raises(UserError, match=r"Training diverged: .* after step \d+ of"):
        run_task([*tiny_cellnet, *own], tmp_path / "run")
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert status["status"] == "failed" and "last_good.weights.h5" in status["reason"]
    assert (tmp_path / "run" / "last_good.weights.h5").is_file() and not (tmp_path / "run" / "model.keras").exists()
    # As the message says.
    again = run_task([*tiny_cellnet, f"init_from={tmp_path / 'run' / 'last_good.weights.h5'}"], tmp_path / "again")
    assert json.loads((again / "status.json").read_text())["status"] == "done"
