"""A search over settings, from a file in W&B's format."""

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from malaria_exp.config.registry import register
from malaria_exp.config.validation import PositiveInt
from malaria_exp.runs.run_folder import claim_run
from malaria_exp.utils.atomic_files import write_json, write_text
from malaria_exp.utils.errors import ConfigError, RunFolderError, did_you_mean
from malaria_exp.utils.terminal_log import log

if TYPE_CHECKING:
    from malaria_exp.config.app import App
    from malaria_exp.config.run_config import Config
    from malaria_exp.sweeps.search.file import SweepFile

# Keys that speak of the sweep itself; every other override that the user types goes to every trial.
OWN_KEYS = ("task", "file", "engine", "resume", "hydra")
# A grid of this many values is composed before it begins; of larger ones a value at a time.
MOST_COMPOSED = 200


@register("task", "sweep")
def sweep(
    app: "App",
    /,
    *,
    agents: PositiveInt = 1,
    trials: PositiveInt | None = None,
    project: str | None = None,
    entity: str | None = None,
) -> float | None:
    """Searches settings as a file in W&B's format says (file=sweeps/cellnet_bayes.yaml), with engine=local or wandb.

    Overrides beside those of the task go to every trial: dataset=nih dataset.path=...

    Args:
        agents: processes that run trials, one each at a time.
        trials: at most so many; null for the file's run_cap, or all of a grid.
        project: engine=wandb: of the sweep; null for the file's, or malaria_exp.
        entity: engine=wandb: user or team; null for the file's, or the account's own.
    """
    from malaria_exp.sweeps.search.file import read_sweep
    from malaria_exp.sweeps.search.leaderboard import conclude
    from malaria_exp.sweeps.search.local_agent import FILE
    from malaria_exp.sweeps.search.local_study import need_optuna

    config = app.config
    if config.file is None:
        known = ", ".join(sorted(path.as_posix() for path in Path("sweeps").glob("*.yaml"))) or "none here"
        raise ConfigError(f"file: task=sweep needs a sweep's file: file=sweeps/cellnet_bayes.yaml. Files in sweeps/: {known}.")
    found = read_sweep(Path(config.file).expanduser())
    overrides = trial_overrides(app.overrides, found)
    most = trials or found.run_cap
    if config.engine == "local":
        need_optuna()
        if most is None and found.method != "grid":
            raise ConfigError(
                f"{found.path}: run_cap: a {found.method} search has no end of its own. Give task.trials=20, or run_cap in the file."
            )
    check_space(found, overrides)
    settings = {
        "file": str(found.path),
        "hash": hashlib.sha256(found.text.encode()).hexdigest(),
        "engine": config.engine,
        "seed": config.seed,
        "overrides": overrides,
    }
    path = earlier_sweep(app.output_dir, settings) if config.resume else app.output_dir
    with claim_run(path, config_text=app.config_text, overrides=app.overrides, task="sweep", again=config.resume) as folder:
        write_text(folder / FILE, found.text)
        write_json(folder / "sweep.json", settings | {"trials": most})
        count = f"{found.grid_size()} combinations" if found.method == "grid" else f"{most} trials"
        log.info(
            f"sweep     {found.path}: {found.method}, {count}, to {found.metric.goal} {found.metric.column}; engine={config.engine}, agents: {agents}"
        )
        try:
            if config.engine == "local":
                from malaria_exp.sweeps.search.local_engine import run_local_sweep

                run_local_sweep(found, folder.path, agents=agents, trials=most, seed=config.seed)
            else:
                from malaria_exp.sweeps.search.wandb_engine import run_wandb_sweep

                run_wandb_sweep(found, folder.path, agents=agents, count=most, overrides=overrides, project=project, entity=entity)
        except KeyboardInterrupt:
            with suppress(RunFolderError):
                folder.facts |= conclude(found, folder.path, overrides, config.seed)
            log.warning(f"sweep     stopped; the same command with resume=true goes on in {folder.path}")
            raise
        folder.facts |= conclude(found, folder.path, overrides, config.seed)
    objective = folder.facts["objective"]
    return float(objective) if objective is not None else None


def trial_overrides(typed: list[str], sweep: "SweepFile") -> list[str]:
    """Returns the overrides that every trial is given: those the user typed that do not speak of the sweep itself.

    Raises:
        ConfigError: one of them is a parameter of the sweep.
    """
    kept = []
    varied = {parameter.name for parameter in sweep.parameters}
    for override in typed:
        key = override.partition("=")[0].lstrip("+~")
        if key.partition(".")[0].partition("/")[0] in OWN_KEYS:
            continue
        if key in varied:
            raise ConfigError(f"{key}: received {override}, but {sweep.path} says how it varies. Leave one of them out.")
        kept.append(override)
    return kept


def check_space(sweep: "SweepFile", overrides: list[str]) -> None:
    """Composes what trials will be given, so that an unknown key or a value of a wrong type is told before the first one.

    Every value that the file lists is composed once, with the others at their first.

    Raises:
        ConfigError: something cannot be composed or is refused by its component.
    """
    from hydra import compose
    from hydra.core.global_hydra import GlobalHydra
    from omegaconf import OmegaConf

    from malaria_exp.config.app import CONF
    from malaria_exp.config.composition_errors import explain, from_composing
    from malaria_exp.config.run_config import Config
    from malaria_exp.sweeps.search.arguments import to_overrides

    if Path(sweep.program).name != "run.py" or not GlobalHydra.instance().is_initialized():
        return
    middle = {parameter.name: sample(parameter) for parameter in sweep.parameters}
    points = [middle]
    for parameter in sweep.parameters:
        points += [middle | {parameter.name: value} for value in (parameter.values or ())[1:]]
    for point in points[:MOST_COMPOSED]:
        texts = [*overrides, *to_overrides(point)]
        try:
            composed = compose("config", overrides=texts)
            plain: Any = OmegaConf.to_container(composed, resolve=True)
        except Exception as error:
            if not from_composing(error):
                raise
            raise ConfigError(f"{sweep.path}: {explain(error, texts, CONF)}") from None
        try:
            config = Config.from_plain(plain)
            config.check_components()
        except ConfigError as error:
            raise ConfigError(f"{sweep.path}: {error}") from None
        check_metric(sweep, config)


def check_metric(sweep: "SweepFile", config: "Config") -> None:
    """Raises a ConfigError if no trial's history will have the column that the sweep optimizes."""
    from malaria_exp.evaluation.metrics import METRICS

    columns = ["val_loss", *(f"val_{name}" for name in dict.fromkeys([*METRICS, *(choice.name for choice in config.choices["metric"])]))]
    if sweep.metric.column not in columns:
        raise ConfigError(
            f"{sweep.path}: metric.name: no trial has a column '{sweep.metric.column}'.{did_you_mean(sweep.metric.column, columns)}"
            f" Allowed, with or without epoch/ in front: {', '.join(columns)}; and val_ with any option of the group metric that the trials choose."
        )


def sample(parameter: Any) -> Any:
    """Returns a value of a parameter: the first of a list, the middle of a range."""

    class Middle:
        def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
            return (low * high) ** 0.5 if log else (low + high) / 2

        def suggest_int(self, name: str, low: int, high: int) -> int:
            return (low + high) // 2

        def suggest_categorical(self, name: str, choices: list[Any]) -> Any:
            return choices[0]

    return parameter.draw(Middle())


def earlier_sweep(folder: Path, settings: dict[str, Any]) -> Path:
    """Returns the folder of the newest sweep of the same file, engine, seed and overrides, which goes on.

    Args:
        folder: where this one would be; one that is named by hydra.run.dir and holds a sweep is itself meant.
        settings: of this sweep.

    Raises:
        RunFolderError: there is none, or the folder holds another sweep.
    """

    def read(path: Path) -> dict[str, Any] | None:
        try:
            content = json.loads((path / "sweep.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return {key: content.get(key) for key in settings}

    mine = read(folder)
    if mine is not None:
        different = [key for key in settings if mine[key] != settings[key] and key != "file"]
        if different:
            raise RunFolderError(
                f"resume: '{folder}' holds a sweep of another {', '.join(different)}. Repeat the command it was begun with."
            )
        return folder
    others = sorted(path.parent for path in folder.parent.glob("*/sweep.json"))
    same = [path for path in others if {**(read(path) or {}), "file": ""} == {**settings, "file": ""}]
    if not same:
        near = did_you_mean(folder.name, [path.name for path in others])
        raise RunFolderError(
            f"resume: no earlier sweep of this file, engine, seed and overrides in '{folder.parent}'.{near} Leave resume=true out to begin one."
        )
    # Hydra made it for this run.
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
    return max(same, key=lambda path: (path / "sweep.json").stat().st_mtime)
