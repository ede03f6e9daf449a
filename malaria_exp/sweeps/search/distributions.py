"""W&B's distributions: how a value is drawn from each, and which numbers each takes."""

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from malaria_exp.utils.errors import ConfigError
from malaria_exp.utils.terminal_log import log

# How values are spread: "linear", "log" or "category".
Axis = str
# Quantiles keep this distance from 0 and 1, where those of a normal distribution are infinite.
EDGE = 1e-6
EXPONENT = re.compile(r"([+-]?\d+)(\.\d*)?[eE]([+-]?)(\d+)")


class Draws(Protocol):
    """The part of an Optuna trial that draws."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """Returns a number between the two."""
        ...

    def suggest_int(self, name: str, low: int, high: int) -> int:
        """Returns a whole number between the two, or one of them."""
        ...

    def suggest_categorical(self, name: str, choices: list[Any]) -> Any:
        """Returns one of the choices."""
        ...


@dataclass(frozen=True)
class Parameter:
    """A key of the configuration that the sweep sets.

    Attributes:
        name: its path in the configuration, such as optimizer.learning_rate.
        distribution: as in W&B.
        axis: how its values are spread: "linear", "log" or "category".
        draw: draws a value for a trial.
        values: all values, if they are given one by one; None for a range.
        words: the distribution in words.
    """

    name: str
    distribution: str
    axis: Axis
    draw: Callable[[Draws], Any]
    values: tuple[Any, ...] | None
    words: str


# Of each distribution: the keys that it must have, and those that it may have with their defaults.
KEYS: dict[str, tuple[tuple[str, ...], dict[str, float]]] = {
    "constant": (("value",), {}),
    "categorical": (("values",), {}),
    "categorical_w_probabilities": (("values", "probabilities"), {}),
    "int_uniform": (("min", "max"), {}),
    "uniform": (("min", "max"), {}),
    "q_uniform": (("min", "max"), {"q": 1}),
    "log_uniform": (("min", "max"), {}),
    "log_uniform_values": (("min", "max"), {}),
    "q_log_uniform": (("min", "max"), {"q": 1}),
    "q_log_uniform_values": (("min", "max"), {"q": 1}),
    "inv_log_uniform": (("min", "max"), {}),
    "inv_log_uniform_values": (("min", "max"), {}),
    "normal": ((), {"mu": 0.0, "sigma": 1.0}),
    "q_normal": ((), {"mu": 0.0, "sigma": 1.0, "q": 1}),
    "log_normal": ((), {"mu": 0.0, "sigma": 1.0}),
    "q_log_normal": ((), {"mu": 0.0, "sigma": 1.0, "q": 1}),
    "beta": ((), {"a": 1.0, "b": 1.0}),
    "q_beta": ((), {"a": 1.0, "b": 1.0, "q": 1}),
}


def categorical(path: str, name: str, kind: str, given: Mapping[str, Any]) -> Parameter:
    """Returns a parameter that takes one of the values given, each as often, or with the probabilities given.

    Args:
        path: in the sweep's file, for messages.
        name: of the parameter.
        kind: its distribution.
        given: what stands in the file.

    Raises:
        ConfigError: the values or the probabilities are none.
    """
    values = given["values"]
    if not isinstance(values, list) or not values:
        raise ConfigError(f"{path}.values: expected a list with at least one value, received {values!r}.")
    # Optuna keeps text and numbers; a value may be a list or a section too.
    texts = [json.dumps(value) for value in values]
    if len(set(texts)) < len(texts):
        raise ConfigError(f"{path}.values: the same value stands there twice: {values!r}.")
    for value in values:
        check_exponent(f"{path}.values", value)
    words = f"one of {', '.join(map(text_of, values))}"
    if kind == "categorical":
        return Parameter(name, kind, "category", lambda trial: json.loads(trial.suggest_categorical(name, texts)), tuple(values), words)
    given_probabilities = given["probabilities"]
    if not isinstance(given_probabilities, list) or len(given_probabilities) != len(values):
        raise ConfigError(
            f"{path}.probabilities: expected a number for each of the {len(values)} values, received {given_probabilities!r}."
        )
    probabilities = [number_of(f"{path}.probabilities", each) for each in given_probabilities]
    if min(probabilities) < 0 or not math.isclose(sum(probabilities), 1, abs_tol=1e-6):
        raise ConfigError(f"{path}.probabilities: expected numbers from 0 that add up to 1, received {given_probabilities!r}.")
    # One of probability 0 is never drawn, not even at an edge.
    kept = [(value, each) for value, each in zip(values, probabilities, strict=True) if each > 0]
    edges = np.cumsum([each for _, each in kept])[:-1]

    def draw(trial: Draws) -> Any:
        return kept[int(np.searchsorted(edges, trial.suggest_float(name, 0.0, 1.0), side="right"))][0]

    shown = ", ".join(f"{text_of(value)} ({each:g})" for value, each in zip(values, probabilities, strict=True))
    return Parameter(name, kind, "category", draw, tuple(values), f"one of {shown}")


def ranged(path: str, name: str, kind: str, numbers: dict[str, float], *, whole: bool) -> Parameter:
    """Returns a parameter over a range.

    Args:
        path: in the sweep's file, for messages.
        name: of the parameter.
        kind: its distribution.
        numbers: of the distribution, by their keys.
        whole: whether the step of a quantized parameter is a whole number; then its values are, too.

    Raises:
        ConfigError: a number is out of its range.
    """
    base = kind.removeprefix("q_")
    step = numbers.get("q")
    if step is not None and step <= 0:
        raise ConfigError(f"{path}.q: expected a number > 0, received {step:g}.")
    draw, axis, words = _base(path, name, base, numbers)
    if step is None:
        return Parameter(name, kind, axis, draw, None, words)
    digits = max(0, 12 - math.floor(math.log10(step)))

    def quantized(trial: Draws) -> float | int:
        steps = round(draw(trial) / step)
        # 3 * 0.1 is not 0.3, and nobody wants to read the difference.
        return int(steps * step) if whole else round(steps * step, digits)

    return Parameter(name, kind, axis, quantized, None, f"{words}, in steps of {step:g}")


def _base(path: str, name: str, kind: str, numbers: dict[str, float]) -> tuple[Callable[[Draws], Any], Axis, str]:
    """Returns how values are drawn, how they are spread, and the words of a distribution without a step."""
    if kind in ("normal", "log_normal"):
        mu, sigma = numbers["mu"], numbers["sigma"]
        if sigma <= 0:
            raise ConfigError(f"{path}.sigma: expected a number > 0, received {sigma:g}.")
        words = f"normal({mu:g}, {sigma:g})"
        if kind == "normal":
            return lambda trial: mu + sigma * _probit(trial, name), "linear", words
        return lambda trial: math.exp(mu + sigma * _probit(trial, name)), "log", f"log-{words}"
    if kind == "beta":
        a, b = numbers["a"], numbers["b"]
        if min(a, b) <= 0:
            raise ConfigError(f"{path}: expected a and b > 0, received a={a:g}, b={b:g}.")
        return lambda trial: _beta(trial.suggest_float(name, EDGE, 1 - EDGE), a, b), "linear", f"beta({a:g}, {b:g})"
    low, high = numbers["min"], numbers["max"]
    if not low < high:
        raise ConfigError(f"{path}: expected min < max, received min={low:g}, max={high:g}.")
    if kind == "int_uniform":
        for key in ("min", "max"):
            if not float(numbers[key]).is_integer():
                raise ConfigError(f"{path}.{key}: expected a whole number, received {numbers[key]:g}.")
        return lambda trial: trial.suggest_int(name, int(low), int(high)), "linear", f"whole numbers from {low:g} to {high:g}"
    if kind == "uniform":
        return lambda trial: trial.suggest_float(name, low, high), "linear", f"uniform from {low:g} to {high:g}"
    if not kind.endswith("_values"):
        # W&B's older names: the bounds are natural logarithms.
        if max(abs(low), abs(high)) > 700:
            raise ConfigError(
                f"{path}: the bounds of {kind} are natural logarithms; received {low:g} and {high:g}. Bounds as values: {kind}_values."
            )
        if low >= 0 and kind == "log_uniform":
            log.warning(
                f"sweep     {path}: the bounds of {kind} are natural logarithms: {low:g} and {high:g} mean values from {math.exp(low):.4g} to"
                f" {math.exp(high):.4g}. If {low:g} and {high:g} are the values themselves, write distribution: {kind}_values."
            )
        low, high = (math.exp(low), math.exp(high)) if kind == "log_uniform" else (math.exp(-high), math.exp(-low))
    elif low <= 0:
        raise ConfigError(f"{path}.min: expected a number > 0 for {kind}, received {low:g}.")
    # The inverse of a log-uniform variable is log-uniform itself.
    return lambda trial: trial.suggest_float(name, low, high, log=True), "log", f"log-uniform from {low:.4g} to {high:.4g}"


def _probit(trial: Draws, name: str) -> float:
    from scipy.stats import norm

    return float(norm.ppf(trial.suggest_float(name, EDGE, 1 - EDGE)))


def _beta(quantile: float, a: float, b: float) -> float:
    from scipy.stats import beta

    return float(beta.ppf(quantile, a, b))


def check_exponent(path: str, value: Any) -> None:
    """Raises a ConfigError for a number such as 1e-3, which is text for YAML."""
    if isinstance(value, str) and (found := EXPONENT.fullmatch(value)):
        right = f"{found[1]}{found[2] or '.0'}e{found[3] or '+'}{found[4]}"
        raise ConfigError(
            f"{path}: received '{value}', which is text: YAML's numbers need a point and a sign in front of the exponent: {right}."
        )


def number_of(path: str, value: Any) -> float:
    """Returns a finite number; `path` is for the message of the ConfigError that anything else raises."""
    check_exponent(path, value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigError(f"{path}: expected a number, received {value!r}.")
    return float(value)


def text_of(value: Any) -> str:
    """Returns a value as it is shown: text as it is, numbers in at most four digits, all else as JSON."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value)
