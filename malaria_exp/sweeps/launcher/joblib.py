"""Several jobs at a time on this machine, in processes that take one job after another (loky)."""

import warnings
from collections.abc import Sequence
from typing import Any

from malaria_exp.sweeps.launcher.process_launcher import ProcessLauncher


class JoblibLauncher(ProcessLauncher):
    """Runs `n_jobs` jobs at a time.

    A process keeps its imports from job to job; training resets all other state (malaria_exp/training/session.py). If a process is killed,
    joblib ends the others too and raises an error, which the grid sweeper handles.

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
            # Joblib warns when it replaces a process whose memory has grown. This happens between two jobs, and nothing is lost.
            warnings.filterwarnings("ignore", "A worker stopped while some jobs were given to the executor", UserWarning)
            # Jobs may differ much in length, so each process gets the next one when it is free.
            Parallel(n_jobs=self.n_jobs, backend="loky", batch_size=1, pre_dispatch="n_jobs")(delayed(job)() for job in jobs)
        return []
