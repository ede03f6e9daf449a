"""W&B's own agents as processes of this machine: how they are started, and what their logs tell."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from malaria_exp.sweeps.search import processes
from malaria_exp.sweeps.search.arguments import read_agents_values
from malaria_exp.sweeps.search.supervisor import PATIENCE_SECONDS
from malaria_exp.sweeps.search.trials import TRIALS
from malaria_exp.sweeps.search.wandb_create import Created

AGENTS = "agents"
# The client's own agent. A signal to it is a signal to its trial, which then writes that it was interrupted.
AGENT = f"import sys, wandb; wandb.agent(sys.argv[1], forward_signals=True, term_timeout={PATIENCE_SECONDS - 5:.0f})"
OVER = re.compile(r"Cleaning up finished run: (\S+)")
STOPPED = re.compile(r" - (?:Stop|Kill): (\S+)")


@dataclass
class Agent:
    """An agent: its process, which is replaced if it dies, and what was read of its log.

    Attributes:
        number: of the agent, from 0.
        agents: how many share this machine.
        folder: of the sweep.
        sweep: at the server.
        due: when a process that died is to be replaced, in seconds of time.monotonic; None for a process that runs.
        process: its present process.
    """

    number: int
    agents: int
    folder: Path
    sweep: Created
    due: float | None = None
    process: "subprocess.Popen[bytes]" = field(init=False)
    _read: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        # What a search that was killed has left is not read again.
        self._read = self.log.stat().st_size if self.log.exists() else 0
        for left in self._files.glob("wandb/sweep-*/config-*.yaml"):
            left.unlink()
        self.start()

    @property
    def log(self) -> Path:
        """What it prints, with the output of its trials."""
        return self.folder / AGENTS / f"{self.number}.log"

    @property
    def _files(self) -> Path:
        return self.folder.resolve() / AGENTS / str(self.number)

    def start(self) -> None:
        """Starts its process, the first one or another in the place of one that died."""
        self._files.mkdir(parents=True, exist_ok=True)
        environment = {name: value for name, value in os.environ.items() if name not in ("WANDB_RUN_ID", "WANDB_SWEEP_ID", "WANDB_RESUME")}
        environment |= {
            "MALARIA_EXP_OUTPUTS": str(self.folder.resolve() / TRIALS),
            "WANDB_DIR": str(self._files),
            # The engine sees for itself whether trials fail; the client would count those that the server stops.
            "WANDB_AGENT_DISABLE_FLAPPING": "true",
            "WANDB_AGENT_MAX_INITIAL_FAILURES": "1000000",
            # ${interpreter} is "python" for the client: it shall be this one.
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
            "PYTHONUNBUFFERED": "1",
        }
        command = [sys.executable, "-c", AGENT, self.sweep.path]
        self.process, self.due = processes.start(command, self.log, beside=self.agents, environment=environment), None

    def read(self) -> tuple[set[str], list[str]]:
        """Reads what is new in the log, and returns the ids of the runs that the server stopped, and of those that are over."""
        # Asked before reading: of a process that has ended the last line is whole, whether or not it has an end.
        ended = self.process.poll() is not None
        with self.log.open("rb") as file:
            file.seek(self._read)
            new = file.read()
        if not ended:
            new = new[: new.rfind(b"\n") + 1]
        self._read += len(new)
        text = new.decode(errors="replace")
        return set(STOPPED.findall(text)), OVER.findall(text)

    def under_way(self) -> list[str]:
        """Returns the ids of its runs that have begun and are not over."""
        return [path.stem.removeprefix("config-") for path in self._values_folder().glob("config-*.yaml")]

    def take_values(self, run: str) -> dict[str, Any]:
        """Returns the values that a run was given, and removes the file they are in, so that the run is no longer under way."""
        path = self._values_folder() / f"config-{run}.yaml"
        values = read_agents_values(path) or {}
        path.unlink(missing_ok=True)
        return values

    def last_words(self) -> str:
        """Returns the last line of the log that says anything."""
        lines = [line.strip() for line in self.log.read_text(encoding="utf-8", errors="replace").splitlines()]
        return next((line for line in reversed(lines) if line), "nothing was printed")

    def _values_folder(self) -> Path:
        # Where the client writes the values of each run, below WANDB_DIR.
        return self._files / "wandb" / f"sweep-{self.sweep.id}"
