"""The members of an ensemble: finished runs, by folder or pattern, and the nets in them."""

import glob
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from malaria_exp.errors import ConfigError, RunFolderError
from malaria_exp.images import ResizeRule
from malaria_exp.registry import build

if TYPE_CHECKING:
    import keras


def member_folders(runs: Sequence[str]) -> list[Path]:
    """Returns the folders of the runs, patterns such as 'outputs/multirun-x/*' resolved in order of their names.

    Raises:
        ConfigError: none is given, a pattern finds nothing, or a folder is given twice.
    """
    if not runs:
        raise ConfigError(
            "model.runs: missing; an ensemble needs finished runs: model.runs=[outputs/a,outputs/b] or model.runs=['outputs/multirun-x/*']"
        )
    folders: list[Path] = []
    for run in runs:
        path = Path(run).expanduser()
        found = [path]
        if any(sign in run for sign in "*?["):
            found = [Path(name) for name in sorted(glob.glob(str(path))) if (Path(name) / "model.json").is_file()]  # noqa: PTH207 - of any root
            if not found:
                raise ConfigError(f"model.runs: '{run}' finds no finished run (a folder with model.json).")
        folders += found
    twice = {str(folder) for folder in folders if sum(other.resolve() == folder.resolve() for other in folders) > 1}
    if twice:
        raise ConfigError(f"model.runs: '{min(twice)}' is given twice; it would count twice in the average.")
    return folders


def members_rule(runs: Sequence[str]) -> ResizeRule:
    """Returns the resize rule that all members share; a ConfigError if they do not."""
    from malaria_exp.saved import read_record

    rules = {}
    for folder in member_folders(runs):
        try:
            rules[folder] = read_record(folder)[1]
        except RunFolderError as error:
            raise ConfigError(f"model.runs: {str(error).removeprefix('run: ')}") from None
    first, *others = rules.items()
    for folder, rule in others:
        if rule != first[1]:
            raise ConfigError(
                f"model.runs: the members take different images: '{first[0]}' {first[1].size} px by {first[1].mode}, '{folder}' {rule.size} px by"
                f" {rule.mode}. Give runs of the same model.image_size and store.resize."
            )
    return first[1]


def load_members(runs: Sequence[str]) -> tuple[list["keras.Model"], list[dict[str, Any]]]:
    """Returns the runs' nets, and what rebuilds each without its folder: name, params and precision."""
    import keras

    from malaria_exp.saved import load_model

    policy = keras.config.dtype_policy()
    nets, records = [], []
    for folder in member_folders(runs):
        net, _, record = load_model(folder)
        nets.append(net)
        records.append({**record["model"], "precision": record["precision"]})
    keras.config.set_dtype_policy(policy)
    return nets, records


def rebuild_members(records: Sequence[dict[str, Any]]) -> list["keras.Model"]:
    """Builds the nets that `load_members` described; their weights come from the ensemble's own file."""
    import keras

    from malaria_exp.trainer._precision import set_precision

    policy = keras.config.dtype_policy()
    nets = []
    for number, record in enumerate(records):
        set_precision(record["precision"])
        nets.append(build("model", record["name"], record["params"], path=f"model.members[{number}]"))
    keras.config.set_dtype_policy(policy)
    return nets
