"""task=serve: how it starts, what it says, and how it ends."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import ROOT, compose_app, png_bytes
from tiny_bundle import cell, score_of

from malaria_exp.config.registry import build
from malaria_exp.deployment.explanations.draw_one import Drawer
from malaria_exp.deployment.service import serve as module
from malaria_exp.utils.errors import ConfigError, RunFolderError

TOKEN = "sesame-open-sesame-open"


@pytest.fixture
def serve(tmp_path):
    """Calls the task with overrides, in this process."""

    def call(*overrides):
        app = compose_app(["task=serve", *overrides], tmp_path / "out")
        task = app.config.one("task")
        return build("task", task.name, task.params, app)

    return call


def test_a_bundle_is_served_without_tensorflow_until_it_is_told_to_stop(bundle, tmp_path):
    environment = {**os.environ, module.TOKEN_VARIABLE: TOKEN}
    log = tmp_path / "log"
    with log.open("w") as file:
        command = [sys.executable, "run.py", "task=serve", f"run={bundle}", "task.port=0", f"hydra.run.dir={tmp_path}/out"]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=file, stderr=file)
    try:
        until = time.monotonic() + 60
        while not (found := re.search(r"http://127\.0\.0\.1:(\d+)/", log.read_text())):
            assert process.poll() is None and time.monotonic() < until, log.read_text()
            time.sleep(0.02)

        def ask(path, body=None, **headers):
            request = urllib.request.Request(f"http://127.0.0.1:{found[1]}{path}", body, headers)
            return urllib.request.urlopen(request, timeout=30).read()

        with pytest.raises(urllib.error.HTTPError, match="401"):
            ask("/model")
        # More cells than can be scored before the signal: they are answered all the same.
        data = png_bytes(cell(150, size=400))
        part = b'--b\r\ncontent-disposition: form-data; name="files"; filename="a.png"\r\n\r\n' + data + b"\r\n"
        answers = []
        head = {"Content-Type": "multipart/form-data; boundary=b", "Authorization": f"Bearer {TOKEN}"}
        thread = threading.Thread(target=lambda: answers.append(ask("/predict", part * 300 + b"--b--\r\n", **head)))
        thread.start()
        while b"malaria_waiting_cells 0.0" in ask("/metrics", Authorization=f"Bearer {TOKEN}") and not answers:
            time.sleep(0.001)
        libraries = Path(f"/proc/{process.pid}/maps")
        maps = libraries.read_text() if libraries.exists() else "onnxruntime"
        process.send_signal(signal.SIGTERM)
        thread.join(30)
        assert process.wait(30) == 0
        cells = json.loads(answers[0])["cells"]
        assert len(cells) == 300 and all(one["score"] == pytest.approx(score_of(150), abs=1e-5) for one in cells)
        assert "onnxruntime" in maps and "tensorflow" not in maps
    finally:
        process.kill()
    text = log.read_text()
    assert text.splitlines()[-1] == "stopped" and TOKEN not in text and "a.png" not in text
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_served_is_said_in_one_message(serve, bundle, tmp_path, monkeypatch):
    def refused(*overrides, error=ConfigError):
        with pytest.raises(error) as found:
            serve(*overrides)
        assert "\n" not in str(found.value)
        return str(found.value)

    monkeypatch.delenv(module.TOKEN_VARIABLE, raising=False)
    assert refused().startswith("run: received null; task=serve needs")
    assert "no model.json" in refused(f"run={tmp_path}", "task.port=0", error=RunFolderError)
    assert refused(f"run={bundle}", "task.max_cells=9", "task.max_waiting=8").startswith("task.max_waiting: received 8; expected at least")
    assert refused(f"run={bundle}", "task.port=70000").startswith("task.port: ")
    with module.listen("127.0.0.1", 0) as taken:
        message = refused(f"run={bundle}", f"task.port={taken.getsockname()[1]}")
        assert "in use" in message and "task.port=0" in message
    assert "cannot be had" in refused(f"run={bundle}", "task.host=no.such.host.invalid")
    file = tmp_path / "token"
    assert "No such file" in refused(f"run={bundle}", f"task.token_file={file}")
    for text in ("short", "with spaces in the midst of it", ""):
        file.write_text(text)
        message = refused(f"run={bundle}", f"task.token_file={file}")
        assert "at least 16" in message and (not text or text not in message)
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    message = refused(f"run={bundle}")
    assert "fastapi, uvicorn, python-multipart, prometheus-client" in message and "pip install 'malaria_exp[serve]'" in message


def test_the_token_comes_from_a_file_or_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv(module.TOKEN_VARIABLE, TOKEN)
    assert module.read_token(None) == TOKEN
    (tmp_path / "token").write_text(f"another-{TOKEN}\n")
    assert module.read_token(str(tmp_path / "token")) == f"another-{TOKEN}"
    monkeypatch.setenv(module.TOKEN_VARIABLE, "")
    assert module.read_token(None) is None


@pytest.fixture
def said(monkeypatch):
    """What would be served: (model, settings) of each service that is started; none runs."""
    found = []
    server = SimpleNamespace(run=lambda sockets: None)
    monkeypatch.setattr(module, "make_server", lambda model, settings: found.append((model, settings)) or server)
    return found


def test_of_a_run_that_has_been_exported_the_bundle_is_served(bundle, said, tmp_path):
    shutil.copytree(bundle, tmp_path / "run" / "bundle")
    (tmp_path / "run" / "model.json").write_text("that of the run")
    module.serve(tmp_path / "run", host="127.0.0.1", port=0, token=None, limits=module.Limits(), threads=1)
    assert said[0][0].facts.folder == tmp_path / "run" / "bundle"


def test_a_method_that_needs_the_runs_own_model_does_not_take_the_bundle_in_the_run(bundle, said, serve, tmp_path, monkeypatch):
    shutil.copytree(bundle, tmp_path / "run" / "bundle")
    opened, model = [], module.open_model(bundle)
    monkeypatch.setattr(module, "open_model", lambda source, threads: opened.append(source) or model)
    limits, drawer = module.Limits(), Drawer(bytes, "a meaning")
    module.serve(tmp_path / "run", host="127.0.0.1", port=0, token=None, limits=limits, threads=1, drawer_of=lambda model: drawer)
    assert opened == [tmp_path / "run"] and said[0][1].drawer is drawer
    with pytest.raises(ConfigError, match="a bundle gives scores alone"):
        serve(f"run={bundle}", "task.port=0", "task.method=grad_cam")


@pytest.mark.parametrize(("host", "warned"), [("127.0.0.1", False), ("0.0.0.0", True)])
def test_an_open_service_is_warned_of(bundle, said, monkeypatch, caplog, host, warned):
    monkeypatch.setattr(module.log, "propagate", True)
    caplog.set_level("INFO")
    module.serve(bundle, host=host, port=0, token=None, limits=module.Limits(), threads=1)
    assert ("anybody who reaches this machine" in caplog.text) == warned
    assert (said[0][1].hosts is None) == warned
