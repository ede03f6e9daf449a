"""Several jobs at a time on this machine, in processes that take one job after another (loky)."""

import warnings
from collections.abc import Sequence
from typing import Any

from malaria_exp.sweeps.launcher.process_launcher import ProcessLauncher


class JoblibLauncher(ProcessLauncher):
    """Runs `n_jobs` jobs at a time.

    A process keeps what it has imported; each of its jobs begins with the state of a new one (see trainer/_session.py). If a process is
    killed, joblib ends the others too, and the error it raises is the sweeper's to handle.

    Args:
        n_jobs: jobs at a time; -1 for one a core.
    """

    def __init__(self, n_jobs: int = 2) -> None:
        self.n_jobs = n_jobs

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[Any]:
        """Runs the jobs and returns when all have ended."""
        from joblib import Parallel, delayed

        jobs = self.jobs(job_overrides, initial_job_idx)
        with warnings.catch_warnings():
            # Of a process that is replaced as its memory has grown; it ends between two jobs, and nothing is lost.
            warnings.filterwarnings("ignore", "A worker stopped while some jobs were given to the executor", UserWarning)
            # One at a time to a process, when it is free: jobs may differ much in length.
            Parallel(n_jobs=self.n_jobs, backend="loky", batch_size=1, pre_dispatch="n_jobs")(delayed(job)() for job in jobs)
        return []
