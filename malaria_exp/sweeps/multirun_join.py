"""The end of a multirun whose jobs shared the images of one prediction: their results become one, in joined/."""

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from malaria_exp.sweeps.multirun_pool import attempt
from malaria_exp.utils.terminal_log import log

JOINED, KEY = "joined", "task.part"


def join_jobs(folder: Path, jobs: Sequence[tuple[str, str, Sequence[str]]]) -> None:
    """Joins the jobs of a multirun that differ in task.part alone, of each model into a folder of its own; what prevents it is said.

    Args:
        folder: of the multirun.
        jobs: name, status and overrides of each.
    """
    groups: dict[tuple[str, ...], list[tuple[int, str, str]]] = {}
    for name, status, overrides in jobs:
        values = dict(item.lstrip("+").split("=", 1) for item in overrides if "=" in item)
        if values.get("task") == "predict" and KEY in values:
            rest = tuple(item for item in overrides if not item.lstrip("+").startswith(f"{KEY}="))
            groups.setdefault(rest, []).append((int(values[KEY]), name, status))
    for parts in groups.values():
        first = min(parts, key=lambda part: int(part[1]))[1]
        target = folder / (JOINED if len(groups) == 1 else f"{JOINED}-{first}")
        shutil.rmtree(target, ignore_errors=True)
        if left := [name for _, name, status in sorted(parts) if status != "done"]:
            log.warning(f"joined    not made, as jobs did not end well: {', '.join(left[:20])}. It is made when resume=true has run them")
            continue
        names = [name for _, name, _ in sorted(parts)]
        attempt("joined", "the same command with resume=true", partial(_join, folder, names, target))


def _join(folder: Path, names: Sequence[str], target: Path) -> None:
    from malaria_exp.deployment.join_parts import join_parts

    join_parts([folder / name for name in names], target)
