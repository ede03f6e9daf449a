"""The trials of engine=wandb while they run, followed by their run folders and the agents' logs."""

from pathlib import Path
from typing import Any

from malaria_exp.runs.run_folder import record_refusal
from malaria_exp.sweeps.job_status import read_status
from malaria_exp.sweeps.search.arguments import to_overrides
from malaria_exp.sweeps.search.file import SweepFile
from malaria_exp.sweeps.search.progress import Progress
from malaria_exp.sweeps.search.trials import ENDED, TRIALS, note_end, read_trial
from malaria_exp.sweeps.search.wandb_agents import Agent
from malaria_exp.utils.errors import RunFolderError

# The search ends if this many trials fail before any trial ends well.
MOST_FAILED = 5


class Watch(Progress):
    """Follows the trials, notes how those ended that could not record it themselves, and tells the terminal.

    Args:
        sweep: the sweep's file.
        folder: its folder.
    """

    def __init__(self, sweep: SweepFile, folder: Path) -> None:
        super().__init__(sweep, [])
        self.folder = folder
        self.running = 0
        self.stopped: set[str] = set()
        self.closed: set[str] = set()
        for path in (folder / TRIALS).iterdir():
            # Trials of a search that was stopped; its agents are gone.
            trial = read_trial(path, sweep.metric, folder)
            if trial.status == "running":
                note_end(self.folder, path.name, "interrupted", "stopped with the sweep")
                trial = read_trial(path, sweep.metric, folder)
            self.ended[path.name] = trial

    def read(self, agent: Agent) -> None:
        """Handles what is new in an agent's log."""
        stopped, over = agent.read()
        self.stopped |= stopped
        for run in over:
            self.close(run, agent.take_values(run), "failed", f"its program was killed or could not start; see {agent.log}")

    def bury(self, agent: Agent, how: str, reason: str) -> None:
        """Records what became of the runs of an agent that is gone."""
        for run in agent.under_way():
            self.close(run, agent.take_values(run), how, reason)

    def close(self, run: str, values: dict[str, Any], how: str, reason: str) -> None:
        """Records how a run ended, if it has not done so itself."""
        self.closed.add(run)
        mine = [path for path in self.open() if read_status(path).get("wandb_run") == run]
        for path in mine:
            if read_status(path).get("status") == "running":
                note_end(self.folder, path.name, how, reason)
        if not mine and not any(read_status(self.folder / TRIALS / name).get("wandb_run") == run for name in self.ended):
            record_refusal(self.folder / TRIALS / run, overrides=to_overrides(values), reason=reason)

    def look(self) -> None:
        """Looks at the trials that were not over when it last looked."""
        self.running = 0
        for path in self.open():
            status = read_status(path)
            how, run = status.get("status", "running"), str(status.get("wandb_run", ""))
            noted = (self.folder / ENDED / f"{path.name}.json").exists()
            # Whether the server interrupted a trial is known, at the latest, when its agent has said that the trial is over.
            if (how == "running" and not noted) or (how == "interrupted" and run not in self.closed):
                self.running += 1
                continue
            if run in self.stopped and how != "done":
                note_end(self.folder, path.name, "pruned", "stopped by W&B")
            # The server may resume the run.
            self.stopped.discard(run)
            self.closed.discard(run)
            trial = read_trial(path, self.sweep.metric, self.folder)
            given = {one.name: trial.values[one.name] for one in self.sweep.varied if one.name in trial.values}
            self.tell(trial, given=" ".join(to_overrides(given)))

    def check(self) -> None:
        """Raises a RunFolderError if all trials fail."""
        failed = [trial for trial in self.ended.values() if trial.status == "failed"]
        if len(failed) >= MOST_FAILED and not any(trial.status in ("done", "pruned") for trial in self.ended.values()):
            raise RunFolderError(f"sweep: the first {len(failed)} trials have all failed; the last one: {failed[-1].reason}")

    def open(self) -> list[Path]:
        """Returns the folders of the trials that are not known to have ended, in their order."""
        return sorted(path for path in (self.folder / TRIALS).iterdir() if path.is_dir() and path.name not in self.ended)
