import json
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

pytest.importorskip("wandb")
KEY = "0123456789abcdef0123456789abcdef01234567"
# Two runs of one process: the first ends well, then the server answers nobody any more, and the second ends too.
PROGRAM = """
import sys, time, urllib.request
from pathlib import Path
import wandb
from malaria_exp.tracking.logger_interface import Run
from malaria_exp.tracking.tracker.logger_queue import Loggers
from malaria_exp.tracking.tracker.wandb_settings import choose_mode
from malaria_exp.components.logger.wandb import WandbLogger
from malaria_exp.utils.terminal_log import start_terminal_log

start_terminal_log()
about = dict.fromkeys(("entity", "name", "group", "job_type", "notes", "id")) | {"project": "malaria_exp", "tags": []}
for name in ("heard", "cut-off"):
    logger = WandbLogger(wandb, choose_mode("auto"), about, {}, models=True)
    logger.patience = 120 if name == "heard" else 8
    loggers = Loggers({"wandb": logger})
    folder = Path(sys.argv[1]) / name
    folder.mkdir()
    loggers.tell("start", Run(folder, name, "some-group", "fold-2", {"seed": 3}))
    loggers.tell("scalars", "epoch", 1, {"epoch": 1, "val_auc": 0.75})
    if name == "cut-off":
        while not (folder / "wandb.json").exists():
            time.sleep(0.05)
        urllib.request.urlopen(sys.argv[2] + "/cut", timeout=10).read()
    loggers.finish("done")
print("the run has ended", flush=True)
"""


@pytest.fixture
def server():
    """A stand-in for W&B's server: `url`; the names of the runs, the history rows it was sent; it falls silent when `cut` is set."""
    heard = SimpleNamespace(runs={}, history=[], keys=set(), cut=threading.Event(), done=threading.Event())

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def answer(self, content):
            body = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            if self.path == "/cut":
                heard.cut.set()
            self.answer({})

        def do_PUT(self):
            self.do_POST()

        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if heard.cut.is_set():
                heard.done.wait(300)
                return
            if self.path == "/graphql":
                self.answer({"data": self.data(json.loads(body))})
                return
            if self.path.endswith("/file_stream"):
                for name, part in json.loads(body).get("files", {}).items():
                    if name == "wandb-history.jsonl":
                        heard.history += [json.loads(line) for line in part["content"]]
            self.answer({})

        def data(self, asked):
            given = asked.get("variables") or {}
            if "upsertBucket" in asked["query"]:
                if given.get("displayName"):
                    heard.runs[given["displayName"]] = given
                project = {"id": "p", "name": "malaria_exp", "entity": {"id": "e", "name": "me"}}
                bucket = {"id": "b", "name": given["name"], "displayName": "", "config": "{}", "historyLineCount": 0, "project": project}
                return {"upsertBucket": {"bucket": bucket, "inserted": True}}
            if "createRunFiles" in asked["query"]:
                files = [{"name": name, "uploadUrl": f"{heard.url}/upload"} for name in given["files"]]
                return {"createRunFiles": {"runID": given["run"], "uploadHeaders": [], "files": files}}
            return {"entity": {"organization": None}, "serverInfo": {"features": []}}

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_):
            """A client that hangs up is no news."""

    running = Server(("127.0.0.1", 0), Handler)
    heard.url = f"http://127.0.0.1:{running.server_address[1]}"
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield heard
    heard.done.set()
    running.shutdown()
    running.server_close()


def test_a_run_reaches_the_server_and_one_that_falls_silent_holds_nobody_up(server, tmp_path):
    """The whole program ends, the client's process with it: an exit that waits for the server would be a hang."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    own |= {"WANDB_API_KEY": KEY, "WANDB_BASE_URL": server.url, "NETRC": str(tmp_path / "none"), "PYTHONPATH": os.pathsep.join(sys.path)}
    own |= {name: str(tmp_path / "home") for name in ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR")}
    began = time.monotonic()
    command = [sys.executable, "-c", PROGRAM, str(tmp_path), server.url]
    done = subprocess.run(command, env=own, capture_output=True, text=True, timeout=150, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "the run has ended" in said
    assert time.monotonic() - began < 100
    assert (server.runs["heard"]["groupName"], server.runs["heard"]["jobType"]) == ("some-group", "fold-2")
    assert any(row.get("epoch/val_auc") == 0.75 and row["epoch"] == 1 for row in server.history)
    assert json.loads((tmp_path / "heard" / "wandb.json").read_text())["url"].startswith(server.url)
    assert said.count("wandb failed and is switched off") == 1, said
    assert "to send what is missing: wandb sync" in said
    assert "Traceback" not in said
    assert KEY not in said
