"""Ensembles: the configured average of runs that fit together, self-contained once saved, checked for leaks."""

import csv
import importlib
import json
import shutil

import keras
import numpy as np
import pytest

from malaria_exp.components.model.layers.mean_logit import MeanLogit
from malaria_exp.config.registry import build
from malaria_exp.runs.ensemble_members import members_rule
from malaria_exp.runs.saved_model import load_model
from malaria_exp.utils.errors import ConfigError, LeakError


@pytest.fixture(scope="module")
def runs(run_task, tmp_path_factory):
    """Two runs on one split, with different weights, models and calibrations."""
    from conftest import TINY, TINY_CELLNET

    root = tmp_path_factory.mktemp("members")
    first = run_task([*TINY, *TINY_CELLNET, "trainer.epochs=2"], root / "a")
    untrained = [item for item in TINY if not item.startswith("trainer.")]
    second = run_task([*untrained, "trainer=none", "model=lenet_functional", "seed=1", "calibration=isotonic"], root / "b")
    return [first, second]


def overrides(runs, tiny):
    return ["model=ensemble", f"model.runs=[{','.join(map(str, runs))}]", *(item for item in tiny if "image_size" not in item)]


def scores(folder):
    with (folder / "predictions.csv").open() as file:
        return {row["cell_id"]: float(row["score"]) for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def ensemble_run(runs, run_task, tmp_path_factory):
    from conftest import TINY

    # Of copies that are gone when it is looked at.
    root = tmp_path_factory.mktemp("ensemble")
    copies = [shutil.copytree(run, root / run.name) for run in runs]
    folder = run_task([*overrides(copies, TINY), "calibration=none"], root / "run")
    for copy in copies:
        shutil.rmtree(copy)
    return folder


def test_its_scores_are_the_means_of_its_members(runs, ensemble_run):
    members, together = [scores(run) for run in runs], scores(ensemble_run)
    assert [json.loads((run / "model.json").read_text())["calibration"]["name"] for run in runs] == ["platt", "isotonic"]
    assert set(together) == set(members[0]) == set(members[1])
    for cell, score in together.items():
        assert score == pytest.approx(np.mean([one[cell] for one in members]), abs=2e-5)
    status = json.loads((ensemble_run / "status.json").read_text())
    assert (status["status"], status["leaky"]) == ("done", False)


def test_saved_it_needs_its_members_no_more(ensemble_run, run_task, tiny, tmp_path):
    folder = ensemble_run
    again = run_task(["task=evaluate", f"run={folder}", *(item for item in tiny if item.startswith("evaluation"))], tmp_path / "again")
    for cell, score in scores(again).items():
        assert score == pytest.approx(scores(folder)[cell], abs=1e-6)
    keras.config.set_dtype_policy("float32")
    importlib.import_module("malaria_exp.components.model.layers")
    images = np.random.default_rng(0).random((3, 32, 32, 3)).astype(np.float32)
    whole = keras.saving.load_model(folder / "model.keras", safe_mode=True)
    np.testing.assert_allclose(whole(images), load_model(folder).model(images), rtol=1e-6)


def test_an_ensemble_of_an_ensemble(runs, ensemble_run, run_task, tiny, tmp_path):
    folder = run_task([*overrides([ensemble_run, runs[0]], tiny), "calibration=none"], tmp_path / "run")
    for cell, score in scores(folder).items():
        assert score == pytest.approx((scores(ensemble_run)[cell] + scores(runs[0])[cell]) / 2, abs=2e-5)


@pytest.mark.parametrize("logits", [[[0.3], [-2.0]], [[100.0], [90.0]], [[-800.0], [5.0]]])
def test_both_averages_in_numbers(logits):
    rows = [np.array([one], np.float32) for one in logits]
    probability, logit = (float(MeanLogit(average)(rows)[0, 0]) for average in ("probability", "logit"))
    exact = [np.float128(one[0]) for one in logits]
    mean = sum(1 / (1 + np.exp(-one)) for one in exact) / 2
    other = sum(1 / (1 + np.exp(one)) for one in exact) / 2
    assert probability == pytest.approx(float(np.log(mean) - np.log(other)), rel=1e-4)
    assert logit == pytest.approx(float(sum(exact) / 2), rel=1e-6)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda runs: [], ["model.runs: missing", "outputs/multirun-x/*"]),
        (lambda runs: [str(runs[0].with_name("aa"))], ["model.runs: no folder", "Did you mean 'a'?"]),
        (lambda runs: [str(runs[0].parent)], ["is no run, but has runs in it: model.runs=[", "/*']"]),
        (lambda runs: ["gs://who:secret@bucket/a"], ["model.runs: 'gs://bucket/a' is no local folder"]),
        (lambda runs: ["nowhere/*"], ["finds no finished run"]),
        (lambda runs: [str(runs[0]), str(runs[0])], ["is given twice"]),
        (lambda runs: [str(runs[0].parent / "*"), str(runs[1])], ["is given twice"]),
    ],
)
def test_runs_that_make_no_ensemble(runs, make, said, run_task, tiny, tmp_path):
    with pytest.raises(ConfigError) as caught:
        run_task(overrides(make(runs), tiny), tmp_path / "run")
    for part in said:
        assert part in str(caught.value)


def test_an_unfinished_run_is_no_member(runs, tmp_path):
    run = shutil.copytree(runs[0], tmp_path / "run")
    status = json.loads((run / "status.json").read_text())
    (run / "status.json").write_text(json.dumps(status | {"status": "failed"}))
    with pytest.raises(ConfigError, match=r"model\.runs: .*no finished training run: task train, status failed"):
        members_rule([str(runs[1]), str(run)])
    (run / "status.json").unlink()
    with pytest.raises(ConfigError, match=r"has no status\.json.*model\.runs=\[outputs/a,outputs/b\]"):
        members_rule([str(run)])


CELLNET = {"image_size": 32, "stem": 4, "widths": [8]}


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"runs": ["a"], "members": [{"name": "cellnet"}]}, "beside model.runs"),
        ({"members": [{"name": "cellnet", "params": CELLNET}]}, r"members\[0\]: expected what a saved ensemble holds"),
        ({"members": [{"name": "cellnet", "params": CELLNET, "precision": "float8"}]}, r"members\[0\]: .*bfloat16"),
        ({"members": [{"name": "celnet", "params": {}, "precision": "float32"}]}, "Did you mean 'cellnet'"),
    ],
)
def test_members_are_not_for_users(params, said):
    policy = keras.config.dtype_policy()
    with pytest.raises(ConfigError, match=said):
        build("model", "ensemble", params)
    assert keras.config.dtype_policy() == policy


@pytest.mark.parametrize("name", ["cellnet", "lenet_subclassed"])
def test_models_of_one_name_keep_their_own_precision(name, tmp_path):
    importlib.import_module("malaria_exp.components.model.layers")
    params = CELLNET if name == "cellnet" else {"image_size": 32, "filters": 2, "filters_2": 4, "units": 8, "units_2": 4}
    members = [{"name": name, "params": params, "precision": precision} for precision in ("float32", "bfloat16")]
    model = build("model", "ensemble", {"members": members})
    assert [layer.dtype_policy.name for layer in model.layers[1:3]] == ["float32", "mixed_bfloat16"]
    assert not model.trainable_variables
    model.save(tmp_path / "net.keras")
    again = build("model", "ensemble", {"members": members})
    again.load_weights(tmp_path / "net.keras")
    images = np.random.default_rng(0).random((3, 32, 32, 3)).astype(np.float32)
    for other in (again, keras.saving.load_model(tmp_path / "net.keras", safe_mode=True)):
        np.testing.assert_array_equal(other(images), model(images))


def test_members_of_other_images_do_not_fit(runs, run_task, tiny, tmp_path):
    other = shutil.copytree(runs[0], tmp_path / "other")
    record = json.loads((other / "model.json").read_text())
    (other / "model.json").write_text(json.dumps(record | {"input": record["input"] | {"size": 24}}))
    with pytest.raises(ConfigError, match=r"32 px by pad.*24 px by pad"):
        run_task(overrides([runs[0], other], tiny), tmp_path / "run")
    with pytest.raises(ConfigError, match=r"cache\.resize: received 'stretch'.*cache\.resize=pad"):
        run_task([*overrides(runs, tiny), "cache.resize=stretch"], tmp_path / "run2")
    with pytest.raises(ConfigError, match=r"model\.image_size: received 48, but the members take images of 32 px"):
        build("model", "ensemble", {"runs": [str(runs[0])], "image_size": 48})


def test_on_another_split_of_the_same_patients_it_leaks(runs, run_task, tiny, tmp_path):
    fold = [*overrides(runs, tiny), "split=patient_kfold", "split.k=3", "split.fold=0"]
    with pytest.raises(LeakError, match="trained or validated on cells which this run validates or tests on"):
        run_task(fold, tmp_path / "run")
    leaky = run_task([*fold, "allow_leak=true"], tmp_path / "leaky")
    assert json.loads((leaky / "status.json").read_text())["leaky"] is True
    assert "parent runs" in (leaky / "report.html").read_text()
    # Who evaluates the ensemble later is told whom its members have seen.
    assert (leaky / "parent_split.csv").is_file()
    again = run_task(["task=evaluate", f"run={leaky}", *(item for item in tiny if item.startswith("evaluation"))], tmp_path / "again")
    assert json.loads((again / "status.json").read_text())["leaky"] is True
    assert "parent runs" in (again / "report.html").read_text()
