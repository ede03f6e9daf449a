import dataclasses
import json

import keras
import numpy as np

from malaria_exp.config.registry import build
from malaria_exp.evaluation.metrics import compute
from malaria_exp.evaluation.predictions import sigmoid
from malaria_exp.training.predict import Scorer


def frozen_cellnet():
    net = build("model", "cellnet", {"image_size": 32, "stem": 4, "widths": [8]})
    net.trainable = False
    return net


def check_untouched(parts, trained):
    assert (trained.history, trained.best_epoch, trained.seconds) == ([], 0, 0.0)
    assert parts.tracker.recorder.steps == []
    assert trained.best == compute(parts.val.labels, sigmoid(Scorer(trained.model).logits(parts.val)), 0.5)["auc"]
    assert trained.summary()["epochs"] == 0


def test_the_net_stays_as_it_is(make_inputs):
    parts = make_inputs(seed=4)
    trained = build("trainer", "none", {}).train(parts)
    check_untouched(parts, trained)
    keras.utils.clear_session()
    keras.utils.set_random_seed(4)
    for one, two in zip(parts.build_model().get_weights(), trained.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_other_trainers_do_the_same_with_a_net_that_has_nothing_to_train(make_inputs):
    for name in ("fit", "loop"):
        parts = dataclasses.replace(make_inputs(), build_model=frozen_cellnet)
        check_untouched(parts, build("trainer", name, {"precision": "float32"}).train(parts))


def test_a_whole_run(run_task, tiny_cellnet, tmp_path):
    own = [item for item in tiny_cellnet if not item.startswith("trainer.")]
    folder = run_task(["trainer=none", *own], tmp_path / "run")
    status = json.loads((folder / "status.json").read_text())
    assert status["status"] == "done" and status["objective"] is not None
    assert not (folder / "history.csv").exists() and "Nothing was trained" in (folder / "report.html").read_text()
