"""An agent of engine=local: a process that runs one trial after another, each as a process of its own.

The engine starts it: python -m malaria_exp.sweeps.search.local_agent FOLDER NUMBER. What happens it tells as lines of JSON on standard output.
"""

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from malaria_exp.sweeps.search.arguments import to_overrides
from malaria_exp.sweeps.search.file import SweepFile, read_sweep
from malaria_exp.sweeps.search.local_study import INTERRUPTED, alone, ask, end, open_study
from malaria_exp.sweeps.search.trials import ENDED, OUTPUTS, TRIALS, read_history, read_trial
from malaria_exp.utils.atomic_files import write_json

if TYPE_CHECKING:
    import optuna

FILE, SETTINGS, AGENTS = "sweep.yaml", "sweep.json", "agents"
POLL_SECONDS, PATIENCE_SECONDS = 0.2, 60.0


class StoppedError(Exception):
    """The agent was told to stop, or its engine is gone."""


def run_agent(folder: Path, number: int) -> None:
    """Runs trials until there are none left.

    Args:
        folder: of the sweep.
        number: of this agent, from 0.
    """
    settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    sweep = read_sweep(folder / FILE)
    study = open_study(sweep, folder, settings["seed"])
    engine = os.getppid()
    while True:
        with alone(folder):
            found = ask(study, sweep, settings["trials"], number)
        if found is None:
            return
        trial, values = found
        overrides = [*settings["overrides"], *to_overrides(values)]
        tell(event="began", trial=trial.number, overrides=to_overrides({name: values[name] for name in (one.name for one in sweep.varied)}))
        try:
            how, value, reason = run_trial(sweep, folder, trial, overrides, number, engine)
        except (StoppedError, KeyboardInterrupt):
            end(study, trial.number, INTERRUPTED)
            raise
        end(study, trial.number, how, value)
        tell(event="ended", trial=trial.number, how=how, value=value, reason=reason)


def run_trial(
    sweep: SweepFile, folder: Path, trial: "optuna.Trial", overrides: list[str], agent: int, engine: int
) -> tuple[str, float | None, str]:
    """Runs a trial to its end, or until it is one of the worse; returns how it ended, its best value, and why it failed.

    Args:
        sweep: the sweep's file.
        folder: of the sweep.
        trial: Optuna's.
        overrides: of the trial's run.
        agent: number of this agent.
        engine: process that this agent works for.
    """
    name = str(trial.number)
    path = folder / TRIALS / name
    command = sweep.command_of([*overrides, *to_overrides({"hydra.run.dir": str(path)})])
    output = folder / OUTPUTS / f"{name}.log"
    output.parent.mkdir(exist_ok=True)
    with output.open("wb") as log:
        # In a group of its own: Ctrl-C is for the engine, which tells the agents.
        process = subprocess.Popen(  # noqa: S603 - the command of the sweep's file, which is there to be run
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    write_json(folder / AGENTS / f"{agent}.json", {"pid": os.getpid(), "trial": trial.number, "process": process.pid})
    pruned = False
    told = 0
    try:
        while process.poll() is None:
            time.sleep(POLL_SECONDS)
            if os.getppid() != engine:
                raise StoppedError
            if sweep.early_terminate and not pruned:
                told, pruned = report(sweep, trial, path, told)
                if pruned:
                    # Before the run ends: whoever reads the folder then knows why.
                    write_json(folder / ENDED / f"{name}.json", {"ended": "pruned", "reason": f"one of the worse at epoch {told}"})
                    stop(process)
    except BaseException:
        stop(process)
        raise
    finally:
        (folder / AGENTS / f"{agent}.json").unlink(missing_ok=True)
    found = read_trial(path, sweep.metric, folder)
    if found.status == "running" or not path.is_dir():
        reason = f"its process ended with exit code {process.returncode}; see {output}"
        path.mkdir(parents=True, exist_ok=True)
        write_json(folder / ENDED / f"{name}.json", {"ended": "failed", "reason": reason})
        return "failed", None, reason
    if found.status in ("done", "pruned"):
        return found.status, found.objective, ""
    return found.status, None, found.reason


def report(sweep: SweepFile, trial: "optuna.Trial", path: Path, told: int) -> tuple[int, bool]:
    """Reports the epochs that are new; returns how many were reported so far, and whether the trial is one of the worse."""
    history = read_history(path, sweep.metric.column)
    last = sweep.early_terminate.last if sweep.early_terminate else None
    for epoch in range(told + 1, len(history) + 1):
        if last is not None and epoch > last:
            return epoch, False
        if math.isfinite(history[epoch - 1]):
            trial.report(history[epoch - 1], epoch)
            if trial.should_prune():
                return epoch, True
    return len(history), False


def stop(process: "subprocess.Popen[bytes]") -> None:
    """Ends a trial's process as Ctrl-C would; kills it if it does not end."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def tell(**event: Any) -> None:
    """Tells the engine."""
    print(json.dumps(event), flush=True)  # noqa: T201 - the engine reads it


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        run_agent(Path(sys.argv[1]), int(sys.argv[2]))
    except (StoppedError, KeyboardInterrupt):
        sys.exit(130)
