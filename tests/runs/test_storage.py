"""What a failing copy does to a run: nothing but a line in its status."""

import json
import logging
from pathlib import Path
from types import SimpleNamespace

import pytest

from malaria_exp.config.run_config import Choice
from malaria_exp.runs.storage import command, keep_copy, name_of
from malaria_exp.utils.filesystem_kinds import FsspecFilesystem


def config(name, **params):
    return SimpleNamespace(one=lambda group: Choice("storage", name, params, "storage"))


def status(folder):
    return json.loads((folder / "status.json").read_text())


def test_where_the_copy_is_stands_in_both_statuses(small_run, tmp_path):
    keep_copy(config("path", path=str(tmp_path / "kept")), small_run)
    copy = tmp_path / "kept" / small_run.name
    assert status(small_run) == status(copy) == {"task": "train", "status": "done", "stored": str(copy)}


def test_a_copy_that_fails_is_recorded_with_its_reason_and_the_run_is_whole(small_run, monkeypatch, caplog):
    def fail(self, path, name):
        raise OSError("quota is used up: sftp://me:hunter2@bucket/x")

    monkeypatch.setattr(FsspecFilesystem, "put", fail)
    caplog.set_level(logging.INFO, logger="malaria_exp")
    monkeypatch.setattr(logging.getLogger("malaria_exp"), "propagate", True)
    before = set(small_run.rglob("*"))
    url = f"memory://{small_run.parent.parent.name}/runs"
    keep_copy(config("fsspec", url=url, what=["model"]), small_run)
    assert set(small_run.rglob("*")) == before
    found = status(small_run)
    assert found["status"] == "done" and "stored" not in found and "sftp://***@bucket/x" in found["not_stored"]
    assert f"To copy it later: python run.py task=upload run={small_run} storage=fsspec storage.url={url}" in caplog.text
    assert "hunter2" not in caplog.text


def test_an_interrupted_copy_is_recorded_and_still_interrupts(small_run, monkeypatch, tmp_path):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("malaria_exp.runs.storage_copy.shutil.copyfile", interrupt)
    with pytest.raises(KeyboardInterrupt):
        keep_copy(config("path", path=str(tmp_path / "kept")), small_run)
    assert status(small_run)["not_stored"] == "KeyboardInterrupt"
    assert not any((tmp_path / "kept").iterdir())


def test_a_later_copy_takes_the_place_of_the_reason(small_run, tmp_path):
    (small_run / "status.json").write_text(json.dumps({"status": "done", "not_stored": "no network"}))
    keep_copy(config("path", path=str(tmp_path / "kept")), small_run)
    assert "not_stored" not in status(small_run)
    assert "not_stored" not in status(tmp_path / "kept" / small_run.name)


@pytest.mark.parametrize(
    ("folder", "files", "expected"),
    [
        ("outputs/20260102-030405-000000-abcdef", [], "20260102-030405-000000-abcdef"),
        ("outputs/multirun-x/3", [], "multirun-x/3"),
        ("outputs/mine/lr=0.1", ["outputs/mine/multirun.yaml"], "mine/lr=0.1"),
    ],
)
def test_jobs_of_different_multiruns_have_different_names(tmp_path, folder, files, expected):
    (tmp_path / folder).mkdir(parents=True)
    for name in files:
        (tmp_path / name).write_text("")
    assert name_of(tmp_path / folder) == expected


def test_the_command_for_later_can_be_typed_and_holds_no_password():
    choice = Choice("storage", "fsspec", {"url": "sftp://me:hunter2@host/runs", "what": ["model", "report"]}, "storage")
    assert command(choice, Path("outputs/a b")) == (
        "python run.py task=upload 'run=outputs/a b' storage=fsspec 'storage.url=sftp://***@host/runs' 'storage.what=[model,report]'"
    )
    plain = Choice("storage", "path", {"path": "/mnt/x", "what": ["everything"]}, "storage")
    assert command(plain, Path("outputs/a")) == "python run.py task=upload run=outputs/a storage=path storage.path=/mnt/x"
