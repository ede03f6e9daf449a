"""Reading the folder of a finished training run, and which cells its weights have seen."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from malaria_exp.config.run_config import Choice
from malaria_exp.data.split_manifest import COLUMNS, PIXELS, Manifest
from malaria_exp.runs.parent_leaks import LEARNED_FROM, guard_against_parent_runs
from malaria_exp.runs.read_files import PROVENANCE, SPLIT, read_config, read_json, read_metrics, read_split, read_status
from malaria_exp.utils.errors import RunFolderError

PARENT_SPLIT_FILE = "parent_split.csv"


@dataclass(frozen=True, eq=False)
class FinishedRun:
    """What a training run left.

    Attributes:
        path: its folder.
        dataset: name and parameters of the dataset it was trained on.
        manifest: its split.
        metrics: its metrics.json; empty if the run is not finished.
        provenance: its provenance.json.
        parents: the training and validation cells of its parent runs; None without any.
    """

    path: Path
    dataset: dict[str, Any]
    manifest: Manifest
    metrics: dict[str, Any]
    provenance: dict[str, Any]
    parents: Manifest | None = None

    @property
    def dataset_choice(self) -> Choice:
        """The dataset it was trained on, to be built again."""
        params = {key: value for key, value in self.dataset.items() if key != "name"}
        return Choice("dataset", self.dataset["name"], params, f"{self.path / 'config.yaml'}: dataset")

    @classmethod
    def read(cls, path: Path, *, cut_off: bool = False) -> "FinishedRun":
        """Reads the folder; a RunFolderError says what it lacks.

        Args:
            path: the folder.
            cut_off: also accept a run that failed, was interrupted or still runs. It may have written weights already.
        """
        status = read_status(path)
        done = status.get("status") == "done"
        if status.get("task") != "train" or not (done or cut_off):
            raise RunFolderError(
                f"run: '{path}' is no finished training run: task {status.get('task')}, status {status.get('status')}."
                f" {status.get('reason', '')}".rstrip()
            )
        saved = read_config(path)
        for group in ("dataset", "split"):
            if not isinstance(saved.get(group), dict) or not isinstance(saved[group].get("name"), str):
                raise RunFolderError(f"run: '{path / 'config.yaml'}' lacks {group}.name.")
        manifest = read_split(path / SPLIT, saved["split"]["name"])
        provenance = read_json(path / PROVENANCE)
        if manifest.hash != provenance.get("split_hash"):
            raise RunFolderError(f"run: '{path / SPLIT}' is not the one the run wrote: its hash differs from provenance.json's.")
        parents = read_split(path / PARENT_SPLIT_FILE, "parents") if (path / PARENT_SPLIT_FILE).exists() else None
        # If the run leaked with allow_leak=true, its split stays marked as leaky.
        manifest = guard_against_parent_runs(manifest, parents, allow_leak=True)
        metrics = read_metrics(path) if done else {}
        return cls(path, saved["dataset"], manifest, metrics, provenance, parents)


def read_parent_splits(folders: Sequence[Path]) -> Manifest | None:
    """Returns the training and validation cells of parent runs, and of the parents' own parents, as one manifest; None without any run.

    A cell may stand in it several times. Runs that are not finished are accepted: whoever chose the folders has checked that.
    """
    runs = [FinishedRun.read(folder, cut_off=True) for folder in folders]
    splits = [split for run in runs for split in (run.manifest, run.parents) if split is not None]
    if not splits:
        return None
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(split, name)[np.isin(split.subset, LEARNED_FROM)] for split in splits]) for name in (*COLUMNS, PIXELS)
    }
    return Manifest(protocol="parents", **columns)
