"""The Python API: the command line's results and messages, twice in one process, and nobody else's state touched."""

import json

import numpy as np
import pytest
from conftest import TINY_CELLNET, WITH_DETECTOR
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

import malaria_exp
from malaria_exp.config.registry import build
from malaria_exp.main import compose_app
from malaria_exp.utils.errors import ConfigError, RunFolderError


def test_a_run_is_that_of_the_command_line_and_the_seed_whatever_ran_in_the_process_before(finished_run, without_pictures, tmp_path):
    other = ["seed=1", "trainer.precision=bfloat16", "model.dropout=0.3", "ood=none"]
    with without_pictures():
        for name, own in (("first", other), ("second", ["trainer.epochs=2"])):
            # Each in a folder of its own, beside which it is alone in having opened the test subset.
            run = malaria_exp.run([*WITH_DETECTOR, *TINY_CELLNET, *own, f"hydra.run.dir={tmp_path / name / 'run'}"])
            assert run.folder == tmp_path / name / "run"
    for name in ("split.csv", "predictions.csv", "ood.npz"):
        assert (run.folder / name).read_bytes() == (finished_run / name).read_bytes(), name
    both = [json.loads((folder / "metrics.json").read_text()) for folder in (run.folder, finished_run)]
    for found in both:
        del found["training"]["train_seconds"]
    assert both[0] == both[1]


def test_what_stands_in_a_run_is_read_from_its_folder(finished_run):
    run = malaria_exp.load_run(finished_run)
    assert [row["epoch"] for row in run.history] == [1, 2]
    assert set(run.predictions.subsets) == {"val", "test"} and run.config["model"]["name"] == "cellnet"
    assert run.metrics["split_hash"]
    assert run.report.exists() and run.model().input_shape == (None, 32, 32, 3) and len(repr(run)) < 300
    assert "test AUC" in repr(run)


def test_a_run_and_its_bundle_predict_new_images_as_the_run_was_evaluated(finished_run, bundle):
    run = malaria_exp.load_run(finished_run)
    table = build("dataset", "synthetic", {key: value for key, value in run.config["dataset"].items() if key != "name"})
    row_of = {cell: row for row, cell in enumerate(table.cell_id.tolist())}
    images = [table.source.read(row_of[cell]) for cell in run.predictions.cell_id.tolist()]
    for model in (run, malaria_exp.load_run(bundle)):
        found = model.predict(images)
        np.testing.assert_allclose(found.score, run.predictions.score, atol=1e-5)
        assert not any(found.error) and list(found.predicted) == list(run.metrics["thresholds"])
    assert "bundle" in repr(model)


@pytest.mark.parametrize(("value", "parent"), [("", "outputs"), ("elsewhere", "elsewhere")])
def test_an_empty_variable_is_not_set(monkeypatch, value, parent):
    monkeypatch.setenv("MALARIA_EXP_OUTPUTS", value)
    assert str(compose_app([]).output_dir.parent) == parent


def test_mistakes_are_errors_with_the_message_of_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for overrides, message in (
        (["modle=vit"], "Did you mean 'model'"),
        (["model=vitt"], "Did you mean 'vit'"),
        (["model.stem=abc"], "model.stem: expected a whole number"),
        (["seed=0,1"], "several values"),
        (["task=list"], "takes train, evaluate and resume, received 'list'"),
        (["resume=true"], "resume: goes on with a multirun"),
    ):
        with pytest.raises(ConfigError, match=message):
            malaria_exp.run(overrides)
    with pytest.raises(ConfigError, match="no such group"):
        malaria_exp.list_components("modle")
    with pytest.raises(RunFolderError, match=r"has no status\.json"):
        malaria_exp.load_run(tmp_path)
    assert not list(tmp_path.iterdir())


def test_whoever_uses_hydra_too_keeps_what_was_set_up(tmp_path):
    (tmp_path / "own.yaml").write_text("mine: 1\n")
    with initialize_config_dir(str(tmp_path), version_base="1.3"):
        assert malaria_exp.compose(["model=vit"]).one("model").name == "vit"
        assert compose("own") == {"mine": 1}
    assert not GlobalHydra.instance().is_initialized()


def test_components_are_listed_with_their_help():
    assert "model" in malaria_exp.list_components()
    assert malaria_exp.list_components("loss")["bce"]
    assert "model=vit" in repr(malaria_exp.compose(["model=vit"]))
