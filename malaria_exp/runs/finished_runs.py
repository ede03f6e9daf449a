"""Finished runs that this one builds on: their files, and whom their weights have seen."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from malaria_exp.data.cell_table import UNKNOWN
from malaria_exp.data.split_manifest import COLUMNS, Manifest
from malaria_exp.runs.run_folder import STATUS
from malaria_exp.utils.errors import LeakError, RunFolderError, listing

PARENT_SPLIT_FILE = "parent_split.csv"


@dataclass(frozen=True, eq=False)
class FinishedRun:
    """What a training run left.

    Attributes:
        path: its folder.
        dataset: name and parameters of the dataset it was trained on.
        manifest: its split.
        metrics: its metrics.json; empty of a run that was cut off.
        provenance: its provenance.json.
        earlier: the training and validation cells of the runs that its weights come from, if they come from any.
    """

    path: Path
    dataset: dict[str, Any]
    manifest: Manifest
    metrics: dict[str, Any]
    provenance: dict[str, Any]
    earlier: Manifest | None = None

    @classmethod
    def read(cls, path: Path, *, cut_off: bool = False) -> "FinishedRun":
        """Reads the folder; a RunFolderError says what it lacks.

        Args:
            path: the folder.
            cut_off: a training that failed, was interrupted, or still runs will do: weights that it wrote on the way know its patients.
        """
        from malaria_exp.runs.saved_model import read_json, read_yaml

        status = read_json(path / STATUS)
        done = status.get("status") == "done"
        if status.get("task") != "train" or not (done or cut_off):
            raise RunFolderError(
                f"run: '{path}' is no finished training run: task {status.get('task')}, status {status.get('status')}."
                f" {status.get('reason', '')}".rstrip()
            )
        saved = read_yaml(path / "config.yaml")
        for group in ("dataset", "split"):
            if not isinstance(saved.get(group), dict) or not isinstance(saved[group].get("name"), str):
                raise RunFolderError(f"run: '{path / 'config.yaml'}' lacks {group}.name.")
        manifest = Manifest.read(path / "split.csv", saved["split"]["name"])
        provenance = read_json(path / "provenance.json")
        if manifest.hash != provenance.get("split_hash"):
            raise RunFolderError(f"run: '{path / 'split.csv'}' is not the one the run wrote: its hash differs from provenance.json's.")
        earlier = Manifest.read(path / PARENT_SPLIT_FILE, "earlier") if (path / PARENT_SPLIT_FILE).exists() else None
        # The run was allowed to leak then; what is scored of it again stays marked.
        manifest = guard_against_parent_runs(manifest, earlier, allow_leak=True)
        metrics = read_json(path / "metrics.json") if done else {}
        return cls(path, saved["dataset"], manifest, metrics, provenance, earlier)

    @property
    def thresholds(self) -> dict[str, float]:
        """The thresholds that were frozen on the run's validation patients."""
        return dict(self.metrics["thresholds"])


def read_parent_splits(folders: Sequence[Path]) -> Manifest | None:
    """Returns the training and validation cells of runs, and of those that they build on in turn, as one manifest.

    Whether the runs had to be finished was checked where they were chosen. Cells may stand in it several times. None without any run.
    """
    found = []
    for folder in folders:
        run = FinishedRun.read(folder, cut_off=True)
        found += [run.manifest] + ([run.earlier] if run.earlier is not None else [])
    if not found:
        return None
    seen = [np.isin(one.subset, ("train", "val")) for one in found]
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(one, name)[rows] for one, rows in zip(found, seen, strict=True)]) for name in COLUMNS
    }
    return Manifest(protocol="earlier", **columns)


def guard_against_parent_runs(manifest: Manifest, earlier: Manifest | None, *, allow_leak: bool) -> Manifest:
    """Returns the split, marked as leaky if earlier runs have seen what it validates or tests on.

    What an earlier run trained on must not stand in validation or test; what it validated on, and so chose its epoch and threshold
    by, must not stand in test.

    Args:
        manifest: this run's split.
        earlier: what the runs have seen that its weights come from.
        allow_leak: the user's `allow_leak=true`.

    Raises:
        LeakError: they have, nobody allowed it, and the split is not leaky anyway.
    """
    if earlier is None:
        return manifest
    leaks: dict[str, set[str]] = {}
    for seen, judged in (("train", ("val", "test")), ("val", ("test",))):
        theirs, ours = earlier.subset == seen, np.isin(manifest.subset, judged)
        patients = set(earlier.patient[theirs].tolist()) & set(manifest.patient[ours].tolist()) - {UNKNOWN}
        leaks.setdefault("patients", set()).update(patients)
        images = manifest.cell_id[ours & np.isin(manifest.content, earlier.content[theirs])]
        leaks.setdefault("images", set()).update(images.tolist())
    leaks = {what: names for what, names in leaks.items() if names}
    if not leaks:
        return manifest
    if not (allow_leak or manifest.leaky):
        text = "\n".join(f"{len(names)} {what}:\n{listing(sorted(names))}" for what, names in leaks.items())
        raise LeakError(
            f"The weights come from runs that have trained or validated on cells which this run validates or tests on.\n{text}\n"
            "Use the same dataset and split as those runs (split=by_manifest split.path=.../split.csv), or other people's cells, or set"
            " allow_leak=true: every result is then stamped LEAKY."
        )
    shared = " and ".join(f"{len(names):,} {what}" for what, names in leaks.items())
    note = f"The weights come from earlier runs, which trained or validated on {shared} of this run's validation or test."
    details = {**manifest.details, "warnings": [*manifest.details.get("warnings", ()), note]}
    return dataclasses.replace(manifest, details=details, inherited_leak=True)
