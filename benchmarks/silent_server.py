"""A run that W&B's server hears of, and one whose server falls silent: both end, the client's process with them, and nothing is lost without a word.

    python benchmarks/silent_server.py

Two runs of one process track to a stand-in for the server (wandb_server.py); from the middle of the second on it answers nobody any more.
An exit that waited for the server would be a hang. Ends with 0 if the process ends within 100 seconds, with one warning. Takes the extra malaria_exp[wandb].
"""

import json
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from wandb_server import KEY, WandbServer  # type: ignore[import-not-found]

MOST_SECONDS = 100
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


def main() -> int:
    """Runs the process, prints what holds, and returns the exit code."""
    with tempfile.TemporaryDirectory() as folder, closing(WandbServer()) as server:
        began, command = time.monotonic(), [sys.executable, "-c", PROGRAM, folder, server.url]
        environment = server.environment(Path(folder) / "home")
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=3 * MOST_SECONDS, check=False)
        seconds, said = time.monotonic() - began, done.stdout + done.stderr
        facts = json.loads((Path(folder) / "heard" / "wandb.json").read_text())
        rows, shown = server.history.get(facts["id"], []), server.shown.get(facts["id"], {})
    holds = {
        f"the process ended, in {seconds:.0f} s": done.returncode == 0 and "the run has ended" in said and seconds < MOST_SECONDS,
        "the first run reached the server": facts["url"].startswith(server.url) and any(row.get("epoch/val_auc") == 0.75 for row in rows),
        "under its name, group and job": [shown.get(key) for key in ("displayName", "groupName", "jobType")]
        == ["heard", "some-group", "fold-2"],
        "the second is one warning": said.count("wandb failed and is switched off") == 1 and "Traceback" not in said,
        "which says how to send what is missing": "to send what is missing: wandb sync" in said,
        "the key is nowhere in the output": KEY not in said,
    }
    for name, holding in holds.items():
        print(f"{'holds ' if holding else 'FAILS '} {name}")
    if not all(holds.values()):
        print(said)
    return int(not all(holds.values()))


if __name__ == "__main__":
    sys.exit(main())
