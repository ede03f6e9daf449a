"""The end of a multirun of folds or seeds: its jobs become one result of each configuration, in pooled/."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from malaria_exp.config.run_config import Config
from malaria_exp.evaluation.reports.comparison.configurations import REPEATS
from malaria_exp.runs.compared_runs import read_runs
from malaria_exp.runs.find_runs import FoundRun
from malaria_exp.runs.read_files import read_config
from malaria_exp.sweeps.sealed_jobs import SEAL
from malaria_exp.utils.atomic_files import new_folder
from malaria_exp.utils.errors import UserError
from malaria_exp.utils.terminal_log import log

POOLED = "pooled"
# Each takes some seconds: of a larger grid they are made only if they are asked for.
MOST_CONFIGURATIONS = 20


def pool_jobs(folder: Path, jobs: Sequence[tuple[str, str, Sequence[str]]]) -> None:
    """Pools the jobs of a multirun into pooled/, if some differ in folds or seeds alone; what prevents it is said, and ends nothing.

    Args:
        folder: of the multirun.
        jobs: name, status and overrides of each.
    """
    shutil.rmtree(folder / POOLED, ignore_errors=True)
    rest = [tuple(item for item in overrides if not _is_seed(item)) for _, _, overrides in jobs]
    if len(set(rest)) == len(rest) or sum(status == "done" for _, status, _ in jobs) < 2:
        return
    if any(SEAL in overrides for _, _, overrides in jobs):
        log.info(f"pooled    not made, as test subsets stayed sealed ({SEAL})")
        return
    later = f"python run.py task=pool runs={folder}"
    if stopped := [name for name, status, _ in jobs if status in ("interrupted", "missing", "running")]:
        log.warning(
            f"pooled    not made, as jobs have not ended: {', '.join(stopped[:20])}. It is made when resume=true has run them, or by {later}"
        )
        return
    if (number := len(set(rest))) > MOST_CONFIGURATIONS:
        log.info(f"pooled    not made of {number} configurations, more than {MOST_CONFIGURATIONS}; {later} makes it")
        return
    attempt("pooled", later, lambda: _pool(folder, [name for name, _, _ in jobs]))


def attempt(what: str, later: str, make: Callable[[], object]) -> None:
    """Makes a result of a multirun's jobs; what prevents it is said, and ends nothing: the jobs themselves have ended as their table says.

    Args:
        what: the result, a word of at most nine letters.
        later: the command that makes it another time.
        make: makes it.
    """
    try:
        make()
    except (UserError, OSError) as error:
        log.warning(f"{what:<9} not made: {error}")
    except KeyboardInterrupt:
        log.warning(f"{what:<9} interrupted; {later} makes it")
    except Exception as error:  # noqa: BLE001 - a bug here is no failure of a job
        log.error(f"{what:<9} not made; the lines below belong into a bug report.", exc_info=error)


def _is_seed(override: str) -> bool:
    return override.partition("=")[0].lstrip("+") in REPEATS


def _pool(folder: Path, names: Sequence[str]) -> None:
    from malaria_exp.runs.pool import pool_runs, show_results

    runs = read_runs([FoundRun(folder / name, f"{folder.name}/{name}", by_name=False) for name in names if (folder / name).is_dir()])
    done = [run for run in runs if run.done]
    if len(done) < 2:
        return
    config = Config.from_plain(read_config(done[0].path))
    with new_folder(folder / POOLED) as temporary:
        results = pool_runs(runs, config, temporary, ["task=pool", f"runs={folder}"])
    show_results(results, folder / POOLED)
