"""A sweep's file, in the format of `wandb sweep`, read and checked before the first job."""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from math import prod
from pathlib import Path
from typing import Any, Literal

import yaml

from malaria_exp.config.app import HOME
from malaria_exp.evaluation.metrics import direction
from malaria_exp.sweeps.search.distributions import Parameter
from malaria_exp.sweeps.search.early_termination import EarlyTerminate, read_early_terminate, whole_number
from malaria_exp.sweeps.search.space import read_parameters
from malaria_exp.sweeps.search.trial_command import filled_command, read_command
from malaria_exp.utils.errors import ConfigError, did_you_mean

Method = Literal["grid", "random", "bayes"]
Goal = Literal["maximize", "minimize"]
METHODS = ("grid", "random", "bayes")
# See https://docs.wandb.ai/guides/sweeps/sweep-config-keys
# The sweep files that come with the project.
PACKAGED = HOME / "sweeps"
KEYS = ("program", "method", "parameters", "metric", "command", "run_cap", "early_terminate", "name", "description", "project", "entity")
# As W&B's server takes them.
NAME = r"[A-Za-z_][A-Za-z0-9_.-]*"


@dataclass(frozen=True)
class Metric:
    """What the sweep optimizes: a column of history.csv, at its best epoch, and whether more is better."""

    name: str
    goal: Goal

    @property
    def column(self) -> str:
        """The column of history.csv; logger=wandb writes it under epoch/."""
        return self.name.removeprefix("epoch/")

    def better(self, one: float, other: float) -> bool:
        """Tells whether one value is better than another."""
        return one > other if self.goal == "maximize" else one < other


@dataclass(frozen=True)
class SweepFile:
    """A sweep's file that was checked.

    Attributes:
        path: of the file.
        text: as it stands there.
        raw: its content.
        method: grid, random or bayes.
        metric: what is optimized; of a grid it may be missing from the file and is val_auc then.
        parameters: what varies, and what is constant.
        command: of a trial, with macros; the usual one if the file has none.
        program: what the macro ${program} stands for.
        run_cap: at most so many trials; None for as many as a grid has, or no end.
        early_terminate: when trials that do badly are pruned; None for never.
    """

    path: Path
    text: str
    raw: dict[str, Any]
    method: Method
    metric: Metric
    parameters: tuple[Parameter, ...]
    command: tuple[str, ...]
    program: str
    run_cap: int | None
    early_terminate: EarlyTerminate | None

    @property
    def varied(self) -> list[Parameter]:
        """The parameters that are not constant."""
        return [parameter for parameter in self.parameters if parameter.distribution != "constant"]

    def grid_size(self) -> int:
        """Returns the number of combinations of a grid."""
        return prod(len(parameter.values or ()) for parameter in self.parameters)

    def grid(self) -> list[dict[str, Any]]:
        """Returns every combination of a grid; the last parameter varies fastest."""
        names = [parameter.name for parameter in self.parameters]
        return [dict(zip(names, values, strict=True)) for values in product(*(parameter.values or () for parameter in self.parameters))]

    def command_of(self, overrides: list[str]) -> list[str]:
        """Returns the command of a trial on this machine.

        Raises:
            ConfigError: an environment variable that the command names is not set.
        """
        return filled_command(self.path, self.command, self.program, overrides)


def read_sweep(path: Path) -> SweepFile:
    """Reads a sweep's file and checks all of it.

    Raises:
        ConfigError: the file is missing or no YAML, or something in it is wrong.
    """
    if not path.exists() and path.parts[:1] == (PACKAGED.name,) and (PACKAGED / path.name).exists():
        # The project's own files are found from any folder, also where the package was installed from a wheel.
        path = PACKAGED / path.name
    try:
        text = path.read_text(encoding="utf-8")
        raw = yaml.safe_load(text)
    except FileNotFoundError:
        near = sorted(item.name for item in path.parent.glob("*.y*ml")) if path.parent.is_dir() else []
        files = f" Files there: {', '.join(near)}." if near else ""
        raise ConfigError(f"file: '{path}' does not exist.{did_you_mean(path.name, near)}{files}") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"file: '{path}' cannot be read: {' '.join(str(error).split())}.") from None
    if not isinstance(raw, Mapping):
        raise ConfigError(f"{path}: expected a sweep in W&B's format, with {', '.join(KEYS[:4])}; received {type(raw).__name__}.")
    for key in raw:
        if key not in KEYS:
            raise ConfigError(f"{path}: unknown key '{key}'.{did_you_mean(str(key), KEYS)} Keys: {', '.join(KEYS)}.")
    method = raw.get("method")
    if method not in METHODS:
        raise ConfigError(f"{path}: method: expected one of {', '.join(METHODS)}, received {method!r}.{did_you_mean(str(method), METHODS)}")
    parameters = read_parameters(str(path), raw.get("parameters"))
    for parameter in parameters:
        if not re.fullmatch(NAME, parameter.name):
            raise ConfigError(f"{path}: parameters.{parameter.name}: no key of a configuration: letters, digits, _, - and dots.")
        if method == "grid" and parameter.values is None:
            raise ConfigError(
                f"{path}: parameters.{parameter.name}: a grid needs values one by one (values: [...]); received {parameter.words}."
                " Use method: random, or bayes."
            )
    metric = _read_metric(path, raw.get("metric"), method)
    return SweepFile(
        path=path,
        text=text,
        raw=dict(raw),
        method=method,
        metric=metric,
        parameters=tuple(parameters),
        command=read_command(path, raw.get("command")),
        program=_read_program(path, raw.get("program")),
        run_cap=whole_number(f"{path}: run_cap", raw.get("run_cap")),
        early_terminate=read_early_terminate(path, raw.get("early_terminate")),
    )


def _read_metric(path: Path, node: Any, method: Method) -> Metric:
    if node is None and method != "bayes":
        return Metric("epoch/val_auc", "maximize")
    if not isinstance(node, Mapping) or not isinstance(node.get("name"), str):
        raise ConfigError(f"{path}: metric: expected {{name: epoch/val_auc, goal: maximize}}, received {node!r}.")
    for key in node:
        if key not in ("name", "goal"):
            raise ConfigError(f"{path}: metric: unknown key '{key}'.{did_you_mean(str(key), ('name', 'goal'))} Keys: name, goal.")
    name = node["name"]
    column = name.removeprefix("epoch/")
    if not column.startswith("val_"):
        raise ConfigError(
            f"{path}: metric.name: expected a metric of the validation cells, such as epoch/val_auc or epoch/val_loss, received '{name}'. The test"
            " cells stay sealed until a model is chosen, and the training cells say nothing about new patients."
        )
    known: Goal | None = None
    # Of a metric of the user's own the file alone knows the direction.
    with suppress(ConfigError):
        known = "maximize" if direction(column) == "max" else "minimize"
    goal = node.get("goal", "minimize")
    if goal not in ("maximize", "minimize"):
        raise ConfigError(f"{path}: metric.goal: expected maximize or minimize, received {goal!r}.")
    if known and goal != known:
        excluded = "" if "goal" in node else " (W&B's, where the file says nothing)"
        raise ConfigError(f"{path}: metric.goal: received {goal}{excluded}, but of {column} the best is the one to {known}: goal: {known}.")
    return Metric(name, goal)


def _read_program(path: Path, program: Any) -> str:
    if not isinstance(program, str):
        raise ConfigError(f"{path}: program: expected the program that is run, program: run.py; received {program!r}.")
    return program
