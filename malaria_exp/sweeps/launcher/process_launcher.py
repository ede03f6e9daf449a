"""What all launchers share: a job that can be sent to another process and run there."""

import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra.core.utils import JobStatus, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from malaria_exp.runs.run_folder import LAUNCH
from malaria_exp.sweeps.launched_job import load_hydra_plugins
from malaria_exp.utils.errors import ConfigError


@dataclass(frozen=True)
class Job:
    """A job of a multirun.

    Attributes:
        number: from that of the first job handed to the launcher on.
        overrides: of this job.
        context: Hydra's, which holds the loader that composes configurations.
        config: of the multirun.
        launch: id that the jobs which were handed over together share.
        task_function: runs a job; Hydra hands it to the launcher.
    """

    number: int
    overrides: list[str]
    context: HydraContext
    config: DictConfig
    launch: str
    task_function: TaskFunction

    def __call__(self) -> bool:
        """Runs the job in this process and returns whether it ended as it should; its results are in its folder."""
        from hydra.core.hydra_config import HydraConfig
        from hydra.core.utils import run_job as run_with_hydra

        from malaria_exp.config import plugins
        from malaria_exp.sweeps.job_status import make_room

        # In a worker process nobody has done this yet; Hydra keeps the result for the next job.
        setup_globals()
        load_hydra_plugins()
        plugins.load(self.overrides)
        config = self.context.config_loader.load_sweep_config(self.config, list(self.overrides))
        with open_dict(config):
            config.hydra.job.id = f"{config.hydra.job.name}_{self.number}"
            config.hydra.job.num = self.number
        HydraConfig.instance().set_config(config)
        # A scheduler starts a job again if its node died or the job had to give way to another.
        os.environ[LAUNCH] = self.launch
        if not make_room(Path(str(config.hydra.sweep.dir)), int(str(config.hydra.sweep.subdir)), self.launch):
            return True
        done = run_with_hydra(
            hydra_context=self.context,
            task_function=self.task_function,
            config=config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )
        return bool(done.status == JobStatus.COMPLETED)


class ProcessLauncher(Launcher):
    """Runs jobs in other processes. Their results are in their run folders, so nothing is sent back.

    Attributes:
        engine: the package that the launcher needs, which is also the name of the extra that installs it; None if it needs none.
    """

    engine: str | None = None
    config: DictConfig
    context: HydraContext
    task_function: TaskFunction

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Takes what Hydra hands a launcher.

        Raises:
            ConfigError: the launcher's engine is not installed.
        """
        if self.engine is not None and find_spec(self.engine) is None:
            raise ConfigError(
                f"hydra/launcher: '{self.engine}' is not installed, which this launcher needs. Install it: pip install 'malaria_exp[{self.engine}]'"
            )
        self.context, self.config, self.task_function = hydra_context, config, task_function

    def jobs(self, job_overrides: Sequence[Sequence[str]], first: int) -> list[Job]:
        """Returns the jobs, the first with the number `first`."""
        launch = secrets.token_hex(8)
        shared = (self.context, self.config, launch, self.task_function)
        return [Job(first + place, list(overrides), *shared) for place, overrides in enumerate(job_overrides)]

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[Any]:
        """Runs the jobs and returns when all have ended."""
        raise NotImplementedError
