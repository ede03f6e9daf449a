"""engine=wandb: the sweep lives at W&B's server, which chooses the trials; W&B's own agents run them on this machine."""

import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from malaria_exp.sweeps.search import processes
from malaria_exp.sweeps.search.file import SweepFile
from malaria_exp.sweeps.search.trial_command import ARGUMENTS
from malaria_exp.sweeps.search.trials import TRIALS
from malaria_exp.sweeps.search.wandb_agents import Agent
from malaria_exp.sweeps.search.wandb_create import Created, create
from malaria_exp.sweeps.search.wandb_watch import Watch
from malaria_exp.tracking.wandb_settings import has_key, hides_something, need_wandb
from malaria_exp.utils.atomic_files import write_json
from malaria_exp.utils.errors import ConfigError, RunFolderError
from malaria_exp.utils.progress_bars import progress_bar
from malaria_exp.utils.terminal_log import log

SWEEP_FILE, PROJECT = "wandb_sweep.json", "malaria_exp"
POLL_SECONDS = 0.5
# An agent that died is replaced after 1, 2, 4 ... seconds, as agents also die when the server cannot be reached for a minute. The search
# ends after so many deaths without a trial that ended well in between.
MOST_REPLACED, WAIT_SECONDS = 6, 1.0


def run_wandb_sweep(
    sweep: SweepFile, folder: Path, *, agents: int, count: int | None, overrides: list[str], project: str | None, entity: str | None
) -> None:
    """Creates the sweep, or goes on with the one that the folder names, and runs agents until the server has no more trials for them.

    Args:
        sweep: its file.
        folder: of the sweep, prepared by the task.
        agents: processes that run trials, one each at a time.
        count: at most so many trials in all; None for as many as the server gives.
        overrides: given to every trial beside its values.
        project: of the sweep; None for WANDB_PROJECT, the file's, or malaria_exp.
        entity: user or team; None for WANDB_ENTITY, the file's, or the account's own.

    Raises:
        ConfigError: the client is missing, there is no key, or an override is secret.
        DataError: the server cannot be reached or refuses.
        RunFolderError: agents died again and again, or all trials fail.
    """
    need_wandb("engine")
    if not has_key("engine"):
        raise ConfigError(
            "engine: wandb needs a key, and there is none. Run 'wandb login', or set WANDB_API_KEY; engine=local runs the same file without an account."
        )
    server = _created_before(folder) or _create(sweep, folder, count, overrides, project, entity)
    log.info(f"wandb     {server.url or server.path}; on other machines: wandb agent {server.path}")
    (folder / TRIALS).mkdir(exist_ok=True)
    watch = Watch(sweep, folder)
    deaths = Deaths()
    running = [Agent(number, agents, folder, server) for number in range(agents)]
    try:
        with progress_bar() as bar:
            ends = [end for end in (count, sweep.grid_size() if sweep.method == "grid" else None) if end is not None]
            task = bar.add_task("trials", total=min(ends, default=None))
            while running:
                time.sleep(POLL_SECONDS)
                running = [agent for agent in running if _goes_on(agent, watch, deaths)]
                watch.look()
                watch.check()
                bar.update(task, completed=len(watch.ended), description=watch.words(watch.running))
    except KeyboardInterrupt:
        log.warning(f"wandb     the sweep stays open at the server; to end it: wandb sweep --stop {server.path}")
        raise
    finally:
        processes.stop([agent.process for agent in running if agent.due is None])
        for agent in running:
            watch.read(agent)
            watch.bury(agent, "interrupted", "stopped with the sweep")
        watch.look()


@dataclass
class Deaths:
    """Agents that died since a trial last ended well.

    Attributes:
        number: of those that died.
        done: trials that have ended well.
    """

    number: int = 0
    done: int = 0


def _goes_on(agent: Agent, watch: Watch, deaths: Deaths) -> bool:
    """Tells whether an agent has more to do; one that died is replaced after a while.

    Raises:
        RunFolderError: agents died again and again.
    """
    code = agent.process.poll()
    watch.read(agent)
    if code is None:
        return True
    if agent.due is not None:
        if time.monotonic() >= agent.due:
            agent.start()
        return True
    processes.kill_session(agent.process.pid)
    if code == 0:
        # The server has said that the sweep is over, which also ends a trial under way.
        watch.bury(agent, "interrupted", "the sweep was ended at the server")
        return False
    watch.bury(agent, "failed", f"its agent ended with exit code {code}")
    done = sum(trial.status == "done" for trial in watch.ended.values())
    deaths.number, deaths.done = deaths.number + 1 if done == deaths.done else 1, done
    if deaths.number > MOST_REPLACED:
        raise RunFolderError(
            f"sweep: agents ended unexpectedly {deaths.number} times; the last one said: {agent.last_words()} (see {agent.log})."
            " The same command with resume=true goes on."
        )
    log.warning(f"sweep     agent {agent.number} ended unexpectedly (exit code {code}); another takes its place")
    agent.due = time.monotonic() + WAIT_SECONDS * 2 ** (deaths.number - 1)
    return True


def _created_before(folder: Path) -> Created | None:
    try:
        return Created(**json.loads((folder / SWEEP_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _create(sweep: SweepFile, folder: Path, count: int | None, overrides: list[str], project: str | None, entity: str | None) -> Created:
    if hides_something(overrides):
        raise ConfigError(
            "engine: wandb keeps the command of the trials at its server, and one of the overrides looks like a key, a password or a signed address."
            " Give it by the environment, or use engine=local."
        )
    config = {key: value for key, value in sweep.raw.items() if key not in ("project", "entity")}
    config["command"] = [part for given in sweep.command for part in ([*overrides, given] if given == ARGUMENTS else [given])]
    if not (Path(sys.executable).parent / "python").exists():
        # For the client ${interpreter} is "python", which is missing here.
        config["command"] = [sys.executable if part == "${interpreter}" else part for part in config["command"]]
    if count is not None:
        config["run_cap"] = count
    server, remarks = create(
        config,
        entity or os.environ.get("WANDB_ENTITY") or sweep.raw.get("entity"),
        project or os.environ.get("WANDB_PROJECT") or sweep.raw.get("project") or PROJECT,
    )
    if remarks:
        log.warning(f"wandb     {remarks}")
    write_json(folder / SWEEP_FILE, vars(server))
    return server
