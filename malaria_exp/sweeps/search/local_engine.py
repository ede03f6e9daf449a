"""engine=local: Optuna chooses the trials, which are processes of this machine; no account, no network."""

import math
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from malaria_exp.runs.run_folder import MAY_RESUME, has_checkpoint
from malaria_exp.sweeps.search import processes
from malaria_exp.sweeps.search.arguments import to_overrides
from malaria_exp.sweeps.search.file import SweepFile
from malaria_exp.sweeps.search.local_study import INTERRUPTED, PROCESS, ask, end, interrupted_as, open_study, prepare
from malaria_exp.sweeps.search.progress import Progress
from malaria_exp.sweeps.search.trials import OUTPUTS, TRIALS, note_end, read_history, read_trial, read_trials
from malaria_exp.utils.progress_bars import progress_bar
from malaria_exp.utils.terminal_log import log

if TYPE_CHECKING:
    import optuna

POLL_SECONDS = 0.2


@dataclass
class RunningTrial:
    """A trial under way.

    Attributes:
        trial: Optuna's.
        process: that runs it.
        epochs: of its history that Optuna knows.
        pruned: whether it was told to stop, as one of the worse.
    """

    trial: "optuna.Trial"
    process: "subprocess.Popen[bytes]"
    epochs: int = 0
    pruned: bool = False

    @property
    def name(self) -> str:
        """Name of its folder."""
        return str(self.trial.number)


def run_local_sweep(sweep: SweepFile, folder: Path, *, agents: int, trials: int | None, seed: int, overrides: list[str]) -> None:
    """Runs the sweep until its trials are done.

    Args:
        sweep: its file.
        folder: of the sweep, prepared by the task.
        agents: trials that run at a time, each in a process of its own.
        trials: at most so many.
        seed: of the suggestions.
        overrides: given to every trial beside its values.
    """
    _LocalSearch(sweep, folder, agents, trials, seed, overrides).run()


class _LocalSearch:
    """A search under way; its arguments are those of `run_local_sweep`."""

    def __init__(self, sweep: SweepFile, folder: Path, agents: int, trials: int | None, seed: int, overrides: list[str]) -> None:
        self.sweep, self.folder, self.agents, self.trials, self.overrides = sweep, folder, agents, trials, overrides
        self.study = open_study(sweep, folder, seed)
        if again := prepare(self.study, sweep):
            log.info(
                f"sweep     {again} trial{'s were' if again > 1 else ' was'} under way when it stopped and come{'' if again > 1 else 's'} again"
            )
        known = [trial for trial in read_trials(folder, sweep.metric) if trial.status not in ("running", INTERRUPTED)]
        self.progress = Progress(sweep, known)
        self.running: list[RunningTrial] = []

    def run(self) -> None:
        """Runs trials until there are none left; an interrupt ends those that are under way."""
        ends = [end for end in (self.trials, self.sweep.grid_size() if self.sweep.method == "grid" else None) if end is not None]
        try:
            with progress_bar() as bar:
                task = bar.add_task("trials", total=min(ends, default=None))
                more = True
                while more or self.running:
                    while more and len(self.running) < self.agents:
                        more = self._begin()
                    time.sleep(POLL_SECONDS)
                    for one in list(self.running):
                        if one.process.poll() is None:
                            self._prune(one)
                        else:
                            self._conclude(one)
                    bar.update(task, completed=len(self.progress.ended), description=self.progress.words(len(self.running)))
        finally:
            processes.stop([one.process for one in self.running])
            for one in list(self.running):
                self._conclude(one, stopped=True)

    def _begin(self) -> bool:
        """Starts the next trial; tells whether there was one left."""
        found = ask(self.study, self.sweep, self.trials)
        if found is None:
            return False
        trial, values = found
        name = str(trial.number)
        environment = dict(os.environ)
        if (before := interrupted_as(self.study, trial)) is not None and has_checkpoint(self.folder / TRIALS / before):
            (self.folder / TRIALS / before).rename(self.folder / TRIALS / name)
            environment[MAY_RESUME] = "1"
        overrides = [*self.overrides, *to_overrides(values | {"hydra.run.dir": str(self.folder / TRIALS / name)})]
        command = self.sweep.command_of(overrides)
        process = processes.start(command, self._output(name), beside=self.agents, environment=environment)
        self.running.append(RunningTrial(trial, process))
        trial.set_user_attr(PROCESS, process.pid)
        log.info(f"trial {name:<4}{' '.join(to_overrides({one.name: values[one.name] for one in self.sweep.varied}))}")
        return True

    def _prune(self, one: RunningTrial) -> None:
        """Tells Optuna of the epochs that are new, and ends the trial if it is one of the worse."""
        if self.sweep.early_terminate is None or one.pruned:
            return
        history = read_history(self.folder / TRIALS / one.name, self.sweep.metric.column)
        for value in history[one.epochs : self.sweep.early_terminate.last]:
            one.epochs += 1
            if not math.isfinite(value):
                continue
            one.trial.report(value, one.epochs)
            if one.trial.should_prune():
                # Before the run ends: whoever reads the folder then knows why.
                note_end(self.folder, one.name, "pruned", f"one of the worse at epoch {one.epochs}")
                one.process.terminate()
                one.pruned = True
                return

    def _conclude(self, one: RunningTrial, *, stopped: bool = False) -> None:
        """Records how a trial ended, by its folder; `stopped` says that it was ended with the search."""
        self.running.remove(one)
        processes.kill_session(one.process.pid)
        path = self.folder / TRIALS / one.name
        if not path.is_dir() or read_trial(path, self.sweep.metric, self.folder).status == "running":
            path.mkdir(parents=True, exist_ok=True)
            reason = f"its process ended with exit code {one.process.returncode}; see {self._output(one.name)}"
            note_end(self.folder, one.name, *((INTERRUPTED, "stopped with the sweep") if stopped else ("failed", reason)))
        found = read_trial(path, self.sweep.metric, self.folder)
        end(self.study, one.trial.number, found.status, found.objective)
        self.progress.tell(found, one.name)

    def _output(self, name: str) -> Path:
        return self.folder / OUTPUTS / f"{name}.log"
