"""The trials of a search that have ended, each told on the terminal when it does; the same for every engine."""

from collections.abc import Iterable

from malaria_exp.sweeps.search.distributions import text_of
from malaria_exp.sweeps.search.file import SweepFile
from malaria_exp.sweeps.search.trials import Trial, winner
from malaria_exp.utils.terminal_log import log


class Progress:
    """How far a search is.

    Args:
        sweep: the sweep's file.
        ended: trials that ended before.

    Attributes:
        ended: the trials that have ended, by the names of their folders.
    """

    def __init__(self, sweep: SweepFile, ended: Iterable[Trial]) -> None:
        self.sweep = sweep
        self.ended = {trial.name: trial for trial in ended}

    def words(self, running: int) -> str:
        """Returns how far the search is, for the progress bar."""
        failed = sum(trial.status in ("failed", "no number") for trial in self.ended.values())
        best = self._best()
        return (
            f"trials, {running} running"
            + (f", {failed} failed" if failed else "")
            + ("" if best is None else f", best {self.sweep.metric.column} {best:.4f}")
        )

    def tell(self, trial: Trial, label: str = "", given: str = "") -> None:
        """Adds a trial that has ended, and tells of it.

        Args:
            trial: its status is done, pruned, or says why it has no value.
            label: by which the terminal names it.
            given: its overrides, where they were not told when it began.
        """
        best, metric = self._best(), self.sweep.metric
        self.ended[trial.name] = trial
        seconds = "" if trial.seconds is None else f" in {trial.seconds:.0f} s"
        given = given and f"; {given}"
        if trial.status not in ("done", "pruned") or trial.objective is None:
            log.warning(f"trial {label:<4}{trial.status}{seconds}: {trial.reason}{given}")
            return
        leads = trial.status == "done" and (best is None or metric.better(trial.objective, best))
        how = "pruned" if trial.status == "pruned" else "done"
        log.info(f"trial {label:<4}{how}{seconds}: {metric.column} {text_of(trial.objective)}{', the best so far' if leads else ''}{given}")

    def _best(self) -> float | None:
        best = winner(list(self.ended.values()), self.sweep.metric)
        return best.objective if best else None
