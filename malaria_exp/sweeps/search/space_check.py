"""What is checked before the first trial: that every value of a sweep's file can be composed, and that trials have its metric."""

from pathlib import Path
from typing import Any

from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from malaria_exp.config.app import CONF
from malaria_exp.config.composition_errors import explain, from_composing
from malaria_exp.config.run_config import Config
from malaria_exp.evaluation.metrics import METRICS
from malaria_exp.sweeps.search.arguments import to_overrides
from malaria_exp.sweeps.search.file import SweepFile
from malaria_exp.utils.errors import ConfigError, did_you_mean

# Overrides with these keys are for the sweep itself; every other one that the user types goes to every trial.
OWN_KEYS = ("task", "file", "engine", "resume", "hydra")
# At most so many compositions are checked.
MOST_COMPOSED = 200


def trial_overrides(typed: list[str], sweep: SweepFile) -> list[str]:
    """Returns the overrides that every trial is given: those the user typed, without those for the sweep itself.

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


def check_space(sweep: SweepFile, overrides: list[str]) -> None:
    """Composes what trials will be given, so that an unknown key or a value of a wrong type is told before the first one.

    Every value that the file lists is composed once, with the others at their first; of a range, its middle.

    Raises:
        ConfigError: something cannot be composed or is refused by its component.
    """
    if Path(sweep.program).name != "run.py" or not GlobalHydra.instance().is_initialized():
        return
    middle = {parameter.name: parameter.draw(_Middle()) for parameter in sweep.parameters}
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
        _check_metric(sweep, config)


def _check_metric(sweep: SweepFile, config: Config) -> None:
    """Raises a ConfigError if no trial's history will have the column that the sweep optimizes."""
    columns = ["val_loss", *(f"val_{name}" for name in dict.fromkeys([*METRICS, *(choice.name for choice in config.choices["metric"])]))]
    if sweep.metric.column not in columns:
        raise ConfigError(
            f"{sweep.path}: metric.name: no trial has a column '{sweep.metric.column}'.{did_you_mean(sweep.metric.column, columns)}"
            f" Allowed, with or without epoch/ in front: {', '.join(columns)}; and val_ with any option of the group metric that the trials choose."
        )


class _Middle:
    """Draws the first of a list and the middle of a range."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        return (low * high) ** 0.5 if log else (low + high) / 2

    def suggest_int(self, name: str, low: int, high: int) -> int:
        return (low + high) // 2

    def suggest_categorical(self, name: str, choices: list[Any]) -> Any:
        return choices[0]
