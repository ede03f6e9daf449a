"""engine=local: the sweep's trials, chosen by Optuna, run by agents of this machine; no account, no network."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from malaria_exp.sweeps.search.file import SweepFile
from malaria_exp.sweeps.search.local_agent import AGENTS, PATIENCE_SECONDS
from malaria_exp.sweeps.search.local_study import AGENT, end, open_study, prepare
from malaria_exp.sweeps.search.space import text_of
from malaria_exp.sweeps.search.trials import ENDED
from malaria_exp.utils.atomic_files import write_json
from malaria_exp.utils.errors import RunFolderError
from malaria_exp.utils.progress_bars import progress_bar
from malaria_exp.utils.terminal_log import log

if TYPE_CHECKING:
    import optuna

# An agent that dies is replaced so many times; after that something is wrong with all of them.
MOST_REPLACED = 5
POLL_SECONDS = 0.2
ENGINE_LOCK = ".engine.lock"


@dataclass
class Agent:
    """A process that runs trials, and what it says.

    Attributes:
        number: of the agent, from 0.
        process: its process.
        lines: what it printed, put there by a thread.
    """

    number: int
    process: "subprocess.Popen[str]"
    lines: "SimpleQueue[str]" = field(default_factory=SimpleQueue)


def run_local_sweep(sweep: SweepFile, folder: Path, *, agents: int, trials: int | None, seed: int) -> None:
    """Runs the sweep until its trials are done.

    Args:
        sweep: its file.
        folder: of the sweep, prepared by the task.
        agents: processes that run trials, one each at a time.
        trials: at most so many.
        seed: of the suggestions.

    Raises:
        RunFolderError: agents died again and again, or another process runs this sweep.
    """
    try:
        with FileLock(folder / ENGINE_LOCK, timeout=0):
            _run(sweep, folder, agents=agents, trials=trials, seed=seed)
    except Timeout:
        raise RunFolderError(f"resume: another process is running the sweep in '{folder}'. Wait for it, or stop it first.") from None


def _run(sweep: SweepFile, folder: Path, *, agents: int, trials: int | None, seed: int) -> None:
    study = open_study(sweep, folder, seed)
    kill_orphans(folder)
    if again := prepare(study, sweep):
        log.info(
            f"sweep     {again} trial{'s were' if again > 1 else ' was'} under way when it stopped and come{'' if again > 1 else 's'} again"
        )
    total = sweep.grid_size() if sweep.method == "grid" else None
    total = min(total, trials) if total and trials else total or trials
    watch = Watch(sweep, study, folder)
    running = [start_agent(folder, number, agents) for number in range(agents)]
    replaced = 0
    try:
        with progress_bar() as bar:
            task = bar.add_task("trials", total=total, completed=watch.ended_before)
            while running:
                time.sleep(POLL_SECONDS)
                for agent in list(running):
                    over = agent.process.poll() is not None
                    watch.read(agent, wait=over)
                    if not over:
                        continue
                    running.remove(agent)
                    if agent.process.returncode == 0:
                        continue
                    watch.bury(agent)
                    replaced += 1
                    if replaced > MOST_REPLACED:
                        raise RunFolderError(
                            f"sweep: agents ended unexpectedly {replaced} times, the last with exit code {agent.process.returncode}; see"
                            f" {folder / 'agents.log'}. The same command with resume=true goes on."
                        )
                    log.warning(
                        f"sweep     agent {agent.number} ended unexpectedly (exit code {agent.process.returncode}); another takes its place"
                    )
                    running.append(start_agent(folder, agent.number, agents))
                bar.update(task, completed=watch.ended_before + watch.ended, description=f"trials{watch.best_words()}")
    finally:
        stop_agents(running)
        for agent in running:
            watch.read(agent, wait=True)


class Watch:
    """Follows the trials by what the agents say, and tells the terminal.

    Args:
        sweep: the sweep's file.
        study: its study.
        folder: its folder.
    """

    def __init__(self, sweep: SweepFile, study: "optuna.Study", folder: Path) -> None:
        self.sweep, self.study, self.folder = sweep, study, folder
        known = [trial for trial in study.get_trials(deepcopy=False) if trial.state.is_finished() and ENDED not in trial.user_attrs]
        self.ended_before, self.ended = len(known), 0
        values = [trial.value for trial in known if trial.value is not None]
        self.best: float | None = (max if sweep.metric.goal == "maximize" else min)(values) if values else None
        self.began: dict[int, float] = {}

    def best_words(self) -> str:
        """Returns the best value so far for the progress bar."""
        return "" if self.best is None else f", best {self.sweep.metric.column} {self.best:.4f}"

    def read(self, agent: Agent, *, wait: bool) -> None:
        """Handles what an agent said; `wait` is for one that is over, whose last words may still be on their way."""
        while True:
            try:
                line = agent.lines.get(timeout=1.0) if wait else agent.lines.get_nowait()
            except Empty:
                return
            if not line:
                return
            try:
                event = json.loads(line)
            except ValueError:
                continue
            self.handle(event)

    def handle(self, event: dict[str, Any]) -> None:
        """Tells of a trial that began or ended."""
        number = event["trial"]
        if event["event"] == "began":
            self.began[number] = time.monotonic()
            log.info(f"trial {number:<4d}{' '.join(event['overrides'])}")
            return
        self.ended += 1
        seconds = time.monotonic() - self.began.get(number, time.monotonic())
        value, metric = event["value"], self.sweep.metric
        if value is None:
            log.warning(f"trial {number:<4d}{event['how']} after {seconds:.0f} s: {event['reason']}")
            return
        best = event["how"] == "done" and (self.best is None or metric.better(value, self.best))
        if best:
            self.best = value
        how = "ended early" if event["how"] == "pruned" else "done"
        log.info(
            f"trial {number:<4d}{how} in {seconds:.0f} s: {metric.column} {text_of(float(value))}{', the best so far' if best else ''}"
        )

    def bury(self, agent: Agent) -> None:
        """Records that the trial of an agent that died has failed, and ends its process."""
        left = self.folder / AGENTS / f"{agent.number}.json"
        kill_orphan(left)
        for trial in self.study.get_trials(deepcopy=False):
            if not trial.state.is_finished() and trial.user_attrs.get(AGENT) == agent.number:
                reason = f"its agent ended with exit code {agent.process.returncode}"
                write_json(self.folder / ENDED / f"{trial.number}.json", {"ended": "failed", "reason": reason})
                end(self.study, trial.number, "failed")
                self.handle({"event": "ended", "trial": trial.number, "how": "failed", "value": None, "reason": reason})


def start_agent(folder: Path, number: int, agents: int) -> Agent:
    """Starts an agent with its share of the cores."""
    share = str(max(1, (os.cpu_count() or 1) // agents))
    environment = dict(os.environ)
    if agents > 1:
        for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
            environment.setdefault(name, share)
    with (folder / "agents.log").open("a", encoding="utf-8") as errors:
        process = subprocess.Popen(  # noqa: S603 - this program itself
            [sys.executable, "-m", "malaria_exp.sweeps.search.local_agent", str(folder), str(number)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=environment,
            # Ctrl-C reaches the engine alone, which then stops the agents in order.
            start_new_session=True,
        )
    agent = Agent(number, process)

    def listen() -> None:
        for line in process.stdout or ():
            agent.lines.put(line)
        agent.lines.put("")

    threading.Thread(target=listen, daemon=True).start()
    return agent


def stop_agents(agents: list[Agent]) -> None:
    """Ends agents and their trials, and waits for them."""
    for agent in agents:
        if agent.process.poll() is None:
            agent.process.terminate()
    for agent in agents:
        try:
            agent.process.wait(PATIENCE_SECONDS + 10)
        except subprocess.TimeoutExpired:
            agent.process.kill()
            agent.process.wait()


def kill_orphans(folder: Path) -> None:
    """Ends trials that run on although the agent of an earlier engine is gone."""
    for left in (folder / AGENTS).glob("*.json"):
        kill_orphan(left)


def kill_orphan(left: Path) -> None:
    """Ends the trial that an agent noted in this file before it died; nothing without the file."""
    try:
        process = json.loads(left.read_text(encoding="utf-8"))["process"]
    except (OSError, ValueError, KeyError):
        return
    # Its group is its own, and its number is that of the process.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process, signal.SIGKILL)
    left.unlink(missing_ok=True)
