"""The Optuna study of a sweep: where it is stored, how values are suggested, and how a stopped search goes on."""

import logging
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from malaria_exp.sweeps.search.file import SweepFile
from malaria_exp.sweeps.search.processes import kill_session
from malaria_exp.utils.errors import ConfigError

if TYPE_CHECKING:
    import optuna

DATABASE, STUDY = "study.db", "sweep"
# Attributes of Optuna's trials.
POINT, ENDED, PROCESS, AGAIN = "point", "ended", "process", "again_of"
INTERRUPTED = "interrupted"


def need_optuna() -> None:
    """Raises a ConfigError if Optuna is not installed."""
    if not find_spec("optuna"):
        raise ConfigError("engine: local needs the package optuna, which is not installed. Install it: pip install 'malaria_exp[sweeps]'")


def open_study(sweep: SweepFile, folder: Path, seed: int) -> "optuna.Study":
    """Opens the study in the sweep's folder, or makes it.

    Args:
        sweep: its file.
        folder: its folder.
        seed: of the suggestions: each trial's come from this, its number, and with bayes from the trials that ended before.
    """
    import optuna

    optuna.logging.set_verbosity(logging.WARNING)
    hyperband = sweep.early_terminate
    # W&B's hyperband is successive halving without brackets: https://arxiv.org/abs/1810.05934
    pruner: optuna.pruners.BasePruner = (
        optuna.pruners.SuccessiveHalvingPruner(min_resource=hyperband.first, reduction_factor=hyperband.eta)
        if hyperband
        else optuna.pruners.NopPruner()
    )
    return optuna.create_study(
        storage=optuna.storages.RDBStorage(f"sqlite:///{folder.resolve() / DATABASE}", engine_kwargs={"connect_args": {"timeout": 60}}),
        study_name=STUDY,
        direction=sweep.metric.goal,
        sampler=_sampler(sweep, seed),
        pruner=pruner,
        load_if_exists=True,
    )


def _sampler(sweep: SweepFile, seed: int) -> "optuna.samplers.BaseSampler":
    """Returns a sampler whose values for a trial depend on the seed and the trial's number, not on how many were asked for before."""
    import optuna

    class Numbered(optuna.samplers.BaseSampler):
        """Draws each trial with a sampler of its own."""

        inner: optuna.samplers.BaseSampler

        def before_trial(self, study: Any, trial: Any) -> None:
            own = int(np.random.SeedSequence([seed, trial.number]).generate_state(1)[0])
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                self.inner = optuna.samplers.TPESampler(seed=own) if sweep.method == "bayes" else optuna.samplers.RandomSampler(seed=own)
            self.inner.before_trial(study, trial)

        def infer_relative_search_space(self, study: Any, trial: Any) -> Any:
            return self.inner.infer_relative_search_space(study, trial)

        def sample_relative(self, study: Any, trial: Any, search_space: Any) -> Any:
            return self.inner.sample_relative(study, trial, search_space)

        def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
            return self.inner.sample_independent(study, trial, param_name, param_distribution)

    return Numbered()


def prepare(study: "optuna.Study", sweep: SweepFile) -> int:
    """Makes a study ready to go on: trials that were under way when it stopped come again, with the same values.

    Returns:
        The number of trials that come again.
    """
    from optuna.trial import TrialState

    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if PROCESS in trial.user_attrs:
            # It runs on if its supervisor was killed together with the search.
            kill_session(trial.user_attrs[PROCESS])
        end(study, trial.number, INTERRUPTED)
    trials = study.get_trials(deepcopy=False)
    if sweep.method == "grid":
        # `ask` finds the points of a grid that no trial has taken.
        return sum(trial.user_attrs.get(ENDED) == INTERRUPTED for trial in trials)
    begun_again = {trial.user_attrs.get(AGAIN) for trial in trials}
    left = [trial for trial in trials if trial.user_attrs.get(ENDED) == INTERRUPTED and trial.number not in begun_again]
    for trial in left:
        study.enqueue_trial(trial.params, user_attrs={AGAIN: trial.number})
    return len(left)


def ask(study: "optuna.Study", sweep: SweepFile, most: int | None) -> tuple["optuna.Trial", dict[str, Any]] | None:
    """Begins the next trial, and returns it with its values by the parameters' names; None if there is none left.

    Args:
        study: of the sweep.
        sweep: its file.
        most: at most so many trials, those that were interrupted not counted; None for no end.
    """
    from optuna.trial import TrialState

    begun = [trial for trial in study.get_trials(deepcopy=False) if trial.state != TrialState.WAITING]
    counted = [trial for trial in begun if trial.user_attrs.get(ENDED) != INTERRUPTED]
    if most is not None and len(counted) >= most:
        return None
    if sweep.method != "grid":
        trial = study.ask()
        return trial, {parameter.name: parameter.draw(trial) for parameter in sweep.parameters}
    taken = {trial.user_attrs.get(POINT) for trial in counted}
    for point, values in enumerate(sweep.grid()):
        if point not in taken:
            trial = study.ask()
            trial.set_user_attr(POINT, point)
            return trial, values
    return None


def interrupted_as(study: "optuna.Study", trial: "optuna.Trial") -> str | None:
    """Returns the name of the interrupted trial that a trial comes again for; None if it is no such trial."""
    if AGAIN in trial.user_attrs:
        return str(trial.user_attrs[AGAIN])
    point = trial.user_attrs.get(POINT)
    ended = [one for one in study.get_trials(deepcopy=False) if point is not None and one.user_attrs.get(ENDED) == INTERRUPTED]
    return next((str(one.number) for one in reversed(ended) if one.user_attrs.get(POINT) == point), None)


def end(study: "optuna.Study", number: int, how: str, value: float | None = None) -> None:
    """Ends a trial in the study; one that has ended stays as it is.

    Args:
        study: of the sweep.
        number: of the trial.
        how: "done" with a value, "pruned", or why there is none.
        value: of the metric.
    """
    import optuna
    from optuna.trial import TrialState

    frozen = study.get_trials(deepcopy=False)[number]
    if frozen.state.is_finished():
        return
    if how == INTERRUPTED:
        optuna.trial.Trial(study, frozen._trial_id).set_user_attr(ENDED, how)
    state = {"done": TrialState.COMPLETE, "pruned": TrialState.PRUNED}.get(how, TrialState.FAIL)
    study.tell(number, value if state == TrialState.COMPLETE else None, state=state)
