"""MLflow, by default in a SQLite store beside the runs: mlflow ui --backend-store-uri sqlite:///outputs/mlflow/mlflow.db."""

import json
import logging
import os
import re
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from malaria_exp.errors import ConfigError
from malaria_exp.files import write_bytes
from malaria_exp.logger._base import Artifact, Axis, Logger, Row, Run, Status, Table
from malaria_exp.logger._picture_grid import captioned_grid
from malaria_exp.registry import register
from malaria_exp.schema import Count
from malaria_exp.tensorflow_setup import load_tensorflow

FOLDER, DATABASE, ARTIFACTS = "mlflow", "mlflow.db", "artifacts"
ENDED: dict[Status, str] = {"done": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}
GROUP_TAG, JOB_TAG = "malaria_exp.group", "malaria_exp.job"
# What MLflow takes at most: parameters in one call, letters of a value and of a digest.
BATCH, VALUE_LETTERS, DIGEST_LETTERS = 100, 5000, 36
# The client's own patience is hours long; a server that does not answer shall cost one warning soon. Who sets these keeps them.
ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}


@register("logger", "mlflow")
def mlflow(
    *,
    uri: str | None = None,
    experiment: str = "malaria_exp",
    name: str | None = None,
    steps: Count = 10,
    figures: Count = 1,
    images: bool = True,
    models: bool = True,
) -> Logger:
    """Tracks with MLflow (an extra: pip install 'malaria_exp[mlflow]'), by default in a SQLite store beside the runs.

    Args:
        uri: of the store or server; null for MLFLOW_TRACKING_URI, or else mlflow/mlflow.db in the folder of all runs.
        experiment: the experiment's name; made if need be.
        name: of the run; null for its folder's.
        steps: scalars of every so many training steps; 0 for none.
        figures: confusion matrix and ROC curve of the validation cells every so many epochs; 0 for none.
        images: sample cells, a batch after augmentation, and predictions with their pictures.
        models: keep the trained model among the artifacts.
    """
    if not find_spec("mlflow"):
        raise ConfigError("logger.mlflow: the package mlflow is not installed. Install it: pip install 'malaria_exp[mlflow]'")
    for key, value in ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    # Before there are threads, see logger=tensorboard.
    load_tensorflow()
    import mlflow as package
    import mlflow.data
    import mlflow.tracking

    # It tells of every table that it makes, amid the user's progress.
    for talkative in ("mlflow", "alembic"):
        logging.getLogger(talkative).setLevel(logging.WARNING)
    return MlflowLogger(package, uri, experiment, name, {"steps": steps, "figures": figures, "images": int(images)}, models=models)


class MlflowLogger(Logger):
    """Talks to the store on a thread of its own, through a client of its own: the jobs of a multirun share a process.

    The jobs of a multirun are nested in a run of its name. It is ended whenever a job ends: the last one's end is its own.

    Args:
        package: mlflow.
        uri, experiment, name, models: see `mlflow`.
        wants: see Logger.
    """

    patience = 60.0

    def __init__(self, package: Any, uri: str | None, experiment: str, name: str | None, wants: Mapping[Any, int], *, models: bool) -> None:
        self.package, self.uri, self.experiment, self.name, self.wants, self.models = package, uri, experiment, name, wants, models
        self.parent: str | None = None
        self.epoch = 0

    def start(self, run: Run) -> None:
        """Begins the run; the store is made first if need be."""
        root = (run.folder.parent.parent if run.group else run.folder.parent) / FOLDER
        uri = self.uri or os.environ.get("MLFLOW_TRACKING_URI")
        local = uri is None
        if uri is None:
            root.mkdir(parents=True, exist_ok=True)
            uri = f"sqlite:///{root / DATABASE}"
        self.folder = run.folder
        # One at a time: several jobs that begin together would all make the tables, the experiment and the parent.
        with FileLock(root / ".lock") if local else FileLock(Path(tempfile.gettempdir()) / "malaria_exp_mlflow.lock"):
            client = self.package.MlflowClient(tracking_uri=uri)
            found = client.get_experiment_by_name(self.experiment)
            place = (root / ARTIFACTS).resolve().as_uri() if local else None
            experiment = found.experiment_id if found else client.create_experiment(self.experiment, artifact_location=place)
            if run.group:
                self.parent = self._parent(client, experiment, run.group)
        tags = {GROUP_TAG: run.group or "", JOB_TAG: run.job, "mlflow.source.name": "run.py", "mlflow.source.type": "LOCAL"}
        tags["mlflow.note.content"] = f"Files: {run.folder}"
        if self.parent:
            tags["mlflow.parentRunId"] = self.parent
        self.id = client.create_run(experiment, tags=tags, run_name=self.name or run.name).info.run_id
        self.client = client
        self._params(_flat(run.config))

    def _parent(self, client: Any, experiment: str, group: str) -> str:
        """Returns the run that the jobs of a multirun are nested in, running again."""
        given = group.replace("'", "\\'")
        found = client.search_runs([experiment], f"tags.`{GROUP_TAG}` = '{given}' and tags.`{JOB_TAG}` = 'multirun'", max_results=1)
        if found:
            client.update_run(found[0].info.run_id, status="RUNNING")
            return str(found[0].info.run_id)
        return str(client.create_run(experiment, tags={GROUP_TAG: group, JOB_TAG: "multirun"}, run_name=group).info.run_id)

    def _params(self, values: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        params = [Param(_name(key), str(value)[:VALUE_LETTERS]) for key, value in values.items()]
        for first in range(0, len(params), BATCH):
            self.client.log_batch(self.id, params=params[first : first + BATCH])

    def _metrics(self, values: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        metrics = [Metric(_name(key), float(value), now, step) for key, value in values.items()]
        for first in range(0, len(metrics), BATCH):
            self.client.log_batch(self.id, metrics=metrics[first : first + BATCH])

    def hparams(self, params: Mapping[str, str | int | float | bool]) -> None:
        """Notes them as tags, by which runs can be told apart in the table; the configuration is there as parameters."""
        for key, value in params.items():
            self.client.set_tag(self.id, _name(key), value)

    def scalars(self, axis: Axis, number: int, values: Row) -> None:
        """Logs step/... at the training's step, epoch/... at the epoch."""
        if axis == "epoch":
            self.epoch = number
        self._metrics({f"{axis}/{name}": value for name, value in values.items() if name != "epoch"}, number)

    def images(self, name: str, images: np.ndarray, captions: Sequence[str]) -> None:
        """Keeps them as one captioned picture."""
        self._bytes(captioned_grid(images, captions), f"cells/{name}.png")

    def figure(self, name: str, png: bytes, epoch: int | None) -> None:
        """Keeps it; those of the finished run stand under plots/."""
        self._bytes(png, f"plots/{name}.png" if epoch is None else f"epochs/{name}/{epoch:04d}.png")

    def _bytes(self, content: bytes, path: str) -> None:
        with tempfile.TemporaryDirectory() as temporary:
            file = write_bytes(Path(temporary) / Path(path).name, content)
            self.client.log_artifact(self.id, str(file), str(Path(path).parent))

    def table(self, name: str, table: Table) -> None:
        """Keeps its rows as a table, and its pictures as one."""
        columns = {column: [row[number] for row in table.rows] for number, column in enumerate(table.columns)}
        self.client.log_table(self.id, columns, f"{name}.json")
        if table.images is not None:
            truth, score, patient = (columns[key] for key in ("truth", "score", "patient"))
            captions = [f"{truth[n]}, score {score[n]:.4f}, {patient[n]}" for n in range(len(table.rows))]
            self.images(name, table.images, captions)

    def text(self, name: str, markdown: str) -> None:
        """Keeps it."""
        self.client.log_text(self.id, markdown, f"{name}.md")

    def results(self, values: Row) -> None:
        """Logs them as metrics."""
        self._metrics(values, self.epoch)

    def artifact(self, artifact: Artifact) -> None:
        """Notes datasets by their hash, keeps other files."""
        if artifact.kind == "dataset":
            self._dataset(artifact)
        if artifact.kind == "model" and not artifact.made:
            self.client.set_tag(self.id, "init_from", artifact.name)
        if artifact.kind == "model" and not self.models:
            return
        for path in artifact.files:
            self.client.log_artifact(self.id, str(path), artifact.kind)
        if artifact.kind == "split":
            self.client.set_tag(self.id, "split_hash", artifact.facts["split_hash"])

    def _dataset(self, artifact: Artifact) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        counts = {key: value for key, value in artifact.facts.items() if key != "data_hash"}
        digest = str(artifact.facts["data_hash"])
        dataset = Dataset(
            name=artifact.name[:500],
            digest=digest[:DIGEST_LETTERS],
            source_type="local",
            source=json.dumps({"uri": artifact.name}),
            profile=json.dumps({**counts, "data_hash": digest}, sort_keys=True),
        )
        self.client.log_inputs(self.id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])

    def finish(self, status: Status, reason: str) -> None:
        """Ends the run; the reason stands in a tag."""
        if not hasattr(self, "client"):
            return
        if reason:
            self.client.set_tag(self.id, "reason", reason[:VALUE_LETTERS])
        self.client.set_terminated(self.id, ENDED[status])
        if self.parent:
            self.client.set_terminated(self.parent, "FINISHED")


def _flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns the leaves of nested mappings by their dotted keys."""
    found: dict[str, Any] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping) and value:
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def _name(name: str) -> str:
    """Returns the name with what MLflow does not take in one replaced."""
    return re.sub(r"[^\w./ -]", "_", name)[:250]
