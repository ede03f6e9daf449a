"""From the command line to a task: Hydra composes, this module checks, calls the task, and turns errors into messages and exit codes."""

import os
import secrets
import signal
import sys
import traceback
from datetime import datetime
from pathlib import Path
from typing import cast

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.initialize import get_gh_backup, restore_gh_from_backup
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from malaria_exp.config import plugins
from malaria_exp.config.app import CONF, App, make_app
from malaria_exp.config.composition_errors import explain, from_composing
from malaria_exp.config.registry import build
from malaria_exp.config.run_config import Config
from malaria_exp.runs.run import TASKS
from malaria_exp.runs.run_folder import record_refusal
from malaria_exp.sweeps import launched_job, multirun_summary
from malaria_exp.sweeps.search.arguments import from_agent, tracked
from malaria_exp.utils.errors import ConfigError, RunFolderError, UserError
from malaria_exp.utils.program import program
from malaria_exp.utils.redaction import redact, redact_overrides
from malaria_exp.utils.terminal_log import log, start_terminal_log

INTERRUPTED = 130

# Exit codes of the jobs that failed in this process.
_failures: list[int] = []
# This process, once the program's own start has run in it; in those of a launcher it never does.
_started: list[int] = []
# Whether the user asked for full errors: then every error shows its traceback. `main` sets the variable too, for Hydra, and
# marks that with one of its own, lest the processes of a launcher take it for the user's.
OWN_MARK = "MALARIA_EXP_SHOWS_ERRORS"
_debug = os.environ.get("HYDRA_FULL_ERROR", "0") not in ("", "0") and OWN_MARK not in os.environ


if not OmegaConf.has_resolver("run_id"):
    # The hex digits tell apart two runs that start in the same microsecond, on two machines of a cluster say.
    OmegaConf.register_new_resolver("run_id", lambda: f"{datetime.now():%Y%m%d-%H%M%S-%f}-{secrets.token_hex(3)}", use_cache=True)
    OmegaConf.register_new_resolver("program", program)
    OmegaConf.register_new_resolver("threads_per_job", launched_job.threads_per_job)


def main() -> None:
    """Runs the program and exits with 0, or with the error's code."""
    start_terminal_log()
    # Hydra then hands its errors to this function instead of printing them itself.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    if not _debug:
        os.environ[OWN_MARK] = "1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    _started.append(os.getpid())
    # A scheduler's SIGTERM ends a run as Ctrl-C does: its status says so.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    code = 0
    try:
        sys.argv[1:] = tracked(from_agent(sys.argv[1:]))
        _refuse_pickles(sys.argv[1:])
        plugins.load(sys.argv[1:])
        launched_job.load_hydra_plugins()
        _compose_and_run()
    except KeyboardInterrupt:
        log.error("Interrupted.")
        code = INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output (head, less) has seen enough; nothing is left to say it to when Python flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except Exception as error:  # noqa: BLE001 - the last place where any error can become a message
        code = _report(error)
    finally:
        table_code = multirun_summary.print_summary()
    sys.exit(code or table_code or max(_failures, default=0))


def run_job(composed: DictConfig) -> float | None:
    """Runs one job; returns its objective (the best validation value of the trainer's monitor) for sweepers.

    A launcher calls it in processes of its own, which find it by its name.
    """
    job = HydraConfig.get()
    # As typed: an interpolation among them belongs to the run's configuration, not to Hydra's.
    overrides = cast(list[str], OmegaConf.to_container(job.overrides.task, resolve=False))
    folder = Path(job.runtime.output_dir)
    name = folder.name
    try:
        if not _started:
            launched_job.prepare(job.job.num, overrides)
            launched_job.tell(f"job {name:<5} began: {' '.join(redact_overrides(overrides))}")
        app = make_app(composed, overrides, folder, dict(job.runtime.choices))
        task = app.config.one("task")
        if job.mode.name != "MULTIRUN":
            _check_single(app.config)
        objective: float | None = build("task", task.name, task.params, app)
    except Exception as error:  # noqa: BLE001 - a job's error is its own; the others go on
        _failures.append(_report(error))
        if job.mode.name == "MULTIRUN":
            record_refusal(folder, overrides=overrides, reason=str(error))
        if not _started:
            launched_job.tell(f"job {name:<5} failed: {redact(str(error)).splitlines()[0] if str(error) else type(error).__name__}")
        return None
    if not _started:
        launched_job.tell(f"job {name:<5} done" + ("" if objective is None else f", objective {objective:.4f}"))
    return objective


_compose_and_run = hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(run_job)


def compose_app(overrides: list[str]) -> App:
    """Composes and checks a configuration inside of a Python program, a notebook say, which may use Hydra itself.

    Args:
        overrides: as on the command line.

    Raises:
        ConfigError: an override is wrong.
    """
    plugins.load(overrides)
    # Hydra has one state for the whole process; whoever calls this gets theirs back.
    theirs = get_gh_backup()
    GlobalHydra.instance().clear()
    try:
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            composed = hydra.compose("config", overrides, return_hydra_config=True)
        choices, folder = dict(composed.hydra.runtime.choices), Path(composed.hydra.run.dir)
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        if not from_composing(error):
            raise
        raise explain(error, overrides, CONF) from None
    finally:
        restore_gh_from_backup(theirs)
    return make_app(OmegaConf.masked_copy(composed, [key for key in composed if key != "hydra"]), overrides, folder, choices)


def run_in_process(overrides: list[str]) -> Path:
    """Runs a task that leaves a run folder (train, evaluate) inside of a Python program and returns the folder.

    Raises:
        UserError: an override is wrong, or the run cannot be made.
    """
    start_terminal_log()
    app = compose_app(overrides)
    task = app.config.one("task")
    if task.name not in TASKS:
        raise ConfigError(f"task: malaria_exp.run takes {' and '.join(TASKS)}, received '{task.name}'. On the command line all tasks run.")
    _check_single(app.config)
    app.config.check_components()
    build("task", task.name, task.params, app)
    return app.output_dir


def _check_single(config: Config) -> None:
    """Refuses what has a meaning for a multirun alone."""
    if config.override_sets is not None:
        raise ConfigError(
            "override_sets: a file of override sets makes the jobs of a multirun. Add -m: python run.py -m override_sets=pairs.yaml ..."
        )
    if config.resume and config.one("task").name != "sweep":
        raise ConfigError("resume: goes on with a multirun (-m) or with task=sweep; a single run is begun again without it.")


def _refuse_pickles(arguments: list[str]) -> None:
    if any(argument.startswith("--experimental-rerun") for argument in arguments):
        raise ConfigError(
            "--experimental-rerun: reads a pickle, which may run anything. A run's overrides stand in its status.json; type them again."
        )


def _output_error(error: OSError) -> RunFolderError:
    return RunFolderError(
        f"The output folder '{error.filename}' cannot be made: {error.strerror}. Choose another with hydra.run.dir=... (with -m,"
        " hydra.sweep.dir=...), or another place for all with the environment's MALARIA_EXP_OUTPUTS."
    )


def _report(error: Exception) -> int:
    """Prints the error's message (its traceback, if it is nobody's mistake) and returns its exit code."""
    if from_composing(error):
        error = explain(error, sys.argv[1:], CONF)
    elif isinstance(error, OSError) and traceback.extract_tb(error.__traceback__)[-1].name == "mkdir":
        # Hydra makes the run's folder before the run is called; whatever a run itself meets is handled there.
        error = _output_error(error)
    if _debug or not isinstance(error, UserError):
        log.error("Full error:" if _debug else "Unexpected error; the lines below belong into a bug report.", exc_info=error)
    if isinstance(error, UserError):
        log.error(redact(f"error: {error}"))
        return error.exit_code
    return 1
