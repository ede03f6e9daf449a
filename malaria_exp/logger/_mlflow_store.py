"""Where logger=mlflow writes: the store beside the runs or a server, its experiment, and the run that a multirun's jobs are nested in."""

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from filelock import FileLock

from malaria_exp.logger._base import Run

FOLDER, DATABASE, ARTIFACTS = "mlflow", "mlflow.db", "artifacts"
GROUP_TAG, JOB_TAG, PARENT_TAG = "malaria_exp.group", "malaria_exp.job", "mlflow.parentRunId"


@dataclass(frozen=True)
class Place:
    """Where runs are recorded.

    Attributes:
        uri: of the store or server.
        artifacts: the URI of a new experiment's files; None where the server decides.
        lock: the file that jobs which begin or end together wait for.
    """

    uri: str
    artifacts: str | None
    lock: Path


def place_of(run: Run, uri: str | None) -> Place:
    """Returns where a run is recorded; a store beside the runs is opened once.

    Args:
        run: its facts.
        uri: what the user chose; None for MLFLOW_TRACKING_URI, or else the store beside the runs.

    Raises:
        sqlite3.Error: the store beside the runs cannot be opened. MLflow itself would try for a minute and a half.
    """
    runs = run.folder.parent.parent if run.group else run.folder.parent
    if chosen := uri or os.environ.get("MLFLOW_TRACKING_URI"):
        return Place(chosen, None, runs / ".mlflow.lock")
    root = (runs / FOLDER).resolve()
    root.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(root / DATABASE)) as file:
        file.execute("PRAGMA schema_version").fetchone()
    return Place(sqlite_uri(root / DATABASE), (root / ARTIFACTS).as_uri(), root / ".lock")


def sqlite_uri(path: Path) -> str:
    """Returns the URI of a SQLite file, of which % and ? would otherwise be read as something else."""
    return f"sqlite:///{quote(str(path), safe='/: ')}"


def waiting(place: Place) -> FileLock:
    """Returns the lock under which tables, experiment and parent are made, and the parent is ended."""
    return FileLock(place.lock)


def experiment_of(client: Any, name: str, place: Place) -> str:
    """Returns the experiment's id; it is made if need be."""
    found = client.get_experiment_by_name(name)
    return str(found.experiment_id if found else client.create_experiment(name, artifact_location=place.artifacts))


def begin_group(client: Any, experiment: str, group: str) -> str:
    """Returns the id of the run that the jobs of a multirun are nested in, running again if it had ended."""
    mark = '"' if "'" in group else "'"
    found = client.search_runs([experiment], f"tags.`{GROUP_TAG}` = {mark}{group}{mark} and tags.`{JOB_TAG}` = 'multirun'", max_results=1)
    if found:
        client.update_run(found[0].info.run_id, status="RUNNING")
        return str(found[0].info.run_id)
    return str(client.create_run(experiment, tags={GROUP_TAG: group, JOB_TAG: "multirun"}, run_name=group).info.run_id)


def end_group(client: Any, experiment: str, parent: str) -> None:
    """Ends the run that jobs are nested in, unless one of them still runs."""
    running = f"tags.`{PARENT_TAG}` = '{parent}' and attributes.status = 'RUNNING'"
    if not client.search_runs([experiment], running, max_results=1):
        client.set_terminated(parent, "FINISHED")
