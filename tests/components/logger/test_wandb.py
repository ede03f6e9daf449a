import json
import logging
import os
import shutil
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from wandb_file import Offline

from malaria_exp.config.registry import build
from malaria_exp.tracking import wandb_settings
from malaria_exp.tracking.logger_interface import Artifact
from malaria_exp.tracking.logger_queue import Loggers
from malaria_exp.utils.errors import ConfigError

pytest.importorskip("wandb")
KEY = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module", autouse=True)
def no_account(tmp_path_factory):
    """Neither the account of whoever runs the tests nor its settings take part."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("WANDB_")]:
            patch.delenv(name)
        home = tmp_path_factory.mktemp("home")
        patch.setenv("NETRC", str(home / "netrc"))
        for name in ("WANDB_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR", "WANDB_ARTIFACT_DIR"):
            patch.setenv(name, str(home))
        patch.delenv("WANDB_DIR")
        yield


@pytest.fixture(scope="module")
def tracked(run_task, tiny_cellnet, tmp_path_factory):
    """The folder of a whole run of two epochs, tracked offline, with a key in the environment and a secret on the command line."""
    folder = tmp_path_factory.mktemp("multirun-x") / "3"
    (folder.parent / "multirun.yaml").write_text("")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_API_KEY", KEY)
        patch.setattr(sys, "argv", ["run.py", "dataset.token=hunter2-on-the-command-line", "seed=0"])
        own = ["trainer.epochs=2", "logger=[csv,wandb]", "logger.wandb.mode=offline", "logger.wandb.steps=2", "logger.wandb.histograms=1"]
        run_task([*tiny_cellnet, *own, "logger.wandb.gradients=2", "logger.wandb.tags=[test]"], folder)
    return folder


@pytest.fixture(scope="module")
def offline(tracked):
    return Offline(tracked)


def test_the_run_says_what_it_is(tracked, offline):
    assert offline.exit_code == 0
    assert offline.run.display_name == f"{tracked.parent.name}-3"
    assert (offline.run.run_group, offline.run.job_type) == (tracked.parent.name, "train")
    assert list(offline.run.tags) == ["test"]
    assert offline.config["model"]["name"] == "cellnet"
    assert offline.config["trainer"]["epochs"] == 2
    facts = json.loads((tracked / "wandb.json").read_text())
    assert facts["id"] == offline.run.run_id
    assert facts["mode"] == "offline"
    assert facts["folder"].startswith(str(tracked))


def test_metrics_have_axes_of_their_own_and_the_summary_keeps_the_best(tracked, offline):
    lines = [line.split(",") for line in (tracked / "history.csv").read_text().splitlines()]
    column = lines[0].index("val_auc")
    epochs = [row for row in offline.history if "epoch/val_auc" in row]
    assert [(row["epoch"], row["epoch/val_auc"]) for row in epochs] == [(n, float(lines[n][column])) for n in (1, 2)]
    steps = [row["step"] for row in offline.history if "step/loss" in row]
    assert steps
    assert all(step % 2 == 0 for step in steps)
    assert offline.metrics["step/*"].step_metric == "step"
    auc, loss = offline.metrics["epoch/val_auc"], offline.metrics["epoch/val_loss"]
    assert (auc.step_metric, loss.step_metric) == ("epoch", "epoch")
    assert offline.summary["epoch/val_auc"] == max(row["epoch/val_auc"] for row in epochs)
    metrics = json.loads((tracked / "metrics.json").read_text())
    assert offline.summary["test/auc"] == metrics["subsets"]["test"]["ranking"]["auc"]["value"]


def test_pictures_histograms_curves_and_tables_are_logged(tracked, offline):
    names = {name for row in offline.history for name in row}
    for name in (
        "cells/samples",
        "cells/augmented_batch",
        "figures/val_roc",
        "figures/val_confusion_matrix",
        "results/worst_errors",
        "predictions",
    ):
        assert any(one == name or one.startswith(f"{name}/") for one in names), name
    assert any(name.startswith("weights/") for name in names)
    assert any(name.startswith("gradients/") for name in names)
    (table,) = (tracked / "wandb").glob("offline-run-*/files/media/table/predictions_*.table.json")
    content = json.loads(table.read_text())
    assert content["columns"] == ["cell", "cell_id", "patient", "truth", "score", "error"]
    pictures = next(one for one in offline.artifacts if one.type == "run_table" and one.name.endswith("predictions")).manifest.contents
    assert sum(entry.path.endswith(".png") for entry in pictures) == len(content["data"])
    (roc,) = (tracked / "wandb").glob("offline-run-*/files/media/table/results/test_roc_table_*.table.json")
    curve = np.array(json.loads(roc.read_text())["data"])
    assert (curve[0] == 0).all()
    assert (curve[-1] == 1).all()
    area = float(np.sum(np.diff(curve[:, 0]) * (curve[1:, 1] + curve[:-1, 1]) / 2))
    metrics = json.loads((tracked / "metrics.json").read_text())
    assert area == pytest.approx(metrics["subsets"]["test"]["ranking"]["auc"]["value"], abs=0.01)


def test_artifacts_tell_where_the_model_comes_from(tracked, offline):
    found = {(one.type, *sorted(one.aliases, reverse=True)): one for one in offline.artifacts if one.type != "run_table"}
    assert set(found) == {
        ("dataset", "latest"),
        ("split", "latest"),
        ("sample", "latest"),
        ("model", "untrained", "latest"),
        ("model", "trained", "latest"),
        ("report", "latest"),
    }
    metrics = json.loads((tracked / "metrics.json").read_text())
    assert json.loads(found["split", "latest"].metadata)["split_hash"] == metrics["split_hash"]
    assert "data_hash" in json.loads(found["dataset", "latest"].metadata)
    assert [entry.path for entry in found["dataset", "latest"].manifest.contents] == ["dataset.json"], "cells are not copied"
    assert {entry.path for entry in found["model", "trained", "latest"].manifest.contents} == {"model.keras", "model.json"}
    assert found["model", "untrained", "latest"].name == found["model", "trained", "latest"].name == "cellnet-model"


def test_no_key_and_no_secret_is_in_any_file(tracked):
    for path in tracked.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert KEY.encode() not in content, path
            assert b"hunter2-on-the-command-line" not in content, path


def logger_of(run, **keys):
    logger = build("logger", "wandb", {"mode": "offline", **keys})
    logger.start(run)
    return logger


def test_a_failed_run_has_an_exit_code_and_its_reason(run):
    logger = logger_of(run)
    logger.finish("failed", "Training diverged")
    found = Offline(run.folder)
    assert found.exit_code == 1
    assert found.summary["reason"] == "Training diverged"


def test_the_summary_has_the_best_value_as_a_plain_number_under_the_metrics_own_name(run):
    """Sweeps look for the metric there; W&B's own summary="max" would make it {"max": ...}."""
    logger = logger_of(run)
    values = {"val_auc": (0.5, 0.75, float("nan"), 0.25), "val_loss": (3.0, 1.0, float("nan"), 2.0), "own": (1.0, 3.0, 2.0, 0.0)}
    for epoch in range(4):
        logger.scalars("epoch", epoch + 1, {"epoch": epoch + 1, **{name: each[epoch] for name, each in values.items()}})
    logger.finish("done", "")
    found = Offline(run.folder)
    assert found.summary["epoch/val_auc"] == 0.75
    assert found.summary["epoch/val_loss"] == 1.0
    assert found.summary["epoch/own"] == 0.0, "without a known direction it is the last"
    assert not found.metrics["epoch/val_auc"].summary.ByteSize()


def test_histograms_of_neighboring_numbers_are_counted(run):
    """Between two neighbors of float32 NumPy finds no room for bins."""
    logger = logger_of(run)
    near = np.array([1, np.nextafter(np.float32(1), np.float32(2))], np.float32)
    logger.histograms(1, {"weights/near": near, "weights/nan": np.array([np.nan])})
    logger.finish("done", "")
    names = {name for row in Offline(run.folder).history for name in row}
    assert any(name.startswith("weights/near") for name in names)
    assert not any(name.startswith("weights/nan") for name in names)


def test_runs_of_one_process_stay_apart_and_an_id_goes_on(run, tmp_path):
    other = replace(run, folder=tmp_path / "other", name="other", job="fold-2")
    other.folder.mkdir()
    first, second = logger_of(run), logger_of(other, id="abc123", group="many")
    first.scalars("epoch", 1, {"epoch": 1, "val_auc": 0.5})
    second.scalars("epoch", 1, {"epoch": 1, "val_auc": 0.75})
    second.finish("done", "")
    first.scalars("epoch", 2, {"epoch": 2, "val_auc": 0.25})
    first.finish("interrupted", "stopped by Ctrl-C")
    shutil.move(other.folder, tmp_path.parent / "other-run")
    mine, theirs = Offline(run.folder), Offline(tmp_path.parent / "other-run")
    shutil.rmtree(tmp_path.parent / "other-run")
    assert [row["epoch/val_auc"] for row in mine.history] == [0.5, 0.25]
    assert [row["epoch/val_auc"] for row in theirs.history] == [0.75]
    assert (theirs.run.run_id, theirs.run.run_group, theirs.run.job_type) == ("abc123", "many", "fold-2")
    assert mine.exit_code == 130


def test_one_id_is_not_for_all_jobs_of_a_multirun(run):
    with pytest.raises(ConfigError, match=r"logger.wandb.id: it names one run, and the jobs of a multirun are several"):
        logger_of(replace(run, group="many"), id="abc123")
    assert not (run.folder / "wandb").exists()


def test_a_run_of_a_sweep_has_the_agents_id_and_the_whole_configuration_beside_the_sweeps_values(run, tmp_path, monkeypatch, caplog):
    (tmp_path / "values.yaml").write_text("wandb_version: 1\n\nmodel:\n  value: cellnet\naug:\n  value: [dihedral]\n")
    for name, value in {"SWEEP_ID": "abc", "RUN_ID": "r77", "SWEEP_PARAM_PATH": str(tmp_path / "values.yaml")}.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    import wandb

    # The client reads its environment once in a process.
    wandb.teardown()
    with caplog.at_level(logging.WARNING, logger="malaria_exp"):
        logger_of(run).finish("done", "")
    wandb.teardown()
    found = Offline(run.folder)
    assert (found.run.run_id, found.run.sweep_id) == ("r77", "abc")
    assert (found.config["model"], found.config["model.stem"]) == ("cellnet", 4)
    assert (found.config["aug"], found.config["aug.dihedral"]) == (["dihedral"], {"p": 1.0})
    (warning,) = warnings_of(caplog)
    assert "the sweep that this run belongs to does not see its metrics" in warning


def test_an_artifact_that_fails_is_one_warning_and_costs_nothing_else(run, caplog):
    logger = build("logger", "wandb", {"mode": "offline"})
    loggers = Loggers({"wandb": logger})
    with caplog.at_level(logging.WARNING, logger="malaria_exp"):
        loggers.tell("start", run)
        loggers.tell("artifact", Artifact("gone", "split", (run.folder / "nowhere.csv",)))
        for step in range(1, 6):
            loggers.tell("scalars", "step", step, {"loss": 1.0})
        loggers.finish("done")
    (warning,) = warnings_of(caplog)
    assert "wandb goes on without this kind of event, as it failed: split artifact" in warning
    found = Offline(run.folder)
    assert (found.exit_code, len(found.history)) == (0, 5)


def test_a_logger_that_is_dropped_tells_the_server_so(run):
    logger = build("logger", "wandb", {"mode": "offline"})
    loggers = Loggers({"wandb": logger})
    loggers.tell("start", run)
    loggers.tell("scalars", "step", 1, {"loss": object()})
    loggers.finish("done")
    found = Offline(run.folder)
    assert found.exit_code == 1
    assert found.summary["reason"].endswith("the run itself: done")


def warnings_of(caplog):
    return [record.getMessage() for record in caplog.records if record.name == "malaria_exp" and record.levelno == logging.WARNING]


def test_a_folder_that_is_removed_in_mid_run_is_one_warning(run, caplog):
    loggers = Loggers({"wandb": build("logger", "wandb", {"mode": "offline"})})
    loggers.tell("start", run)
    wait_for(run.folder / "wandb.json")
    shutil.rmtree(run.folder / "wandb")
    loggers.tell("scalars", "epoch", 1, {"epoch": 1, "val_auc": 0.5})
    loggers.finish("done")
    (warning,) = warnings_of(caplog)
    assert "was removed during the run" in warning


def test_the_clients_process_that_is_killed_is_one_warning_and_the_next_run_has_another(run, tmp_path, caplog):
    import wandb

    loggers = Loggers({"wandb": build("logger", "wandb", {"mode": "offline"})})
    loggers.tell("start", run)
    wait_for(run.folder / "wandb.json")
    process = wandb.setup()._connection._proc._process
    process.kill()
    process.wait()
    loggers.tell("scalars", "epoch", 1, {"epoch": 1, "val_auc": 0.5})
    loggers.finish("failed", "something else")
    assert len(warnings_of(caplog)) == 1
    other = replace(run, folder=tmp_path / "other")
    other.folder.mkdir()
    logger_of(other).finish("done", "")
    assert Offline(other.folder).exit_code == 0


def wait_for(path):
    for _ in range(600):
        if path.exists():
            return
        time.sleep(0.1)
    pytest.fail(f"{path} was not written within a minute")


def test_auto_is_offline_without_a_key(monkeypatch):
    assert wandb_settings.choose_mode("auto") == "offline"
    with pytest.raises(ConfigError, match=r"logger.wandb.mode: received 'online', but there is no key.*WANDB_API_KEY.*wandb sync"):
        wandb_settings.choose_mode("online")
    monkeypatch.setenv("WANDB_MODE", "online")
    with pytest.raises(ConfigError, match="received 'online' from WANDB_MODE, but there is no key"):
        wandb_settings.choose_mode("auto")
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert wandb_settings.choose_mode("auto") == "disabled"


@pytest.mark.parametrize("server", [None, "http://own.example:8080"])
def test_a_key_is_found_where_the_clients_login_puts_it(monkeypatch, tmp_path, server):
    from wandb.sdk.lib import urls, wbauth

    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    wbauth.write_netrc_auth(host=server or urls.DEFAULT_BASE_URL, api_key=KEY)
    if server:
        assert wandb_settings.choose_mode("auto") == "offline", "a key of another server"
        monkeypatch.setenv("WANDB_BASE_URL", server)
    assert wandb_settings.choose_mode("auto") == "online"
    monkeypatch.delenv("WANDB_BASE_URL", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    assert wandb_settings.choose_mode("auto") == "online"
    monkeypatch.setenv("WANDB_API_KEY", "too-short")
    with pytest.raises(ConfigError, match=r"logger.wandb.mode: the client cannot use the key"):
        wandb_settings.choose_mode("auto")


def test_disabled_writes_nothing(run):
    logger = build("logger", "wandb", {"mode": "disabled"})
    logger.start(run)
    logger.scalars("epoch", 1, {"epoch": 1, "val_auc": 0.5})
    logger.finish("done", "")
    assert not list(run.folder.glob("wandb*"))


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ConfigError, match=r"pip install 'malaria_exp\[wandb\]'"):
        build("logger", "wandb", {})
