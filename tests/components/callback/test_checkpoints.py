import numpy as np
import pytest

from malaria_exp.utils.errors import ConfigError


def names(folder):
    return sorted(path.name for path in (folder / "checkpoints").iterdir())


def loaded(driven, path):
    driven.model.load_weights(path)
    return float(driven.model.get_weights()[0].ravel()[0])


def test_the_last_so_many_stay(driver, tmp_path):
    driven = driver("checkpoints", every="3 steps", keep=2)
    for number in range(1, 12):
        driven.set_weights(number)
        driven.step()
    assert names(tmp_path) == ["step-000006.weights.h5", "step-000009.weights.h5"]
    assert loaded(driven, tmp_path / "checkpoints" / "step-000006.weights.h5") == 6


def test_all_stay_if_asked_for(driver, tmp_path):
    driven = driver("checkpoints", keep=None)
    for _ in range(5):
        driven.epoch()
    assert len(names(tmp_path)) == 5


def test_the_best_by_each_metric_in_its_own_direction(driver, tmp_path):
    driven = driver("checkpoints", every=None, monitors=["val_auc", "val_loss", "val_own"])
    rows = [(0.5, 1.0, 1.0), (0.7, 0.8, 2.0), (0.6, 0.9, 0.5), (float("nan"), 0.85, 3.0)]
    for number, (auc, loss, own) in enumerate(rows):
        driven.set_weights(number)
        driven.epoch(val_auc=auc, val_loss=loss, val_own=own)
    assert names(tmp_path) == ["best-val_auc.weights.h5", "best-val_loss.weights.h5", "best-val_own.weights.h5"]
    found = {name: loaded(driven, tmp_path / "checkpoints" / name) for name in names(tmp_path)}
    assert list(found.values()) == [1, 1, 2]


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"every": None}, "nothing to write"),
        ({"monitors": ["val_loss", "val_aux"]}, "callback.checkpoints.monitors[1]: unknown metric 'val_aux'. Did you mean 'val_auc'"),
        ({"monitors": ["auc"]}, "val_loss, or val_ and a metric's name"),
        ({"keep": 0}, "keep: expected a whole number >= 1"),
    ],
)
def test_what_makes_no_sense_is_refused_before_training(driver, params, said):
    with pytest.raises(ConfigError) as caught:
        driver("checkpoints", **params)
    assert said in str(caught.value)


def test_a_run_leaves_them(run_task, tiny_cellnet, tmp_path):
    own = ["callback=[nan_guard,checkpoints]", "callback.checkpoints.monitors=[val_sensitivity]", "trainer.epochs=2"]
    folder = run_task([*tiny_cellnet, *own], tmp_path / "run")
    assert [name.split("-")[0] for name in names(folder)] == ["best", "step", "step"]
    from malaria_exp.runs.saved_model import load_model

    model = load_model(folder).uncalibrated
    before = model.get_weights()
    model.load_weights(folder / "checkpoints" / names(folder)[-1])
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
    assert len(before) == len(model.get_weights())
