"""Weights & Biases, online or offline."""

import io
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from malaria_exp.components.logger._picture_grid import captioned_grid
from malaria_exp.config.registry import register
from malaria_exp.config.validation import Count
from malaria_exp.data.cell_table import CLASS_NAMES
from malaria_exp.evaluation.metrics import Ranking, direction
from malaria_exp.runs.read_files import read_json
from malaria_exp.sweeps.search.arguments import SWEEP_ID, agents_values
from malaria_exp.tracking.logger_interface import Artifact, Axis, Logger, Position, Run, Status, Table
from malaria_exp.tracking.wandb_settings import OFFLINE_PATIENCE, ONLINE_PATIENCE, Mode, choose_mode, keep_quiet, need_wandb, settings
from malaria_exp.utils.atomic_files import write_json
from malaria_exp.utils.errors import ConfigError, RunFolderError
from malaria_exp.utils.redaction import redact
from malaria_exp.utils.rows import Row
from malaria_exp.utils.tensorflow_setup import load_tensorflow
from malaria_exp.utils.terminal_log import log

FACTS_FILE = "wandb.json"
CURVE_POINTS, BINS = 500, 64
AXES = ("epoch", "step")
EXIT_CODES: dict[Status, int] = {"done": 0, "failed": 1, "interrupted": 130}


@register("logger", "wandb")
def wandb(
    *,
    project: str = "malaria_exp",
    entity: str | None = None,
    mode: Mode = "auto",
    name: str | None = None,
    group: str | None = None,
    job_type: str | None = None,
    tags: list[str] = [],  # noqa: B006 - never changed
    notes: str | None = None,
    id: str | None = None,
    steps: Count = 10,
    figures: Count = 1,
    histograms: Count = 0,
    gradients: Count = 0,
    images: bool = True,
    models: bool = True,
) -> Logger:
    """Tracks with Weights & Biases (an extra: pip install 'malaria_exp[wandb]'); the key comes from 'wandb login' or WANDB_API_KEY.

    Args:
        project: the project's name.
        entity: user or team; null for the account's own.
        mode: online, offline (sent later with 'wandb sync'), disabled, or auto: offline, with a note, where there is no key.
        name: of the run; null for its folder's.
        group: runs that belong together; null for the multirun's folder.
        job_type: null for train, or the fold of a cross-validation.
        tags: of the run.
        notes: a longer description.
        id: of a run that this one continues, from its wandb.json; null for a new one.
        steps: scalars of every so many training steps; 0 for none.
        figures: confusion matrix and ROC curve of the validation cells every so many epochs; 0 for none.
        histograms: of the weights, every so many epochs; 0 for none.
        gradients: histograms of the gradients of 32 training cells, every so many epochs; 0 for none.
        images: sample cells, a batch after augmentation, and predictions with their pictures.
        models: keep the untrained and the trained model as artifacts.
    """
    need_wandb("logger.wandb")
    chosen = choose_mode(mode)
    # Before there are several threads, see logger=tensorboard.
    load_tensorflow()
    import wandb as client

    about = {
        "project": project,
        "entity": entity,
        "name": name,
        "group": group,
        "job_type": job_type,
        "tags": tags,
        "notes": notes,
        "id": id,
    }
    keyless = mode == "auto" and chosen == "offline" and os.environ.get("WANDB_MODE") != "offline"
    wants = {"steps": steps, "figures": figures, "histograms": histograms, "gradients": gradients}
    return WandbLogger(client, chosen, about, wants | {"images": int(images), "untrained": int(models)}, models=models, keyless=keyless)


class WandbLogger(Logger):
    """Talks to the client on a thread of its own; the client has a process of its own that talks to the server.

    Args:
        client: the package wandb.
        mode: "online", "offline" or "disabled".
        about: what the user says of the run, by the names of wandb.init.
        wants: see Logger.
        models: whether models are kept.
        keyless: whether it is offline for lack of a key.
    """

    def __init__(
        self, client: Any, mode: str, about: Mapping[str, Any], wants: Mapping[Any, int], *, models: bool, keyless: bool = False
    ) -> None:
        self.client, self.mode, self.about, self.wants, self.models, self.keyless = client, mode, about, wants, models, keyless
        self.patience = ONLINE_PATIENCE if mode == "online" else OFFLINE_PATIENCE
        self.defined: set[str] = set()
        self.best: dict[str, float] = {}
        self.epoch = 0

    def start(self, run: Run) -> None:
        """Begins the run, or goes on with the one whose id was given."""
        keep_quiet()
        about = dict(self.about)
        if about["id"] and run.group:
            raise ConfigError("logger.wandb.id: it names one run, and the jobs of a multirun are several. Leave it out: each gets its own.")
        told = _told(run.folder) if run.resumed else {}
        self.epoch = run.resumed.epoch if run.resumed else 0
        about["id"] = told.get("id") or about["id"]
        known = {"name": run.name, "group": run.group, "job_type": run.job}
        about |= {key: value for key, value in known.items() if about[key] is None}
        self.run = self.client.init(
            **about,
            dir=str(run.folder),
            mode=self.mode,
            # An agent of a sweep gives the run's id, and the same id again for a run that the sweep resumes.
            resume="allow" if about["id"] or os.environ.get(SWEEP_ID) else None,
            config=_beside_sweep(run.config),
            # The jobs of a multirun share a process, and each has a run of its own.
            reinit="create_new",
            # Less than this logger's patience, so that the client gives up before it is left behind.
            settings=settings(0.8 * (self.patience or 0)),
        )
        self.run.define_metric("step", hidden=True)
        self.run.define_metric("epoch", hidden=True)
        self.run.define_metric("step/*", step_metric="step")
        self.run.define_metric("figures/*", step_metric="epoch")
        if self.mode == "disabled":
            return
        self.has = Position(told.get("epoch", 0), told.get("step", 0))
        self.best = told.get("best", {})
        self.folder = Path(self.run.dir).parent
        self.facts_file, self.told = run.folder / FACTS_FILE, {"epoch": self.has.epoch, "step": self.has.step}
        self.facts = {"id": self.run.id, "project": self.run.project, "entity": self.run.entity or None, "mode": self.mode}
        self.facts |= {"folder": str(self.folder), "url": self.run.url if self.mode == "online" else None}
        self._note_told()
        if self.mode == "offline":
            why = "offline, as there is no key" if self.keyless else "offline"
            log.info(f"wandb     {why}; to send it: wandb sync {self.folder}")
            if os.environ.get(SWEEP_ID):
                log.warning("wandb     the sweep that this run belongs to does not see its metrics, as the run is offline")
        else:
            log.info(f"wandb     {self.run.url}")

    def _note_told(self) -> None:
        """Writes how far W&B has been told of the run, so that a run which goes on tells nothing twice."""
        best = {name: value for name, value in self.best.items() if np.isfinite(value)}
        write_json(self.facts_file, self.facts | {"told": self.told | {"best": best}})

    def scalars(self, axis: Axis, number: int, values: Row) -> None:
        """Logs them over their own axis; of an epoch's, the summary keeps the best."""
        if self.mode != "disabled":
            # Before it is told: of a run that is killed in between, a point is missing; otherwise it would be there twice.
            self.told[axis] = number
            self._note_told()
        named = {f"{axis}/{name}": value for name, value in values.items() if name != "epoch"}
        if axis == "epoch":
            self.epoch = number
            for name in named.keys() - self.defined:
                self.run.define_metric(name, step_metric="epoch")
            self.defined |= named.keys()
        self.run.log({axis: number, **named})
        if axis == "epoch":
            # As plain numbers under the metric's own name, where sweeps look for it. W&B's own summary="max" would make it {"max": ...}.
            self.best |= {name: better(self.best.get(name, value), value) for name, value in named.items() if (better := _better(name))}
            self.run.summary.update({name: self.best[name] for name in named.keys() & self.best.keys()})

    def images(self, name: str, images: np.ndarray, captions: Sequence[str]) -> None:
        """Logs them with their captions; a batch after augmentation also becomes an artifact."""
        shown = [self.client.Image(image, caption=caption) for image, caption in zip(images, captions, strict=True)]
        self.run.log({f"cells/{name}": shown})
        if name == "augmented_batch":
            artifact = self.client.Artifact(self._name("augmented-sample"), type="sample", metadata={"cells": len(images)})
            with artifact.new_file("augmented_batch.png", mode="wb") as file:
                file.write(captioned_grid(images, captions))
            self.run.log_artifact(artifact)

    def figure(self, name: str, png: bytes, epoch: int | None) -> None:
        """Logs it; those of the finished run stand under results/."""
        picture = self.client.Image(Image.open(io.BytesIO(png)))
        self.run.log({f"results/{name}": picture} if epoch is None else {"epoch": epoch, f"figures/{name}": picture})

    def histograms(self, epoch: int, values: Mapping[str, np.ndarray]) -> None:
        """Logs them."""
        # As float64: between two neighbors of float32 there is no room for many bins, which NumPy refuses.
        counted = {name: np.histogram(item.astype(np.float64), bins=BINS) for name, item in values.items() if np.isfinite(item).all()}
        self.run.log({"epoch": epoch, **{name: self.client.Histogram(np_histogram=item) for name, item in counted.items()}})

    def scores(self, subset: str, labels: np.ndarray, scores: np.ndarray, epoch: int | None) -> None:
        """Logs charts of the finished model: ROC, precision and recall, and the confusion matrix."""
        if epoch is not None or len(np.unique(labels)) < 2:
            return
        tp, fp = (np.append(0, counts).astype(float) for counts in Ranking(labels, scores).curve())
        # Enough points for any screen, the corners among them.
        kept = np.unique(np.linspace(0, len(tp) - 1, min(CURVE_POINTS, len(tp))).astype(int))
        tp, fp = tp[kept], fp[kept]
        recall, ppv = tp[1:] / tp[-1], tp[1:] / (tp[1:] + fp[1:])
        self.run.log(
            {
                f"results/{subset}_roc": self._curve("1 - specificity", fp / fp[-1], "sensitivity", tp / tp[-1], f"ROC, {subset}"),
                f"results/{subset}_precision_recall": self._curve("sensitivity", recall, "PPV", ppv, f"Precision and recall, {subset}"),
                f"results/{subset}_confusion_matrix": self.client.plot.confusion_matrix(
                    preds=(scores >= 0.5).astype(int).tolist(),
                    y_true=labels.astype(int).tolist(),
                    class_names=list(CLASS_NAMES),
                    title=f"Confusion matrix, {subset}, threshold .5",
                ),
            }
        )

    def _curve(self, x: str, xs: np.ndarray, y: str, ys: np.ndarray, title: str) -> Any:
        table = self.client.Table(columns=[x, y], data=np.stack([xs, ys], axis=1).tolist())
        return self.client.plot.line(table, x, y, title=title)

    def table(self, name: str, table: Table) -> None:
        """Logs it with its pictures."""
        pictures = [] if table.images is None else [self.client.Image(image) for image in table.images]
        rows = [[*([pictures[number]] if pictures else []), *row] for number, row in enumerate(table.rows)]
        self.run.log({name: self.client.Table(columns=[*(["cell"] if pictures else []), *table.columns], data=rows)})

    def results(self, values: Row) -> None:
        """Puts them into the summary."""
        self.run.summary.update(values)

    def artifact(self, artifact: Artifact) -> None:
        """Keeps it with its version, or notes that this run used it."""
        if artifact.kind == "model" and not self.models and artifact.made:
            return
        if artifact.kind == "model" and not artifact.made:
            found = re.fullmatch(r"wandb://(.+)", artifact.name)
            if found and self.mode == "online":
                self.run.use_artifact(found[1], type="model")
            return
        made = self.client.Artifact(self._name(artifact.name), type=artifact.kind, metadata=dict(artifact.facts))
        for path in artifact.files:
            made.add_file(str(path))
        if not artifact.files:
            # The images are not copied. W&B makes a new version when the content changes, so the facts, with the hash, are the content.
            with made.new_file(f"{artifact.kind}.json") as file:
                json.dump(dict(artifact.facts), file, indent=1, sort_keys=True)
        if not artifact.made and self.mode == "online":
            self.run.use_artifact(made)
        else:
            self.run.log_artifact(made, aliases=[*artifact.aliases, "latest"])

    @staticmethod
    def _name(name: str) -> str:
        return re.sub(r"[^\w.-]+", "-", name).strip("-")[:128]

    def finish(self, status: Status, reason: str) -> None:
        """Ends the run with its exit code; the reason stands in the summary."""
        if not hasattr(self, "run"):
            return
        try:
            if reason:
                self.run.summary["reason"] = redact(reason)
            self.run.finish(exit_code=EXIT_CODES[status])
        except TimeoutError:
            raise TimeoutError(f"the server did not take all in time; to send what is missing: wandb sync {self.folder}") from None
        except ConnectionError:
            # The client's process is gone. After teardown a later run gets a new one, and the exit does not wait for this one.
            with suppress(Exception):
                self.client.teardown()
            raise
        # The client does not notice that its files were removed.
        if self.mode != "disabled" and not any(self.folder.glob("run-*.wandb")):
            raise FileNotFoundError(f"{self.folder} was removed during the run")


def _beside_sweep(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a configuration without sections whose key the sweep sets too; their values get dotted keys.

    The client would replace all of the section model with the sweep's `model: cellnet`.
    """
    values = (agents_values() or {}) if os.environ.get(SWEEP_ID) else {}
    clashes = [key for key, value in config.items() if key in values and isinstance(value, Mapping)]
    inner = {f"{key}.{name}": value for key in clashes for name, value in config[key].items()}
    return {key: value for key, value in config.items() if key not in clashes} | inner


def _told(folder: Path) -> dict[str, Any]:
    """Returns of a run that was cut off its id at W&B and how far W&B was told of it; nothing if that cannot be known."""
    try:
        facts = read_json(folder / FACTS_FILE)
    except RunFolderError:
        return {}
    given, told = facts.get("id"), facts.get("told")
    if not isinstance(given, str) or not re.fullmatch(r"[\w.-]+", given) or not isinstance(told, dict):
        return {}
    best = told.get("best")
    numbers = {name: value for name, value in best.items() if isinstance(value, float)} if isinstance(best, dict) else {}
    return {"id": given, "best": numbers, **{axis: told[axis] for axis in AXES if type(told.get(axis)) is int}}


def _better(name: str) -> Callable[[float, float], float] | None:
    """Returns what picks the better of two values of an epoch's metric; None if it is not known which way is better."""
    name = name.removeprefix("epoch/")
    if name in ("loss", "val_loss"):
        return np.fmin
    try:
        # fmax and fmin ignore nan.
        return np.fmax if direction(name if name.startswith("val_") else f"val_{name}") == "max" else np.fmin
    except ConfigError:
        return None
