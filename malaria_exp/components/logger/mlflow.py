"""MLflow, by default in a SQLite store beside the runs: mlflow ui --backend-store-uri sqlite:///outputs/mlflow/mlflow.db."""

import io
import json
import logging
import os
import posixpath
import re
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from malaria_exp.components.logger import _mlflow_store as store
from malaria_exp.components.logger._mlflow_model import model_files
from malaria_exp.components.logger._picture_grid import captioned_grid, table_captions
from malaria_exp.config.registry import register
from malaria_exp.config.validation import Count
from malaria_exp.runs.provenance import git_state
from malaria_exp.runs.read_files import read_json
from malaria_exp.tracking.logger_interface import Artifact, Axis, Logger, Position, Run, Status, Table
from malaria_exp.utils.atomic_files import write_bytes, write_json
from malaria_exp.utils.errors import ConfigError, RunFolderError
from malaria_exp.utils.redaction import redact
from malaria_exp.utils.rows import Row
from malaria_exp.utils.tensorflow_setup import load_tensorflow
from malaria_exp.utils.version import __version__

ENDED: dict[Status, str] = {"done": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}
# What MLflow takes at most: parameters and metrics in one call, letters of a value and of a digest.
BATCH, METRICS, VALUE_LETTERS, DIGEST_LETTERS = 100, 1000, 5000, 36
# Names the run at MLflow, for a run that goes on after it was cut off.
FACTS_FILE = "mlflow.json"
# Numbers of steps are sent this far apart.
SEND_SECONDS = 5.0
# By default the client waits for hours; a server that does not answer shall cost one warning soon. Variables that are set already stay.
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
        models: keep the trained model, as a logged model with its results.
    """
    if not find_spec("mlflow"):
        raise ConfigError("logger.mlflow: the package mlflow is not installed. Install it: pip install 'malaria_exp[mlflow]'")
    for key, value in ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    # Before there are threads, see logger=tensorboard.
    load_tensorflow()
    import mlflow as package
    import mlflow.data
    import mlflow.pyfunc
    import mlflow.tracking

    # MLflow would print a line for every table that it makes and every attempt that fails; what fails for good is raised.
    for talkative in ("mlflow", "alembic"):
        logging.getLogger(talkative).setLevel(logging.ERROR)
    return MlflowLogger(package, uri, experiment, name, {"steps": steps, "figures": figures, "images": int(images)}, models=models)


class MlflowLogger(Logger):
    """Talks to the store on a thread of its own, through a client of its own: the jobs of a multirun share a process.

    The jobs of a multirun are nested in a run of its name, which is finished when none of them runs any more.

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
        self.results_ms: int | None = None
        self.pending: list[Any] = []
        self.sent_at = time.monotonic()

    def start(self, run: Run) -> None:
        """Begins the run; the store is made first if need be."""
        self.epoch = run.resumed.epoch if run.resumed else 0
        self.store = tracking = store.find_store(run, self.uri)
        tags = {store.GROUP_TAG: run.group or "", store.JOB_TAG: run.job, "malaria_exp.version": __version__}
        tags |= {"mlflow.source.name": "run.py", "mlflow.source.type": "LOCAL", "mlflow.note.content": f"Files: {run.folder}"}
        if code := git_state():
            tags |= {"mlflow.source.git.commit": code["commit"], "malaria_exp.code_changed": str(code["changed"])}
        started_ms = int(1000 * run.started)
        # One job at a time: several that begin together would each make the tables, the experiment and the multirun's run.
        with store.locked(tracking):
            client = self.package.MlflowClient(tracking_uri=tracking.uri)
            self.experiment_id = store.experiment_of(client, self.experiment, tracking)
            if run.group:
                self.parent = store.begin_group(client, self.experiment_id, run.group, started_ms)
                tags[store.PARENT_TAG] = self.parent
            self.id = (run.resumed and self._resume(client, run.folder)) or client.create_run(
                self.experiment_id, started_ms, tags, self.name or run.name
            ).info.run_id
        write_json(run.folder / FACTS_FILE, {"id": self.id, "experiment": self.experiment_id, "store": redact(tracking.uri)})
        self.client = client
        self._params(_flat(run.config))

    def _resume(self, client: Any, folder: Path) -> str | None:
        """Goes on with the run of a training that was cut off, and returns its id; None if there is none to go on with."""
        try:
            given = str(read_json(folder / FACTS_FILE).get("id"))
            client.update_run(given, status="RUNNING")
        except (RunFolderError, self.package.exceptions.MlflowException):
            return None
        steps, epochs = (
            max((one.step for one in client.get_metric_history(given, f"{axis}/loss")), default=0) for axis in ("step", "epoch")
        )
        self.has = Position(epochs, steps)
        return given

    def settle(self) -> None:
        """Sends what is gathered."""
        self._send()

    def _params(self, values: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        named = {_name(key): str(value)[:VALUE_LETTERS] for key, value in values.items()}
        params = [Param(key, value) for key, value in named.items()]
        for first in range(0, len(params), BATCH):
            self.client.log_batch(self.id, params=params[first : first + BATCH])

    def _metrics(self, values: Mapping[str, float], step: int, time_ms: int | None = None, **of: str) -> None:
        from mlflow.entities import Metric

        now = time_ms or int(1000 * time.time())
        self.pending += [Metric(_name(key), float(value), now, step, **of) for key, value in values.items()]

    def _send(self) -> None:
        """Writes the metrics gathered so far in as few calls as possible: each is a transaction, whatever the number of metrics."""
        metrics, self.pending, self.sent_at = self.pending, [], time.monotonic()
        for first in range(0, len(metrics), METRICS):
            self.client.log_batch(self.id, metrics=metrics[first : first + METRICS])

    def hparams(self, params: Mapping[str, str | int | float | bool]) -> None:
        """Notes them as tags, by which runs can be told apart in the table; the configuration is there as parameters."""
        from mlflow.entities import RunTag

        self.client.log_batch(self.id, tags=[RunTag(_name(key), str(value)[:VALUE_LETTERS]) for key, value in params.items()][:BATCH])

    def scalars(self, axis: Axis, number: int, values: Row) -> None:
        """Logs step/... at the training's step, some seconds of them together, and epoch/... at the epoch."""
        if axis == "epoch":
            self.epoch = number
        self._metrics({f"{axis}/{name}": value for name, value in values.items() if name != "epoch"}, number)
        if axis == "epoch" or time.monotonic() - self.sent_at >= SEND_SECONDS:
            self._send()

    def images(self, name: str, images: np.ndarray, captions: Sequence[str]) -> None:
        """Keeps them as one captioned picture."""
        self._bytes(captioned_grid(images, captions), f"cells/{name}.png")

    def figure(self, name: str, png: bytes, epoch: int | None) -> None:
        """Keeps an epoch's as an image with a step, so that MLflow shows the epochs beside each other; the finished run's under plots/."""
        if epoch is None:
            self._bytes(png, f"plots/{name}.png")
        else:
            self.client.log_image(self.id, Image.open(io.BytesIO(png)), key=name, step=epoch, synchronous=True)

    def _bytes(self, content: bytes, path: str) -> None:
        with tempfile.TemporaryDirectory() as temporary:
            file = write_bytes(Path(temporary) / Path(path).name, content)
            self.client.log_artifact(self.id, str(file), str(Path(path).parent))

    def table(self, name: str, table: Table) -> None:
        """Keeps its rows as a table, and its pictures as one."""
        columns = {column: [row[number] for row in table.rows] for number, column in enumerate(table.columns)}
        self.client.log_table(self.id, columns, f"{name}.json")
        if table.images is not None:
            self.images(name, table.images, table_captions(table))

    def text(self, name: str, markdown: str) -> None:
        """Keeps it."""
        self.client.log_text(self.id, markdown, f"{name}.md")

    def results(self, values: Row) -> None:
        """Logs them as metrics."""
        self.results_ms = int(1000 * time.time())
        self._metrics(values, self.epoch, self.results_ms)
        self._send()

    def artifact(self, artifact: Artifact) -> None:
        """Notes datasets by their hash, keeps other files."""
        if artifact.kind == "dataset":
            self._dataset(artifact)
        if artifact.kind == "model" and not artifact.made:
            self.client.set_tag(self.id, "init_from", artifact.name)
        if artifact.kind == "model":
            if artifact.made and self.models:
                self._model(artifact)
            return
        for path in artifact.files:
            self.client.log_artifact(self.id, str(path), artifact.kind)
        if artifact.kind == "split":
            self.client.set_tag(self.id, "split_hash", artifact.facts["split_hash"])

    def _model(self, artifact: Artifact) -> None:
        from mlflow.entities import LoggedModelOutput

        numbers = {key: float(value) for key, value in artifact.facts.items() if isinstance(value, int | float)}
        tags = {f"malaria_exp.{alias}": "true" for alias in artifact.aliases}
        model = self.client.create_logged_model(
            self.experiment_id, name=re.sub(r"[^\w-]", "_", artifact.name), source_run_id=self.id, model_type="keras", tags=tags
        )
        try:
            with tempfile.TemporaryDirectory() as temporary:
                for path, folder in model_files(artifact.files, model.model_id, self.id, Path(temporary)):
                    self.client.log_model_artifact(model.model_id, str(path), folder)
        except Exception:
            self.client.finalize_logged_model(model.model_id, "FAILED")
            raise
        self.client.log_outputs(self.id, [LoggedModelOutput(model.model_id, self.epoch)])
        # With the time of the results, so that they are the same points in the run's history.
        self._metrics(numbers, self.epoch, self.results_ms, model_id=model.model_id, run_id=self.id)
        self._send()
        self.client.finalize_logged_model(model.model_id, "READY")

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
        ended: Status = "failed"
        try:
            self._send()
            if reason:
                self.client.set_tag(self.id, "reason", redact(reason)[:VALUE_LETTERS])
            ended = status
        finally:
            # Whatever else failed, the run does not seem to go on.
            self.client.set_terminated(self.id, ENDED[ended])
            if self.parent:
                with store.locked(self.store):
                    store.end_group(self.client, self.experiment_id, self.parent)


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
    """Returns a name that MLflow accepts: other characters are replaced, and it is no path such as a//b, ../a or /a."""
    allowed = re.sub(r"[^\w./ -]", "_", name)[:250]
    return posixpath.normpath(allowed).lstrip("/.") or "_"
