"""Preparing the worker processes of launchers, which run one job after another and in which main() never ran."""

import logging
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins

from malaria_exp.config import plugins
from malaria_exp.config.app import CONF
from malaria_exp.utils.progress_bars import console
from malaria_exp.utils.signals import raise_terminated
from malaria_exp.utils.tensorflow_setup import fix_environment
from malaria_exp.utils.terminal_log import set_terminal_level, start_terminal_log

VISIBLE = "CUDA_VISIBLE_DEVICES"
# NVIDIA's driver keeps a folder for each GPU here.
GPUS = Path("/proc/driver/nvidia/gpus")
# Set once a worker has its GPU, which its later jobs use too.
CHOSEN = "MALARIA_EXP_GPU"


def prepare(number: int, overrides: list[str]) -> None:
    """Makes a worker ready for its next job, as main() does for a run by itself: log, signals, plugins, GPU.

    As several workers share the terminal, it only shows that a job began and how it ended.

    Args:
        number: of the job.
        overrides: of the job.
    """
    fix_environment()
    start_terminal_log()
    set_terminal_level(logging.CRITICAL)
    with suppress(ValueError):
        # Only the main thread of a process can; Ray may run jobs in another.
        signal.signal(signal.SIGTERM, raise_terminated)
    choose_gpu(number)
    plugins.load(overrides)


def choose_gpu(number: int) -> None:
    """Chooses a worker's GPU by the number of its first job; does nothing without GPUs, or when TensorFlow has been loaded."""
    if CHOSEN in os.environ or "tensorflow" in sys.modules:
        return
    chosen = gpu_of(number, os.environ.get(VISIBLE), len(list(GPUS.iterdir())) if GPUS.is_dir() else 0)
    if chosen is not None:
        os.environ[VISIBLE] = os.environ[CHOSEN] = chosen


def gpu_of(number: int, visible: str | None, count: int) -> str | None:
    """Returns the GPU of a job, as CUDA_VISIBLE_DEVICES names it; None if there are not at least two to choose from.

    Args:
        number: of the job.
        visible: CUDA_VISIBLE_DEVICES as the user or a scheduler has set it; None if it is not set.
        count: GPUs of the machine.
    """
    allowed = [str(index) for index in range(count)] if visible is None else [name.strip() for name in visible.split(",") if name.strip()]
    return allowed[number % len(allowed)] if len(allowed) > 1 else None


def tell(text: str) -> None:
    """Prints a line about a job."""
    console().print(text, markup=False, soft_wrap=True)


def load_hydra_plugins() -> None:
    """Has Hydra look for its plugins, among them those of this project in the package hydra_plugins.

    Plugin packages of others may bring launchers of the same names, and Hydra would then check the options of conf/hydra/launcher against
    their schemas. So these are forgotten.
    """
    Plugins.instance()
    schemas = ConfigStore.instance().repo.get("hydra", {}).get("launcher", {})
    for path in (CONF / "hydra" / "launcher").glob("*.yaml"):
        schemas.pop(path.name, None)


def threads_per_job(jobs: int) -> str:
    """Returns how many threads each job gets if so many run at a time on this machine, at least 1; -1 stands for one job a core."""
    cores = os.cpu_count() or 1
    return str(max(1, cores // (cores if jobs < 1 else jobs)))
