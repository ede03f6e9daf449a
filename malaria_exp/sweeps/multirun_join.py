"""The end of a multirun whose jobs shared the images of one prediction, or the shards of one set: their results become one."""

import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from malaria_exp.config.run_config import Config
from malaria_exp.deployment.join_parts import join_parts
from malaria_exp.runs.prepare_shards import prepare_shards
from malaria_exp.runs.read_files import read_config
from malaria_exp.sweeps.multirun_pool import attempt
from malaria_exp.utils.errors import RunFolderError
from malaria_exp.utils.terminal_log import log

JOINED, KEY = "joined", "task.part"
TASKS = ("predict", "prepare")


def join_jobs(folder: Path, jobs: Sequence[tuple[str, str, Sequence[str]]]) -> None:
    """Joins the jobs of a multirun that differ in task.part alone; what prevents it is said.

    The predictions of each model get a folder of their own, joined/; shards lie where they belong already, and the set is finished there.

    Args:
        folder: of the multirun.
        jobs: name, status and overrides of each.
    """
    groups: dict[tuple[str, ...], list[tuple[int, str, str]]] = {}
    for name, status, overrides in jobs:
        values = dict(item.lstrip("+").split("=", 1) for item in overrides if "=" in item)
        if values.get("task") in TASKS and KEY in values:
            rest = tuple(item for item in overrides if not item.lstrip("+").startswith(f"{KEY}="))
            groups.setdefault(rest, []).append((int(values[KEY]), name, status))
    for parts in groups.values():
        first = min(parts, key=lambda part: int(part[1]))[1]
        target = folder / (JOINED if len(groups) == 1 else f"{JOINED}-{first}")
        shutil.rmtree(target, ignore_errors=True)
        if left := [name for _, name, status in sorted(parts) if status != "done"]:
            log.warning(f"joined    not made, as jobs did not end well: {', '.join(left[:20])}. It is made when resume=true has run them")
            continue
        names = {part: name for part, name, _ in sorted(parts)}
        attempt("joined", "the same command with resume=true", partial(_join, folder, names, target))


def _join(folder: Path, names: Mapping[int, str], target: Path) -> None:
    config = Config.from_plain(read_config(folder / next(iter(names.values()))))
    task = config.one("task")
    parts = task.params["parts"]
    if missing := sorted(set(range(parts)) - names.keys()):
        raise RunFolderError(f"of the {parts} parts, {', '.join(map(str, missing[:20]))} are not in this multirun.")
    if task.name == "prepare":
        prepare_shards(config, whole=True)
    else:
        join_parts([folder / name for name in names.values()], target)
