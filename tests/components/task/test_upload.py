import json
import shutil

import pytest

from malaria_exp.utils.errors import ConfigError, RunFolderError


@pytest.fixture
def copy_of_run(finished_run, tmp_path):
    return shutil.copytree(finished_run, tmp_path / "mine")


def test_a_finished_run_is_copied_later_once(copy_of_run, run_task, tmp_path):
    overrides = ["task=upload", f"run={copy_of_run}", "storage=path", f"storage.path={tmp_path / 'kept'}"]
    run_task(overrides, tmp_path / "x")
    assert json.loads((copy_of_run / "status.json").read_text())["stored"] == str(tmp_path / "kept" / "mine")
    assert (tmp_path / "kept" / "mine" / "report.html").read_bytes() == (copy_of_run / "report.html").read_bytes()
    with pytest.raises(RunFolderError, match="exists already"):
        run_task(overrides, tmp_path / "x")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["storage=path", "storage.path={}/kept"], r"run: received None; task=upload needs"),
        (["run={}/mine"], r"storage: received 'none'; task=upload needs a storage"),
        (["run=memory://a/b", "storage=path", "storage.path={}/kept"], "needs the local folder"),
    ],
)
def test_what_is_missing_is_said(copy_of_run, run_task, tmp_path, overrides, message):
    with pytest.raises(ConfigError, match=message):
        run_task(["task=upload", *(item.format(tmp_path) for item in overrides)], tmp_path / "x")


def test_an_unfinished_run_is_not_copied(copy_of_run, run_task, tmp_path):
    (copy_of_run / "status.json").write_text('{"status": "running"}')
    with pytest.raises(RunFolderError, match="no finished run: status running"):
        run_task(["task=upload", f"run={copy_of_run}", "storage=path", f"storage.path={tmp_path / 'kept'}"], tmp_path / "x")
    assert not (tmp_path / "kept").exists()
