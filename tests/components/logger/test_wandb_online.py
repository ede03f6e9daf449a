import json
import subprocess
import sys
import time

import pytest
from wandb_server import KEY, WandbServer

pytest.importorskip("wandb")
# Two runs of one process: the first ends well, then the server answers nobody any more, and the second ends too.
PROGRAM = """
import sys, time, urllib.request
from pathlib import Path
import wandb
from malaria_exp.tracking.logger_interface import Run
from malaria_exp.tracking.logger_queue import Loggers
from malaria_exp.tracking.wandb_settings import choose_mode
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
        urllib.request.urlopen(sys.argv[2] + "/silence", timeout=10).read()
    loggers.finish("done")
print("the run has ended", flush=True)
"""


def test_a_run_reaches_the_server_and_one_that_falls_silent_holds_nobody_up(tmp_path):
    """The whole program ends, the client's process with it: an exit that waits for the server would be a hang."""
    server = WandbServer()
    began = time.monotonic()
    try:
        command, environment = [sys.executable, "-c", PROGRAM, str(tmp_path), server.url], server.environment(tmp_path / "home")
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=150, check=False)
    finally:
        server.close()
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "the run has ended" in said
    assert time.monotonic() - began < 100
    facts = json.loads((tmp_path / "heard" / "wandb.json").read_text())
    assert facts["url"].startswith(server.url)
    shown = server.shown[facts["id"]]
    assert (shown["displayName"], shown["groupName"], shown["jobType"]) == ("heard", "some-group", "fold-2")
    assert any(row.get("epoch/val_auc") == 0.75 and row["epoch"] == 1 for row in server.history[facts["id"]])
    assert said.count("wandb failed and is switched off") == 1, said
    assert "to send what is missing: wandb sync" in said
    assert "Traceback" not in said
    assert KEY not in said
