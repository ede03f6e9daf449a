"""A search from its file to its report, with either engine."""

import hashlib
from contextlib import suppress
from pathlib import Path
from typing import Any

from malaria_exp.config.app import App
from malaria_exp.runs.run_folder import claim_run
from malaria_exp.sweeps.job_status import read_json
from malaria_exp.sweeps.sealed_jobs import KEY, SEAL, may_be_sealed
from malaria_exp.sweeps.search.file import SweepFile, read_sweep
from malaria_exp.sweeps.search.leaderboard import conclude
from malaria_exp.sweeps.search.local_study import need_optuna
from malaria_exp.sweeps.search.space_check import check_space, trial_overrides
from malaria_exp.sweeps.search.trial_command import need_command
from malaria_exp.utils.atomic_files import write_json, write_text
from malaria_exp.utils.errors import ConfigError, RunFolderError, did_you_mean
from malaria_exp.utils.terminal_log import log

# In a sweep's folder: a copy of its file, and what makes it the same sweep when it goes on.
FILE, SETTINGS = "sweep.yaml", "sweep.json"


def run_sweep(app: App, *, agents: int, trials: int | None, project: str | None, entity: str | None) -> float | None:
    """Runs a search and returns the best value of its metric; the arguments are those of task=sweep.

    Raises:
        ConfigError: the file or an override is wrong, or the engine's package is missing.
        RunFolderError: no trial ran to its end, or there is no sweep to go on with.
        DataError: engine=wandb: the server cannot be reached or refuses.
    """
    config = app.config
    sweep = _read_file(config.file)
    overrides = trial_overrides(app.overrides, sweep)
    most = trials or sweep.run_cap
    if config.engine == "local":
        need_optuna()
        if most is None and sweep.method != "grid":
            raise ConfigError(
                f"{sweep.path}: run_cap: a {sweep.method} search has no end of its own. Give task.trials=20, or run_cap in the file."
            )
    else:
        need_command(sweep.path, sweep.raw.get("command"))
    check_space(sweep, overrides)
    settings = {
        "file": str(sweep.path),
        "hash": hashlib.sha256(sweep.text.encode()).hexdigest(),
        "engine": config.engine,
        "seed": config.seed,
        "overrides": overrides,
    }
    path = find_sweep(app.output_dir, settings) if config.resume else app.output_dir
    with claim_run(path, config_text=app.config_text, overrides=app.overrides, task="sweep", again=config.resume) as folder:
        write_text(folder / FILE, sweep.text)
        begun = read_json(folder / SETTINGS)
        sealed = begun.get("sealed", False) if begun else _seals(sweep, overrides)
        write_json(folder / SETTINGS, settings | {"trials": most, "sealed": sealed})
        given = [*overrides, SEAL] if sealed else overrides
        if sealed:
            log.info(
                f"sweep     the test subsets of the trials stay sealed ({SEAL}). task=evaluate run=... opens that of the best one;"
                f" {KEY}=true opens all"
            )
        count = f"{sweep.grid_size()} combinations" if sweep.method == "grid" else f"{most} trials"
        log.info(
            f"sweep     {sweep.path}: {sweep.method}, {count}, to {sweep.metric.goal} {sweep.metric.column}; engine={config.engine}, agents: {agents}"
        )
        try:
            if config.engine == "local":
                from malaria_exp.sweeps.search.local_engine import run_local_sweep

                run_local_sweep(sweep, folder.path, agents=agents, trials=most, seed=config.seed, overrides=given)
            else:
                from malaria_exp.sweeps.search.wandb_engine import run_wandb_sweep

                run_wandb_sweep(sweep, folder.path, agents=agents, count=most, overrides=given, project=project, entity=entity)
        except KeyboardInterrupt:
            with suppress(RunFolderError):
                folder.facts |= conclude(sweep, folder.path, overrides, config.seed)
            log.warning(f"sweep     stopped; the same command with resume=true goes on in {folder.path}")
            raise
        folder.facts |= conclude(sweep, folder.path, overrides, config.seed)
    objective = folder.facts["objective"]
    return float(objective) if objective is not None else None


def _seals(sweep: SweepFile, overrides: list[str]) -> bool:
    """Tells whether the trials leave their test subsets sealed: they train by this program, and nobody has said otherwise."""
    named = [f"{parameter.name}=" for parameter in sweep.parameters]
    return Path(sweep.program).name == "run.py" and may_be_sealed([*overrides, *sweep.command, *named])


def _read_file(file: str | None) -> SweepFile:
    if file is None:
        known = ", ".join(sorted(path.as_posix() for path in Path("sweeps").glob("*.yaml"))) or "none here"
        raise ConfigError(f"file: task=sweep needs a sweep's file: file=sweeps/cellnet_bayes.yaml. Files in sweeps/: {known}.")
    return read_sweep(Path(file).expanduser())


def find_sweep(folder: Path, settings: dict[str, Any]) -> Path:
    """Returns the folder of the sweep that goes on: the newest one of the same file, engine, seed and overrides.

    Args:
        folder: where a new sweep would be. If hydra.run.dir names a folder that holds a sweep, that one goes on.
        settings: of this sweep.

    Raises:
        RunFolderError: there is none, or the folder holds another sweep.
    """

    def read(path: Path) -> dict[str, Any]:
        content = read_json(path / SETTINGS)
        return content and {key: content.get(key) for key in settings}

    if mine := read(folder):
        different = [key for key in settings if mine[key] != settings[key] and key != "file"]
        if different:
            raise RunFolderError(
                f"resume: '{folder}' holds a sweep of another {', '.join(different)}. Repeat the command it was begun with."
            )
        return folder
    others = sorted(path.parent for path in folder.parent.glob(f"*/{SETTINGS}"))
    same = [path for path in others if read(path) | {"file": ""} == settings | {"file": ""}]
    if not same:
        near = did_you_mean(folder.name, [path.name for path in others])
        raise RunFolderError(
            f"resume: no earlier sweep of this file, engine, seed and overrides in '{folder.parent}'.{near} Leave resume=true out to begin one."
        )
    # Hydra made it for this run.
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
    return max(same, key=lambda path: (path / SETTINGS).stat().st_mtime)
