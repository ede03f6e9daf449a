"""The records that a model card is made of: what a finished run, or a pooled result, left in its folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from malaria_exp.runs.read_files import PROVENANCE, read_config, read_json, read_metrics, read_status
from malaria_exp.runs.saved_model import read_record
from malaria_exp.utils.errors import RunFolderError

SOURCES = ("train", "pool")


@dataclass(frozen=True)
class CardRecord:
    """Everything that a card may say.

    Attributes:
        folder: of the run or the pooled result.
        status: status.json.
        config: config.yaml; empty for a pooled result, whose own says nothing of its runs.
        metrics: metrics.json.
        provenance: provenance.json; empty for a pooled result.
        model: model.json; empty for a pooled result, which has no model of its own.
        external: by folder, metrics.json of evaluations of this run on other data.
        files: names of the files in the folder.
    """

    folder: Path
    status: dict[str, Any]
    config: dict[str, Any]
    metrics: dict[str, Any]
    provenance: dict[str, Any]
    model: dict[str, Any]
    external: dict[str, dict[str, Any]]
    files: frozenset[str]

    @classmethod
    def read(cls, folder: Path, evaluations: Sequence[Path] = ()) -> "CardRecord":
        """Reads the folder.

        Args:
            folder: of a finished training run, or of a pooled result.
            evaluations: folders of task=evaluate of the same run on other data.

        Raises:
            RunFolderError: a folder is of something else, or a file is missing or damaged.
        """
        status = read_status(folder)
        if status.get("task") not in SOURCES or status.get("status") != "done":
            raise RunFolderError(
                f"run: '{folder}' is no finished training run or pooled result: task {status.get('task')}, status {status.get('status')}."
                " A card is written of these: run=outputs/..."
            )
        trained = status["task"] == "train"
        record = cls(
            folder,
            status,
            read_config(folder) if trained else {},
            read_metrics(folder),
            read_json(folder / PROVENANCE) if trained else {},
            read_record(folder)[0] if trained else {},
            {},
            frozenset(path.name for path in (*folder.glob("*"), *folder.glob("plots/*.png"))),
        )
        for path in evaluations:
            record.external[path.name] = _external(path, record)
        return record

    def choice(self, group: str) -> str:
        """Returns the name of a group's option, or of several, "dihedral + stain"; a KeyError without a configuration."""
        found = self.config[group]
        return str(found["name"]) if "name" in found else " + ".join(found)

    def settings(self, *keys: str) -> str:
        """Returns settings as "key value, key value"; those that are nested are flattened. What is not set is left out."""
        found = []
        for key in keys:
            value: Any = self.config
            for name in key.split("."):
                value = value.get(name) if isinstance(value, dict) else None
            if isinstance(value, dict):
                found += [f"{name} {inner}" for name, inner in value.items() if inner is not None and name != "name"]
            elif value is not None:
                found.append(f"{key.rpartition('.')[2]} {value}")
        return ", ".join(found)

    @property
    def dataset(self) -> str:
        """The name of the dataset; empty where the record does not say."""
        return self.choice("dataset") if self.config else ""

    @property
    def leaky(self) -> bool:
        """Whether training and evaluation share patients or images."""
        return bool(self.metrics.get("leaky"))


def _external(path: Path, record: CardRecord) -> dict[str, Any]:
    """Returns the metrics of an evaluation on other data, after a check that it is one of this run."""
    task, metrics = read_status(path).get("task"), read_metrics(path)
    if task != "evaluate" or "external" not in metrics["subsets"]:
        raise RunFolderError(f"runs: '{path}' is no evaluation on other data. Expected folders of task=evaluate run=... dataset=...")
    if metrics.get("split_hash") != record.metrics.get("split_hash"):
        raise RunFolderError(f"runs: '{path}' is an evaluation of another run than '{record.folder}': its split_hash differs.")
    return metrics
