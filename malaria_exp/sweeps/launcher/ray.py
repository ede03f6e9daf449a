"""Jobs by Ray: on the nodes of a cluster, or on this machine; a job whose node or process dies is started again on another."""

import os
import signal
import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from malaria_exp.sweeps.launcher.process_launcher import Job, ProcessLauncher
from malaria_exp.utils.errors import ConfigError
from malaria_exp.utils.terminal_log import log

POLL_SECONDS = 1.0
# The time that jobs get after Ctrl-C to record that they were interrupted.
CANCEL_SECONDS = 20.0
KNOCK_SECONDS = 10.0
GB = 1024**3


class JobStoppedError(Exception):
    """A job was stopped by a signal: its node is being shut down, or Ctrl-C was pressed."""


class RayLauncher(ProcessLauncher):
    """Hands all jobs to Ray, which runs as many at a time as the cluster has room for.

    Args:
        address: auto for the cluster of this machine, host:port for another; null for that of RAY_ADDRESS, else that of this machine,
            else one that is started here and ends with the multirun.
        cpus: cores that each job takes.
        gpus: GPUs that each job takes.
        memory_gb: memory that Ray sets aside for each job, GB; null for none.
        retries: how often a job whose process or node died is started again.
    """

    engine = "ray"

    def __init__(
        self, address: str | None = None, cpus: int = 1, gpus: float = 0, memory_gb: float | None = None, retries: int = 3
    ) -> None:
        self.address = address
        self.options: dict[str, Any] = {"num_cpus": cpus, "num_gpus": gpus, "max_retries": retries, "retry_exceptions": [JobStoppedError]}
        if memory_gb is not None:
            self.options["memory"] = int(memory_gb * GB)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[Any]:
        """Hands the jobs over and returns when all have ended; Ctrl-C cancels them.

        Raises:
            ConfigError: no cluster answers at the address.
        """
        # Ray shall not send usage reports.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        import ray

        before = signal.getsignal(signal.SIGTERM)
        try:
            _knock(self.address or os.environ.get("RAY_ADDRESS"))
            ray.init(address=self.address, include_dashboard=False, logging_level="warning", log_to_driver=False)
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"hydra.launcher.address: received {self.address!r}, but Ray cannot be reached there: {' '.join(str(error).split())}"
                " Start it with 'ray start --head', or leave the address out."
            ) from None
        # Ray replaces the handler.
        signal.signal(signal.SIGTERM, before)
        try:
            remote = ray.remote(**self.options)(run_there)
            # What all jobs share is sent to each node only once.
            jobs = self.jobs(job_overrides, initial_job_idx)
            shared = ray.put((self.context, self.config, jobs[0].launch, self.task_function))
            waiting = {
                remote.remote(shared, job.number, job.overrides, str(Path.cwd())): job.overrides[-1].rpartition("=")[2] for job in jobs
            }
            nodes = [node for node in ray.nodes() if node["Alive"]]
            log.info(
                f"multirun  jobs handed to Ray: {len(waiting)}; its nodes: {len(nodes)}, cores: {ray.cluster_resources().get('CPU', 0):.0f}"
            )
            _wait(waiting)
        finally:
            ray.shutdown()
        return []


def _knock(address: str | None) -> None:
    """Raises an OSError if nothing listens at host:port; Ray itself tries for minutes."""
    host, _, port = (address or "").rpartition(":")
    if host and port.isdigit() and "/" not in host:
        socket.create_connection((host, int(port)), KNOCK_SECONDS).close()


def _wait(waiting: dict[Any, str]) -> None:
    """Returns when all jobs have ended; warns of those that Ray gave up, with the reason."""
    import ray

    count = len(waiting)
    try:
        while waiting:
            ended, _ = ray.wait(list(waiting), num_returns=len(waiting), timeout=POLL_SECONDS)
            for reference in ended:
                job = waiting.pop(reference)
                try:
                    ray.get(reference)
                except ray.exceptions.RayError as error:
                    # Ray's texts end with a long advice.
                    log.warning(f"multirun  job {job}: {type(error).__name__}: {' '.join(str(error).split())[:160]}")
            if ended:
                log.info(f"multirun  {count - len(waiting)} of {count} jobs have ended")
    except BaseException:
        for reference in waiting:
            ray.cancel(reference)
        with suppress(KeyboardInterrupt):
            ray.wait(list(waiting), num_returns=len(waiting), timeout=CANCEL_SECONDS)
        raise


def run_there(shared: Any, number: int, overrides: list[str], folder: str) -> bool:
    """Runs a job on a node, in the folder that the multirun was started in."""
    os.chdir(folder)
    # Ray cancels a job by an interrupt, which is ignored in processes that a script has started in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    before = signal.getsignal(signal.SIGTERM)
    try:
        return Job(number, overrides, *shared)()
    except KeyboardInterrupt:
        # Ray takes an interrupt for a cancellation and would not start the job again when its node is shut down.
        raise JobStoppedError from None
    finally:
        # Ray ends a process that waits for its next job by its own handler.
        signal.signal(signal.SIGTERM, before)
