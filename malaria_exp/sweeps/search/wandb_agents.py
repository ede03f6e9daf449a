"""W&B's own agents as processes of this machine: how they are started and stopped, and what their logs tell.

python -m malaria_exp.sweeps.search.wandb_agents ENTITY/PROJECT/ID is an agent: the client's own, which ends when its engine is gone.
"""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from malaria_exp.sweeps.search.trials import TRIALS
from malaria_exp.sweeps.search.wandb_create import Created

AGENTS = "agents"
# A trial that is told to stop has so long to write how it ended.
PATIENCE_SECONDS = 60
OVER = re.compile(r"Cleaning up finished run: (\S+)")
STOPPED = re.compile(r" - (?:Stop|Kill): (\S+)")


@dataclass
class Agent:
    """A place for an agent: its process, which may be replaced, and what was read of its log.

    Attributes:
        number: of the agent, from 0.
        folder: of the sweep.
        sweep: at the server.
        process: its present process.
        over: runs that it has ended with and that nobody has looked at yet, with the values they were given.
        stopped: runs that the server had stopped and that nobody has looked at yet.
        due: when a process that died is to be replaced; None for one that was not expected to.
    """

    number: int
    folder: Path
    sweep: Created
    process: "subprocess.Popen[bytes]"
    over: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    stopped: set[str] = field(default_factory=set)
    due: float | None = None
    _read: int = 0

    @property
    def log(self) -> Path:
        """What it prints, with the output of its trials."""
        return self.folder / AGENTS / f"{self.number}.log"

    def read(self) -> None:
        """Reads what is new in the log."""
        with self.log.open("rb") as file:
            file.seek(self._read)
            new = file.read()
        new = new[: new.rfind(b"\n") + 1]
        self._read += len(new)
        for line in new.decode(errors="replace").splitlines():
            if found := STOPPED.search(line):
                self.stopped.add(found[1])
            elif found := OVER.search(line):
                self.close(found[1])

    def under_way(self) -> list[str]:
        """Returns the ids of its runs that have begun and are not over."""
        return [path.stem.removeprefix("config-") for path in self._values_folder().glob("config-*.yaml")]

    def close(self, run: str) -> None:
        """Puts a run among those that are over."""
        path = self._values_folder() / f"config-{run}.yaml"
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
            values = {key: given["value"] for key, given in content.items() if isinstance(given, dict)}
        except (OSError, yaml.YAMLError, AttributeError, KeyError):
            values = {}
        path.unlink(missing_ok=True)
        self.over.append((run, values))

    def last_words(self) -> str:
        """Returns the last line of the log that says anything."""
        lines = [line.strip() for line in self.log.read_text(encoding="utf-8", errors="replace").splitlines()]
        return next((line for line in reversed(lines) if line), "nothing was printed")

    def replace(self, agents: int) -> None:
        """Starts another process in the place of one that is gone."""
        self.process, self.due = start_process(self.folder, self.number, self.sweep, agents), None

    def kill(self) -> None:
        """Ends at once what is left of it and of its trial."""
        for process in _session(self.process.pid):
            with suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)
        self.process.wait()

    def _values_folder(self) -> Path:
        # Where the client writes the values of each run, below WANDB_DIR.
        return self.folder / AGENTS / str(self.number) / "wandb" / f"sweep-{self.sweep.id}"


def start_agent(folder: Path, number: int, sweep: Created, agents: int) -> Agent:
    """Starts an agent of a sweep.

    Args:
        folder: of the sweep.
        number: of the agent, from 0.
        sweep: at the server.
        agents: how many share this machine.
    """
    log, values = folder / AGENTS / f"{number}.log", folder / AGENTS / str(number) / "wandb"
    before = log.stat().st_size if log.exists() else 0
    for left in values.glob("sweep-*/config-*.yaml"):
        # Of an engine that was killed.
        left.unlink()
    return Agent(number, folder, sweep, start_process(folder, number, sweep, agents), _read=before)


def start_process(folder: Path, number: int, sweep: Created, agents: int) -> "subprocess.Popen[bytes]":
    """Starts an agent's process with its share of the cores, in a session of its own: Ctrl-C is for the engine, which tells the agents."""
    own = folder.resolve() / AGENTS / str(number)
    own.mkdir(parents=True, exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if name not in ("WANDB_RUN_ID", "WANDB_SWEEP_ID", "WANDB_RESUME")}
    environment |= {
        "MALARIA_EXP_OUTPUTS": str(folder.resolve() / TRIALS),
        "WANDB_DIR": str(own),
        # The engine sees for itself whether trials fail; the client would count those that the server stops.
        "WANDB_AGENT_DISABLE_FLAPPING": "true",
        "WANDB_AGENT_MAX_INITIAL_FAILURES": "1000000",
        # ${interpreter} is "python" for the client: it shall be this one.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "PYTHONUNBUFFERED": "1",
    }
    if agents > 1:
        share = str(max(1, (os.cpu_count() or 1) // agents))
        for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
            environment.setdefault(name, share)
    with (folder / AGENTS / f"{number}.log").open("ab") as log:
        return subprocess.Popen(  # noqa: S603 - the name that the server gave, as one argument
            [sys.executable, "-m", "malaria_exp.sweeps.search.wandb_agents", sweep.path],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )


def stop_agents(agents: list[Agent]) -> None:
    """Ends agents and their trials, and waits for them; those that do not end in time are killed."""
    try:
        for agent in agents:
            if agent.process.poll() is None:
                agent.process.terminate()
        end = time.monotonic() + PATIENCE_SECONDS + 15
        for agent in agents:
            with suppress(subprocess.TimeoutExpired):
                agent.process.wait(max(0.1, end - time.monotonic()))
    finally:
        for agent in agents:
            if agent.due is None:
                agent.kill()


def _session(leader: int) -> list[int]:
    """Returns the processes of a session; a process that has lost its parent still belongs to it."""
    try:
        known = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    except OSError:
        listed = subprocess.run(["ps", "-A", "-o", "pid="], capture_output=True, text=True, check=False).stdout  # noqa: S607
        known = [int(word) for word in listed.split()]
    found = []
    for process in known:
        with suppress(ProcessLookupError, PermissionError):
            if os.getsid(process) == leader:
                found.append(process)
    return found


def _run(path: str) -> None:
    """Is an agent."""
    import wandb

    engine = os.getppid()

    def watch() -> None:
        while os.getppid() == engine:
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
    # A signal to the agent is a signal to its trial, which then writes that it was interrupted.
    wandb.agent(path, forward_signals=True, term_timeout=PATIENCE_SECONDS)


if __name__ == "__main__":
    _run(sys.argv[1])
