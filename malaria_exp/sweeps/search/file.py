"""A sweep's file, in the format of `wandb sweep`, read and checked before the first job."""

import os
import re
import shlex
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from math import prod
from pathlib import Path
from typing import Any, Literal

import yaml

from malaria_exp.evaluation.metrics import direction
from malaria_exp.sweeps.search.space import Parameter, read_parameters
from malaria_exp.utils.errors import ConfigError, did_you_mean

Method = Literal["grid", "random", "bayes"]
Goal = Literal["maximize", "minimize"]
METHODS = ("grid", "random", "bayes")
# See https://docs.wandb.ai/guides/sweeps/sweep-config-keys
KEYS = ("program", "method", "parameters", "metric", "command", "run_cap", "early_terminate", "name", "description", "project", "entity")
# As W&B's server takes them.
NAME = r"[A-Za-z_][A-Za-z0-9_.-]*"
MACRO = re.compile(r"\$\{(\w+)(?::(\w+))?\}")
# ${args} and its like are flags, --key=value, which Hydra does not read.
MACROS = ("env", "interpreter", "program", "args_no_hyphens", "envvar:NAME")
ARGUMENTS = "${args_no_hyphens}"


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
class EarlyTerminate:
    """Hyperband as W&B means it: at each of some epochs only the best 1/eta of the trials go on.

    Attributes:
        first: the first of these epochs; each next one is `eta` times as late.
        eta: see above.
        last: no trial is ended after this epoch; None for no such.
    """

    first: int
    eta: int
    last: int | None = None


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
        command: of a trial, with macros.
        program: what the macro ${program} stands for.
        run_cap: at most so many trials; None for as many as a grid has, or no end.
        early_terminate: when trials that do badly are ended; None for never.
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
        """Returns the command of a trial on this machine, with the macros filled in.

        Raises:
            ConfigError: an environment variable that the command names is not set.
        """
        filled: list[str] = []
        for part in self.command:
            if part == "${env}":
                # /usr/bin/env sets nothing here, and only some systems have it.
                continue
            filled += overrides if part == ARGUMENTS else [MACRO.sub(self._macro, part)]
        return filled

    def _macro(self, found: "re.Match[str]") -> str:
        if found[1] == "envvar":
            value = os.environ.get(found[2])
            if value is None:
                raise ConfigError(f"{self.path}: command: the environment variable {found[2]} is not set.")
            return value
        return {"interpreter": sys.executable, "program": self.program}[found[1]]


def read_sweep(path: Path) -> SweepFile:
    """Reads a sweep's file and checks all of it.

    Raises:
        ConfigError: the file is missing or no YAML, or something in it is wrong.
    """
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
        command=_read_command(path, raw.get("command")),
        program=_read_program(path, raw.get("program")),
        run_cap=_whole(f"{path}: run_cap", raw.get("run_cap")),
        early_terminate=_read_early_terminate(path, raw.get("early_terminate")),
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


def _read_command(path: Path, command: Any) -> tuple[str, ...]:
    default = f"[${{env}}, ${{interpreter}}, ${{program}}, {ARGUMENTS}]"
    if not isinstance(command, list) or not command:
        raise ConfigError(
            f"{path}: command: expected a list such as {default}, received {command!r}."
            " Without it W&B's agents would give --seed=1, which Hydra does not read."
        )
    parts = [str(part) for part in command]
    for part in parts:
        for found in MACRO.finditer(part):
            known = bool(found[2]) if found[1] == "envvar" else found[1] in MACROS and not found[2]
            if not known or (found[1] in ("args_no_hyphens", "env") and found[0] != part):
                raise ConfigError(
                    f"{path}: command: '{part}' cannot be used here.{did_you_mean(found[1], MACROS)} Macros: {', '.join(f'${{{name}}}' for name in MACROS)}."
                )
    if ARGUMENTS not in parts:
        raise ConfigError(f"{path}: command: lacks {ARGUMENTS}, which stands for the trial's overrides. A usual command: {default}")
    return tuple(parts)


def _read_early_terminate(path: Path, node: Any) -> EarlyTerminate | None:
    """Returns when trials are ended; the epochs are those that W&B computes from the same keys."""
    if node is None:
        return None
    keys = ("type", "min_iter", "max_iter", "s", "eta")
    if not isinstance(node, Mapping) or node.get("type") != "hyperband":
        raise ConfigError(f"{path}: early_terminate: expected {{type: hyperband, min_iter: 2, eta: 2}}, received {node!r}.")
    for key in node:
        if key not in keys:
            raise ConfigError(f"{path}: early_terminate: unknown key '{key}'.{did_you_mean(str(key), keys)} Keys: {', '.join(keys)}.")
    where = f"{path}: early_terminate."
    eta = _whole(f"{where}eta", node.get("eta", 3)) or 3
    if eta < 2:
        raise ConfigError(f"{where}eta: expected a whole number from 2, received {eta}.")
    if ("min_iter" in node) == ("max_iter" in node):
        raise ConfigError(f"{path}: early_terminate: expected min_iter, or max_iter with s; received {', '.join(node)}.")
    if "min_iter" in node:
        return EarlyTerminate(_whole(f"{where}min_iter", node["min_iter"]) or 1, eta)
    last, s = _whole(f"{where}max_iter", node["max_iter"]), _whole(f"{where}s", node.get("s"))
    if last is None or s is None or last // eta < 1:
        raise ConfigError(
            f"{path}: early_terminate: expected max_iter of at least eta, and s, the number of times trials are ended; received {dict(node)!r}."
        )
    first = last
    for _ in range(s):
        if first // eta < 1:
            break
        first //= eta
    return EarlyTerminate(first, eta, last)


def _whole(path: str, value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(f"{path}: expected a whole number from 1, received {value!r}.")
    return value


def shown_command(parts: list[str]) -> str:
    """Returns a command as it is typed in a shell."""
    return shlex.join(parts)
