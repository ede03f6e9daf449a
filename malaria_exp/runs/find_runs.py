"""Which runs are compared or pooled: folders of runs, of multiruns or of many runs, patterns, and URLs of finished runs."""

import glob
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from malaria_exp.runs.remote_runs import local_run
from malaria_exp.runs.run_folder import PREVIOUS_ATTEMPTS, STATUS
from malaria_exp.utils.errors import ConfigError, did_you_mean
from malaria_exp.utils.filesystems import local_path, scheme_of
from malaria_exp.utils.http import public_url

EXPECTED = "runs=[outputs/a,outputs/b], a multirun's folder (runs=outputs/multirun-x), or a pattern in quotes ('runs=outputs/multirun-x/*')"
# A multirun's folder holds its jobs; a folder such as outputs/ holds multiruns as well.
WITHIN = (f"*/{STATUS}", f"*/*/{STATUS}")


@dataclass(frozen=True)
class FoundRun:
    """A run's folder, and whether it was asked for by its own name (else by a pattern, or a folder around it)."""

    path: Path
    name: str
    by_name: bool


def find_runs(runs: Sequence[str] | str, root: Path, own: Path, task: str = "compare") -> list[FoundRun]:
    """Returns the folders of the runs, each once, in the order given; those of a folder or pattern in the order of their names.

    Args:
        runs: as the configuration has it.
        root: the cache folder, for copies of runs that lie elsewhere.
        own: the folder of this task, which is not read.
        task: its name, for the message.

    Raises:
        ConfigError: none is given, one does not exist, or a folder or pattern holds no run.
        RunFolderError: there is no finished run at a URL.
        DataError: the server of a URL does not answer.
    """
    given = [runs] if isinstance(runs, str) else list(runs)
    if not given or not all(given):
        raise ConfigError(f"runs: missing; task={task} needs runs: {EXPECTED}")
    found: list[tuple[Path, str, bool]] = []
    for run in given:
        if scheme_of(run) not in ("", "file"):
            found.append((local_run(run, root, "runs"), public_url(run), True))
        else:
            found += [(path, "", by_name) for path, by_name in _local(run, own)]
    names = _names([path for path, name, _ in found if not name])
    once: dict[Path, FoundRun] = {}
    for path, name, by_name in found:
        once.setdefault(path.resolve(), FoundRun(path, name or names[path], by_name))
    return list(once.values())


def _local(run: str, own: Path) -> list[tuple[Path, bool]]:
    path = local_path(run)
    if any(sign in run for sign in "*?[") and not path.exists():
        folders = sorted(map(Path, glob.glob(str(path))), key=_natural)  # noqa: PTH207 - of any root
        inside = [one for folder in folders for one in _within(folder)]
        if not inside:
            raise ConfigError(f"runs: '{run}' finds no run (a folder with {STATUS}). Expected {EXPECTED}")
        return [(one, False) for one in inside if one.resolve() != own.resolve()]
    if not path.is_dir():
        siblings = [item.name for item in path.parent.iterdir() if item.is_dir()] if path.parent.is_dir() else []
        what = "is a file; give its folder" if path.is_file() else "does not exist"
        raise ConfigError(f"runs: '{run}' {what}.{did_you_mean(path.name, siblings)} Expected {EXPECTED}")
    inside = _within(path)
    if not inside:
        raise ConfigError(f"runs: '{run}' is no run and holds none (a run's folder has {STATUS}). Expected {EXPECTED}")
    return [(one, one == path) for one in inside if one.resolve() != own.resolve()]


def _within(folder: Path) -> list[Path]:
    """Returns the folder if it is a run's, else the runs in it."""
    if (folder / STATUS).is_file():
        return [folder]
    found = {path.parent for pattern in WITHIN for path in folder.glob(pattern)}
    # Attempts at a job that was begun again; the job's own folder says what became of it.
    return sorted((path for path in found if path.parent.name != PREVIOUS_ATTEMPTS), key=_natural)


def _natural(path: Path) -> list[tuple[int, int, str]]:
    """Job 10 comes after job 9."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", str(path))]


def _names(paths: Sequence[Path]) -> dict[Path, str]:
    """Returns a short name of each folder: its path below what all have in common; a multirun's job keeps its multirun's name."""
    if not paths:
        return {}
    whole = {path: path.resolve() for path in paths}
    first = next(iter(whole.values()))
    common = next((parent for parent in first.parents if all(one.is_relative_to(parent) for one in whole.values())), None)
    if common is None:
        # On several drives of Windows.
        return {path: path.as_posix() for path in whole}
    if any(one.parent == common and one.name.isdigit() for one in whole.values()):
        common = common.parent
    return {path: one.relative_to(common).as_posix() for path, one in whole.items()}
