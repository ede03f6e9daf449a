"""MLflow's tracking store, and the run of a multirun in which its jobs are nested."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import BaseFileLock, FileLock

from malaria_exp.tracking.logger_interface import Run

FOLDER, DATABASE, ARTIFACTS = "mlflow", "mlflow.db", "artifacts"
GROUP_TAG, JOB_TAG, PARENT_TAG = "malaria_exp.group", "malaria_exp.job", "mlflow.parentRunId"


@dataclass(frozen=True)
class TrackingStore:
    """Where MLflow keeps runs.

    Attributes:
        uri: by which MLflow finds it.
        lock: file that one process at a time locks to change what all jobs share.
        artifacts: where files are kept; None for where the server says.
    """

    uri: str
    lock: Path
    artifacts: str | None


def find_store(run: Run, uri: str | None) -> TrackingStore:
    """Returns the store at an address, or without one the SQLite store beside the runs, whose folder is made if need be."""
    uri = uri or os.environ.get("MLFLOW_TRACKING_URI")
    if uri is not None:
        return TrackingStore(uri, Path(tempfile.gettempdir()) / "malaria_exp_mlflow.lock", None)
    root = (run.folder.parent.parent if run.group else run.folder.parent) / FOLDER
    root.mkdir(parents=True, exist_ok=True)
    return TrackingStore(f"sqlite:///{root / DATABASE}", root / ".lock", (root / ARTIFACTS).resolve().as_uri())


def locked(store: TrackingStore) -> BaseFileLock:
    """Returns a lock to hold, with `with`, while what all jobs share is changed."""
    return FileLock(store.lock)


def experiment_of(client: Any, name: str, store: TrackingStore) -> str:
    """Returns the id of the experiment, made if need be."""
    found = client.get_experiment_by_name(name)
    return str(found.experiment_id if found else client.create_experiment(name, artifact_location=store.artifacts))


def begin_group(client: Any, experiment: str, group: str, started_ms: int) -> str:
    """Returns the id of the run that the jobs of a multirun are nested in, running; it begins with the first job."""
    given = group.replace("'", "\\'")
    found = client.search_runs([experiment], f"tags.`{GROUP_TAG}` = '{given}' and tags.`{JOB_TAG}` = 'multirun'", max_results=1)
    if found:
        client.update_run(found[0].info.run_id, status="RUNNING")
        return str(found[0].info.run_id)
    return str(client.create_run(experiment, started_ms, {GROUP_TAG: group, JOB_TAG: "multirun"}, group).info.run_id)


def end_group(client: Any, experiment: str, parent: str) -> None:
    """Ends the run of a multirun if none of its jobs is running."""
    if not client.search_runs([experiment], f"tags.`{PARENT_TAG}` = '{parent}' and attributes.status = 'RUNNING'", max_results=1):
        client.set_terminated(parent, "FINISHED")
