"""Jobs by submitit: as Slurm arrays, or as processes of this machine to try out what will be sent to a cluster."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from omegaconf import OmegaConf

from malaria_exp.sweeps.launcher.process_launcher import Job, ProcessLauncher
from malaria_exp.utils.errors import ConfigError
from malaria_exp.utils.terminal_log import log

POLL_SECONDS = 1.0


class SubmititLauncher(ProcessLauncher):
    """Sends the jobs and waits for all of them, whether they end well or not.

    Args:
        cluster: slurm or local.
        submitit_folder: where submitit keeps scripts and output; %j is the job's number there.
        array_size: jobs of one array; more jobs are sent as several arrays. Slurm refuses arrays above its MaxArraySize, 1001 by default.
        params: what submitit's executor takes: timeout_min, cpus_per_task, mem_gb, slurm_partition ...; those that are null are not given.
    """

    engine = "submitit"

    def __init__(self, cluster: Literal["slurm", "local"], submitit_folder: str, array_size: int = 1000, **params: Any) -> None:
        if array_size < 1:
            raise ConfigError(f"hydra.launcher.array_size: expected a whole number from 1. Received: {array_size}")
        self.cluster, self.array_size = cluster, array_size
        plain = {key: OmegaConf.to_container(value) if OmegaConf.is_config(value) else value for key, value in params.items()}
        self.params: Mapping[str, Any] = {key: value for key, value in plain.items() if value not in (None, {})}

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[Any]:
        """Sends the jobs and returns when all have ended; Ctrl-C cancels them.

        Raises:
            ConfigError: there is no Slurm here, or it refuses the parameters.
        """
        jobs = self.jobs(job_overrides, initial_job_idx)
        # Read now: with resume=true the multirun's folder was not known yet when the launcher was made.
        folder = str(self.config.hydra.launcher.submitit_folder)
        waiting: list[Any] = []
        try:
            for start in range(0, len(jobs), self.array_size):
                waiting += self._send(jobs[start : start + self.array_size], folder)
            sent = list(waiting)
            log.info(
                f"multirun  {len(sent)} jobs sent by submitit ({self.cluster}): {sent[0].job_id} ... {sent[-1].job_id}; output in {Path(folder).parent}"
            )
            while waiting:
                # Each check of a job costs several operations on a shared filesystem: at most a hundred checks a second.
                time.sleep(max(POLL_SECONDS, len(waiting) / 100))
                left = [job for job in waiting if not job.done()]
                if len(left) < len(waiting):
                    log.info(f"multirun  {len(sent) - len(left)} of {len(sent)} jobs have ended")
                waiting = left
        except BaseException:
            # Also when the first of several arrays was accepted and a later one was refused.
            for job in waiting:
                job.cancel()
            raise
        return []

    def _send(self, jobs: list[Job], folder: str) -> list[Any]:
        """Sends jobs as one array and returns submitit's handles of them."""
        import submitit

        try:
            executor = submitit.AutoExecutor(folder=folder, cluster=self.cluster)
            executor.update_parameters(**self.params)
            return list(executor.map_array(lambda job: job(), jobs))
        except (NameError, RuntimeError, submitit.core.utils.FailedJobError, submitit.core.utils.FailedSubmissionError) as error:
            raise ConfigError(f"hydra.launcher: submitit cannot send the jobs: {' '.join(str(error).split())}") from None
