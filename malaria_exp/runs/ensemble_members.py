"""The members of an ensemble: finished runs, given by folder or pattern, and their models."""

import glob
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from malaria_exp.config.registry import build
from malaria_exp.config.validation import check
from malaria_exp.data.resize import ResizeRule
from malaria_exp.runs.finished_runs import FinishedRun
from malaria_exp.runs.saved_model import MODEL_RECORD, load_model, read_calibration, read_record, read_views
from malaria_exp.training.precision import POLICIES, set_precision
from malaria_exp.utils.errors import ConfigError, RunFolderError, did_you_mean
from malaria_exp.utils.filesystems import local_path, scheme_of
from malaria_exp.utils.http import public_url

if TYPE_CHECKING:
    import keras


def member_folders(runs: Sequence[str]) -> list[Path]:
    """Returns the folders of the runs, patterns such as 'outputs/multirun-x/*' resolved and sorted by name.

    Raises:
        ConfigError: none is given, one does not exist or is not on this machine, a pattern finds nothing, or a folder is given twice.
    """
    if not runs:
        raise ConfigError(
            "model.runs: missing; an ensemble needs finished runs: model.runs=[outputs/a,outputs/b] or model.runs=['outputs/multirun-x/*']"
        )
    folders: list[Path] = []
    for run in runs:
        if scheme_of(run) not in ("", "file"):
            raise ConfigError(f"model.runs: '{public_url(run)}' is no local folder. Copy the run here, and give its folder.")
        path = local_path(run)
        if any(sign in run for sign in "*?["):
            found = [Path(name) for name in sorted(glob.glob(str(path))) if (Path(name) / MODEL_RECORD).is_file()]  # noqa: PTH207 - of any root
            if not found:
                raise ConfigError(f"model.runs: '{run}' finds no finished run (a folder with {MODEL_RECORD}).")
            folders += found
        elif path.is_dir():
            folders.append(path)
        else:
            siblings = [item.name for item in path.parent.iterdir() if item.is_dir()] if path.parent.is_dir() else []
            raise ConfigError(
                f"model.runs: no folder '{run}'.{did_you_mean(path.name, siblings)} Expected folders of finished runs, or a pattern such as"
                " 'outputs/multirun-x/*'."
            )
    twice = {str(folder) for folder in folders if sum(other.resolve() == folder.resolve() for other in folders) > 1}
    if twice:
        raise ConfigError(f"model.runs: '{min(twice)}' is given twice; it would count twice in the average.")
    return folders


def members_rule(runs: Sequence[str]) -> ResizeRule:
    """Returns the resize rule that all members share; a ConfigError if they do not, or if one is no finished run."""
    rules = {}
    for folder in member_folders(runs):
        if not (folder / MODEL_RECORD).exists() and next(folder.glob(f"*/{MODEL_RECORD}"), None):
            raise ConfigError(f"model.runs: '{folder}' is no run, but has runs in it: model.runs=['{folder}/*']")
        try:
            FinishedRun.read(folder)
            rules[folder] = read_record(folder)[1]
        except RunFolderError as error:
            reason = str(error).removeprefix("run: ").replace("run=outputs/...", "model.runs=[outputs/a,outputs/b]")
            raise ConfigError(f"model.runs: {reason}") from None
    first, *others = rules.items()
    for folder, rule in others:
        if rule != first[1]:
            raise ConfigError(
                f"model.runs: the members take different images: '{first[0]}' {first[1].size} px by {first[1].mode}, '{folder}' {rule.size} px by"
                f" {rule.mode}. Give runs of the same model.image_size and cache.resize."
            )
    return first[1]


def load_members(runs: Sequence[str]) -> tuple[list["keras.Model"], list[dict[str, Any]]]:
    """Returns the runs' models, calibrated, and what rebuilds each without its folder: name, params, precision, views and calibration."""
    models, records = [], []
    with _precision_kept():
        for folder in member_folders(runs):
            saved = load_model(folder)
            models.append(saved.model)
            records.append({**saved.record["model"], **{key: saved.record.get(key) for key in ("precision", "views", "calibration")}})
    return models, records


def rebuild_members(records: Sequence[dict[str, Any]]) -> list["keras.Model"]:
    """Builds the models that `load_members` described, without their weights, which the ensemble's own file holds.

    Raises:
        ConfigError: a record is malformed, or names a model that is not known here.
    """
    from malaria_exp.training.calibrated_model import with_calibration  # loads TensorFlow
    from malaria_exp.training.views import with_views

    models = []
    with _precision_kept():
        for number, record in enumerate(records):
            where = f"model.members[{number}]"
            if {"calibration", "views", *record} != {"name", "params", "precision", "views", "calibration"} or record[
                "precision"
            ] not in POLICIES:
                raise ConfigError(
                    f"{where}: expected what a saved ensemble holds: name, params, views, calibration and precision ({', '.join(POLICIES)})."
                )
            set_precision(record["precision"])
            params = check(f"{where}.params", record["params"], dict[str, Any])
            model = build("model", check(f"{where}.name", record["name"], str), params, path=where)
            model = with_views(model, read_views(record.get("views"), f"{where}.views"))
            models.append(with_calibration(model, read_calibration(record.get("calibration"), f"{where}.calibration").map))
    return models


@contextmanager
def _precision_kept() -> Iterator[None]:
    """Restores the precision that is set now, as each member is built in the precision it was trained in."""
    import keras

    policy = keras.config.dtype_policy()
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)
