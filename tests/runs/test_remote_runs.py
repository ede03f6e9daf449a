"""What is fetched from elsewhere is whole, fetched once, and never mistaken for something else."""

import contextlib
import json
import re

import h5py
import pytest
from web_server import Site, say, serve

from malaria_exp.config.run_files import OOD_FILE
from malaria_exp.data.cache_contents import FETCHED
from malaria_exp.data.cache_folders import TAG
from malaria_exp.runs import remote_runs
from malaria_exp.runs.remote_runs import CHECKSUMS, local_file, local_run
from malaria_exp.utils.errors import ConfigError, DataError, RunFolderError
from malaria_exp.utils.filesystems import open_filesystem, write_bytes


@pytest.fixture
def weights(tmp_path):
    """Bytes of a file of weights."""
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file["layers/dense/vars/0"] = [1.0, 2.0]
    return (tmp_path / "w.h5").read_bytes()


@pytest.fixture
def site(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr(remote_runs.time, "sleep", lambda _: None)
    with contextlib.closing(Site()) as server:
        yield server


def cached(root):
    return [path.name for path in root.rglob("*") if path.is_file() and path.name not in (TAG, CHECKSUMS)]


def test_a_file_of_an_address_is_fetched_once(site, weights, tmp_path):
    site.answers = [serve(weights)]
    for _ in range(2):
        path = local_file(f"{site.origin}/models/a.weights.h5?token=hunter2", tmp_path / "cache", "init_from")
        assert path.read_bytes() == weights
    assert path.name == "a.weights.h5"
    assert len(site.requests) == 1
    assert cached(tmp_path / "cache") == ["a.weights.h5"]


def test_a_copy_that_was_damaged_is_fetched_again(site, weights, tmp_path):
    site.answers = [serve(weights), serve(weights)]
    path = local_file(f"{site.origin}/a.h5", tmp_path, "init_from")
    path.write_bytes(weights[:-1] + b"?")
    assert local_file(f"{site.origin}/a.h5", tmp_path, "init_from").read_bytes() == weights
    assert len(site.requests) == 2


def test_a_connection_that_is_cut_is_tried_again(site, weights, tmp_path):
    site.answers = [serve(weights, cut=100), say(503), serve(weights)]
    assert local_file(f"{site.origin}/a.h5", tmp_path / "cache", "init_from").read_bytes() == weights
    assert len(site.requests) == 3


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (say(404), r"HTTP 404"),
        (say(200, b"<html>Log in, please</html>"), "no file of weights, but perhaps a web page"),
        (say(503), r"HTTP 503 \(tried 4 times\)"),
    ],
)
def test_what_cannot_be_fetched_is_said_and_nothing_is_kept(site, tmp_path, answer, message):
    site.answers = [answer]
    url = f"{site.origin}/a.h5?token=hunter2"
    with pytest.raises(DataError, match=f"init_from: cannot download {site.origin}/a.h5.*{message}") as caught:
        local_file(url, tmp_path / "cache", "init_from")
    assert "hunter2" not in str(caught.value)
    assert cached(tmp_path / "cache") == []


@pytest.fixture
def stored_run(finished_run, request):
    """The URL of a finished run's copy in an object store."""
    url = f"memory://{request.node.name}/runs/mine"
    for path in finished_run.iterdir():
        if path.is_file():
            write_bytes(open_filesystem(url, "run"), path.name, path.read_bytes())
    return url


def test_a_run_elsewhere_is_fetched_once_under_its_own_name(stored_run, finished_run, tmp_path):
    folder = local_run(stored_run, tmp_path)
    assert folder.name == "mine"
    assert sorted(cached(folder)) == sorted([*remote_runs.NEEDED, OOD_FILE])
    assert (folder / "model.keras").read_bytes() == (finished_run / "model.keras").read_bytes()
    before = (folder / "model.keras").stat().st_ino
    assert (local_run(stored_run, tmp_path) / "model.keras").stat().st_ino == before


def test_another_run_under_the_same_url_is_another_run(stored_run, finished_run, tmp_path):
    first = local_run(stored_run, tmp_path)
    status = json.loads((finished_run / "status.json").read_text()) | {"started": "2001-01-01T00:00:00+00:00"}
    write_bytes(open_filesystem(stored_run, "run"), "status.json", json.dumps(status).encode())
    assert local_run(stored_run, tmp_path) != first


def test_a_folder_of_this_machine_is_taken_as_it_is(tmp_path):
    assert local_run(f"file://{tmp_path}", tmp_path / "cache") == local_run(str(tmp_path), tmp_path / "cache") == tmp_path


@pytest.mark.parametrize("name", ["status.json", "model.keras", "split.csv"])
def test_what_a_run_elsewhere_lacks_is_named(stored_run, tmp_path, name):
    open_filesystem(stored_run, "run").remove(name)
    with pytest.raises(RunFolderError, match=re.escape(f"run: '{stored_run}' has no {name}")):
        local_run(stored_run, tmp_path)
    assert not (tmp_path / FETCHED).exists()


@pytest.mark.parametrize("status", [b"{", b'{"task": "train", "status": "running"}', b'{"task": "evaluate", "status": "done"}', b"[]"])
def test_a_run_elsewhere_that_is_not_finished_is_refused(stored_run, tmp_path, status):
    write_bytes(open_filesystem(stored_run, "run"), "status.json", status)
    with pytest.raises(RunFolderError, match="is no finished training run"):
        local_run(stored_run, tmp_path)


def test_a_web_address_is_no_folder_and_an_unknown_scheme_is_said(tmp_path):
    with pytest.raises(RunFolderError, match=r"run: 'https://host/run' is a web address"):
        local_run("https://me:hunter2@host/run", tmp_path)
    with pytest.raises(ConfigError, match="run: 'nonsense://x' cannot be opened"):
        local_run("nonsense://x", tmp_path)
