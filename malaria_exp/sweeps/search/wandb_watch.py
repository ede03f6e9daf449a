"""What becomes of the trials of engine=wandb, by their folders and the agents' logs."""

import json
from pathlib import Path
from typing import Any

from malaria_exp.runs.run_folder import STATUS, record_refusal
from malaria_exp.sweeps.search.arguments import to_overrides
from malaria_exp.sweeps.search.file import SweepFile
from malaria_exp.sweeps.search.space import text_of
from malaria_exp.sweeps.search.trials import ENDED, TRIALS, Trial, read_trial
from malaria_exp.sweeps.search.wandb_agents import Agent
from malaria_exp.utils.atomic_files import write_json
from malaria_exp.utils.errors import RunFolderError
from malaria_exp.utils.terminal_log import log

# So many trials that fail before any other ends well are no accident.
MOST_FAILED = 5


class Watch:
    """Follows the trials by their folders and the agents' logs, and tells the terminal.

    Args:
        sweep: the sweep's file.
        folder: its folder.
    """

    def __init__(self, sweep: SweepFile, folder: Path) -> None:
        self.sweep, self.folder = sweep, folder
        self.ended: dict[str, Trial] = {}
        self.running = 0
        self.stopped: set[str] = set()
        self.closed: set[str] = set()
        for path in (folder / TRIALS).iterdir():
            # Those of an earlier engine, whose agents are gone.
            trial = read_trial(path, sweep.metric, folder)
            if trial.status == "running":
                self.note(path, "interrupted", "stopped with the sweep")
                trial = read_trial(path, sweep.metric, folder)
            self.ended[path.name] = trial

    def words(self) -> str:
        """Returns how far the sweep is, for the progress bar."""
        failed = sum(trial.status in ("failed", "no number") for trial in self.ended.values())
        best = self._best()
        return (
            f"trials, {self.running} running"
            + (f", {failed} failed" if failed else "")
            + ("" if best is None else f", best {self.sweep.metric.column} {best:.4f}")
        )

    def read(self, agent: Agent) -> None:
        """Handles what an agent's log tells."""
        agent.read()
        self.stopped |= agent.stopped
        agent.stopped.clear()
        for run, values in agent.over:
            self.close(run, values, "failed", f"its program was killed or could not start; see {agent.log}")
        agent.over.clear()

    def bury(self, agent: Agent, how: str, reason: str) -> None:
        """Records what became of the runs of an agent that is gone."""
        for run in agent.under_way():
            agent.close(run)
        for run, values in agent.over:
            self.close(run, values, how, reason)
        agent.over.clear()

    def close(self, run: str, values: dict[str, Any], how: str, reason: str) -> None:
        """Records how a run ended that is over, if it has not done so itself."""
        self.closed.add(run)
        mine = [path for path in self.open() if self.status(path).get("wandb_run") == run]
        for path in mine:
            if self.status(path).get("status") == "running":
                self.note(path, how, reason)
        if not mine and not any(self.status(self.folder / TRIALS / name).get("wandb_run") == run for name in self.ended):
            record_refusal(self.folder / TRIALS / run, overrides=to_overrides(values), reason=reason)

    def look(self) -> None:
        """Looks at the trials that were not over when it last did."""
        self.running = 0
        for path in self.open():
            status = self.status(path)
            how, run = status.get("status", "running"), str(status.get("wandb_run", ""))
            noted = (self.folder / ENDED / f"{path.name}.json").exists()
            # Who interrupted a trial is known at the latest when its agent has said that it is over.
            if (how == "running" and not noted) or (how == "interrupted" and run not in self.closed):
                self.running += 1
                continue
            if run in self.stopped and how != "done":
                self.note(path, "pruned", "ended early by W&B")
            # It may come again.
            self.stopped.discard(run)
            self.closed.discard(run)
            self.tell(path)

    def check(self) -> None:
        """Raises a RunFolderError if all trials fail."""
        failed = [trial for trial in self.ended.values() if trial.status == "failed"]
        if len(failed) >= MOST_FAILED and not any(trial.status in ("done", "pruned") for trial in self.ended.values()):
            raise RunFolderError(f"sweep: the first {len(failed)} trials have all failed; the last one: {failed[-1].reason}")

    def tell(self, path: Path) -> None:
        """Tells of a trial that has ended."""
        metric, best = self.sweep.metric, self._best()
        trial = read_trial(path, metric, self.folder)
        self.ended[path.name] = trial
        seconds = "" if trial.seconds is None else f" in {trial.seconds:.0f} s"
        given = " ".join(to_overrides({one.name: trial.values[one.name] for one in self.sweep.varied if one.name in trial.values}))
        if trial.status not in ("done", "pruned") or trial.objective is None:
            log.warning(f"trial     {trial.status}{seconds}: {trial.reason}; {given}")
            return
        leads = trial.status == "done" and (best is None or metric.better(trial.objective, best))
        how = "ended early" if trial.status == "pruned" else "done"
        log.info(f"trial     {how}{seconds}: {metric.column} {text_of(trial.objective)}{', the best so far' if leads else ''}; {given}")

    def open(self) -> list[Path]:
        """Returns the folders of the trials that are not known to have ended, in their order."""
        return sorted(path for path in (self.folder / TRIALS).iterdir() if path.is_dir() and path.name not in self.ended)

    def note(self, path: Path, how: str, reason: str) -> None:
        """Notes how a trial ended that could not do so itself."""
        write_json(self.folder / ENDED / f"{path.name}.json", {"ended": how, "reason": reason})

    @staticmethod
    def status(path: Path) -> dict[str, Any]:
        """Returns what a trial says of itself; nothing before it has."""
        try:
            content = json.loads((path / STATUS).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def _best(self) -> float | None:
        values = [trial.objective for trial in self.ended.values() if trial.status == "done" and trial.objective is not None]
        return (max if self.sweep.metric.goal == "maximize" else min)(values) if values else None
