"""From the command line to a task: Hydra composes the configuration; this module checks it, calls the task, and turns errors into messages and exit codes."""

import os
import secrets
import signal
import sys
import time
import traceback
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import hydra
from hydra._internal.hydra import Hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.initialize import get_gh_backup, restore_gh_from_backup
from omegaconf import DictConfig, OmegaConf

from malaria_exp.config import plugins
from malaria_exp.config.app import CONF, App, make_app
from malaria_exp.config.composition_errors import explain, from_composing, refuse_flags
from malaria_exp.config.registry import build
from malaria_exp.config.run_config import Config
from malaria_exp.sweeps import launched_job, multirun_summary
from malaria_exp.sweeps.search.arguments import completed, from_agent
from malaria_exp.utils.errors import ConfigError, DiskFullError, RunFolderError, UserError, disk_full_reason
from malaria_exp.utils.program import program
from malaria_exp.utils.redaction import redact, redact_overrides
from malaria_exp.utils.signals import exit_code, raise_terminated
from malaria_exp.utils.tensorflow_setup import fix_environment
from malaria_exp.utils.terminal_log import log, start_terminal_log

# When this process began, about; what it has made is younger.
BEGAN = time.time()

# Exit codes of the jobs that failed in this process.
_failures: list[int] = []
# Not empty once main() has run. A launcher's processes call run_job alone, so there it stays empty.
_started: list[int] = []
# The user may ask for tracebacks with HYDRA_FULL_ERROR=1. main() sets that variable too, because Hydra then hands its errors over instead
# of printing them. The mark tells the processes of a launcher, which inherit both, that the user did not ask.
OWN_MARK = "MALARIA_EXP_SHOWS_ERRORS"
_debug = os.environ.get("HYDRA_FULL_ERROR", "0") not in ("", "0") and OWN_MARK not in os.environ


# Beginnings of arguments by which hydra.mode may be set: presets hold it.
MAY_SET_MODE = ("hydra=", "hydra.mode", "experiment", "debug", "--config", "-cp", "-cn", "-cd")
_composed_mode, _composed_help = Hydra.get_mode, Hydra.get_help

if not OmegaConf.has_resolver("run_id"):
    # Two machines of a cluster may start a run in the same microsecond; the random digits tell such runs apart.
    OmegaConf.register_new_resolver("run_id", lambda: f"{datetime.now():%Y%m%d-%H%M%S-%f}-{secrets.token_hex(3)}", use_cache=True)
    OmegaConf.register_new_resolver("program", program)
    OmegaConf.register_new_resolver("threads_per_job", launched_job.threads_per_job)


def main() -> None:
    """Runs the program and exits with 0, or with the error's code."""
    start_terminal_log()
    # Hydra raises its errors instead of printing them.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    if not _debug:
        os.environ[OWN_MARK] = "1"
    fix_environment()
    _started.append(os.getpid())
    # SIGTERM, by which schedulers end a run, is handled as Ctrl-C is.
    signal.signal(signal.SIGTERM, raise_terminated)
    code = 0
    try:
        sys.argv[1:] = completed(from_agent(sys.argv[1:]))
        _refuse_pickles(sys.argv[1:])
        plugins.load(sys.argv[1:])
        refuse_flags(sys.argv[1:], CONF)
        launched_job.load_hydra_plugins()
        Hydra.get_mode = _mode
        Hydra.get_help = _help
        _compose_and_run()
    except KeyboardInterrupt as interrupt:
        log.error("Interrupted.")
        code = exit_code(interrupt)
    except BrokenPipeError:
        # The reader of the output (head, less) has closed it. Python would fail again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except Exception as error:  # noqa: BLE001 - every error becomes a message
        code = _report(error)
    finally:
        table_code = multirun_summary.print_summary()
    sys.exit(code or table_code or max(_failures, default=0))


def _mode(hydra: Hydra, config_name: str | None, overrides: list[str]) -> Any:
    """Returns hydra.mode if the configuration may set it. Hydra composes the configuration once more only to see that."""
    may = any(argument.lstrip("+").startswith(MAY_SET_MODE) for argument in (*overrides, *sys.argv[1:]))
    return _composed_mode(hydra, config_name, overrides) if may else None


def _help(hydra: Hydra, *arguments: Any, **named: Any) -> str:
    """Returns the text of --help. Hydra copies all it has read of conf/ again for each group it lists; here it lists them from one copy."""
    loader = hydra.config_loader
    _, groups = loader._parse_overrides_and_create_caching_repo(None, [])
    loader.get_group_options = groups.get_group_options
    return str(_composed_help(hydra, *arguments, **named))


def run_job(composed: DictConfig) -> float | None:
    """Runs one job: a single run, or a job of a multirun in this process or in one that a launcher started.

    Args:
        composed: the configuration as Hydra composed it.

    Returns:
        The objective: the best validation value of the trainer's monitor. None for tasks that have none, and for a job that failed.
    """
    # Not at the top: help and messages on wrong overrides need none of what this imports, which takes as long as Hydra itself.
    from malaria_exp.runs.run_folder import MAY_RESUME, forget_empty, record_refusal
    from malaria_exp.sweeps.search.trials import TRIALS

    job = HydraConfig.get()
    # Not resolved: an interpolation such as ${seed} refers to the run's configuration, not to Hydra's.
    overrides = cast(list[str], OmegaConf.to_container(job.overrides.task, resolve=False))
    folder = Path(job.runtime.output_dir)
    name = folder.name
    # The table of a multirun and of a search says of each job why it failed.
    one_of_many = job.mode.name == "MULTIRUN" or folder.parent.name == TRIALS
    # Hydra makes it also for a task that writes nothing there. One that is older than this process is the user's own.
    new = folder.stat().st_ctime >= BEGAN
    try:
        if not _started:
            launched_job.prepare(job.job.num, overrides)
            launched_job.tell(f"job {name:<5} began: {' '.join(redact_overrides(overrides))}")
        app = make_app(composed, overrides, folder, dict(job.runtime.choices))
        # A folder with files that is given to a job of a multirun is one that the job was cut off in before.
        app = replace(app, may_resume=job.mode.name == "MULTIRUN" or MAY_RESUME in os.environ)
        if job.mode.name != "MULTIRUN":
            _check_single(app.config)
        objective = _perform(app)
    except Exception as error:  # noqa: BLE001 - the other jobs of a multirun go on
        _failures.append(_report(error))
        if one_of_many:
            record_refusal(folder, overrides=overrides, reason=str(error))
        if not _started:
            launched_job.tell(f"job {name:<5} failed: {redact(str(error)).splitlines()[0] if str(error) else type(error).__name__}")
        return None
    finally:
        if new and not one_of_many:
            forget_empty(folder)
    if not _started:
        launched_job.tell(f"job {name:<5} done" + ("" if objective is None else f", objective {objective:.4f}"))
    return objective


_compose_and_run = hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(run_job)


def compose_app(overrides: list[str]) -> App:
    """Composes and checks a configuration inside a Python program or a notebook.

    Args:
        overrides: as on the command line.

    Raises:
        ConfigError: an override is wrong.
    """
    plugins.load(overrides)
    # Hydra has one state per process. The caller may use Hydra too, so the state is put back afterwards.
    theirs = get_gh_backup()
    GlobalHydra.instance().clear()
    try:
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            composed = hydra.compose("config", overrides, return_hydra_config=True)
        choices, folder = dict(composed.hydra.runtime.choices), Path(composed.hydra.run.dir)
    except Exception as error:
        if not from_composing(error):
            raise
        raise explain(error, overrides, CONF) from None
    finally:
        restore_gh_from_backup(theirs)
    return make_app(OmegaConf.masked_copy(composed, [key for key in composed if key != "hydra"]), overrides, folder, choices)


def run_in_process(overrides: list[str]) -> Path:
    """Runs a task that writes a run folder (train, evaluate, resume) inside a Python program and returns the folder.

    Raises:
        UserError: an override is wrong, or the run cannot be made.
    """
    import matplotlib as mpl

    from malaria_exp.runs.run import TASKS

    start_terminal_log()
    app = compose_app(overrides)
    task = app.config.one("task")
    if task.name not in (*TASKS, "resume"):
        raise ConfigError(
            f"task: malaria_exp.run takes {', '.join(TASKS)} and resume, received '{task.name}'. On the command line all tasks run."
        )
    _check_single(app.config)
    app.config.check_components()
    with mpl.rc_context():
        # Plots look as they do from the command line, whatever the notebook has set for its own.
        mpl.rcdefaults()
        _perform(app)
    from malaria_exp.utils.filesystems import local_path

    return local_path(app.config.run) if task.name == "resume" and app.config.run else app.output_dir


def _perform(app: App) -> float | None:
    """Runs the task, a training only after everything was checked that can be known before its data is read."""
    task = app.config.one("task")
    if task.name == "train":
        from malaria_exp.runs.early_checks import check_training

        check_training(app.config)
    objective: float | None = build("task", task.name, task.params, app)
    return objective


def _check_single(config: Config) -> None:
    """Refuses the keys that only a multirun can follow."""
    if config.override_sets is not None:
        raise ConfigError(
            "override_sets: a file of override sets makes the jobs of a multirun. Add -m: python run.py -m override_sets=pairs.yaml ..."
        )
    if config.resume and config.one("task").name != "sweep":
        raise ConfigError(
            "resume: goes on with a multirun (-m) or with task=sweep; a single run that was cut off goes on with task=resume run=outputs/..."
        )


def _refuse_pickles(arguments: list[str]) -> None:
    if any(argument.startswith("--experimental-rerun") for argument in arguments):
        raise ConfigError(
            "--experimental-rerun: not supported, because it reads a pickle, which can run any code. Type the run's overrides again; its status.json lists them."
        )


def _output_error(error: OSError) -> RunFolderError:
    return RunFolderError(
        f"The output folder '{error.filename}' cannot be made: {error.strerror}. Choose another with hydra.run.dir=... (with -m,"
        " hydra.sweep.dir=...), or another place for all with the environment's MALARIA_EXP_OUTPUTS."
    )


def _report(error: Exception) -> int:
    """Prints an error's message and returns its exit code. An error that is no UserError is a bug and shows its traceback."""
    if disk_full_reason(error) and not isinstance(error, UserError):
        error = DiskFullError(
            f"There is no room on the disk: {error}. Make room, or give another one with hydra.run.dir=... or cache.root=..."
        )
    if from_composing(error):
        error = explain(error, sys.argv[1:], CONF)
    elif isinstance(error, OSError) and traceback.extract_tb(error.__traceback__)[-1].name == "mkdir":
        # Hydra creates the run folder before it calls run_job; later errors of this kind are handled where they occur.
        error = _output_error(error)
    elif isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        # The latter is TensorFlow's, which may not be imported.
        error = UserError(
            f"The memory of this machine is not enough: {' '.join(str(error).split())[:200]}. Lower batch_size, evaluation.batch_size, model.image_size"
            " or the model's widths."
        )
    if _debug or not isinstance(error, UserError):
        log.error("Full error:" if _debug else "Unexpected error; the lines below belong into a bug report.", exc_info=error)
    if isinstance(error, UserError):
        log.error(redact(f"error: {error}"))
        return error.exit_code
    return 1
