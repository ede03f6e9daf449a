"""What a sweep varies: W&B's distributions, and how a value is drawn from each.

Names and meanings are those of https://docs.wandb.ai/guides/sweeps/sweep-config-keys
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from malaria_exp.utils.errors import ConfigError, did_you_mean

Axis = str
# Quantiles are drawn this far from 0 and 1, where those of a normal distribution are infinite.
EDGE = 1e-6


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
        words: the distribution for people.
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


def read_parameters(where: str, node: Any, prefix: str = "") -> list[Parameter]:
    """Returns the parameters of a sweep file, nested ones by their dotted names, in the file's order.

    Args:
        where: the file, for messages.
        node: what stands under `parameters`.
        prefix: the name it is nested in, with a dot at its end.

    Raises:
        ConfigError: an unknown key or distribution, or a value out of its range.
    """
    path = f"{where}: parameters{'.' + prefix[:-1] if prefix else ''}"
    if not isinstance(node, Mapping) or not node:
        raise ConfigError(f"{path}: expected a section that names what the sweep varies, received {node!r}.")
    found: list[Parameter] = []
    for key, given in node.items():
        name = f"{prefix}{key}"
        if not isinstance(given, Mapping):
            raise ConfigError(
                f"{where}: parameters.{name}: expected a section such as {{values: [1, 2]}} or {{min: 0, max: 1}}, received {given!r}."
                " A fixed value is written {value: ...}."
            )
        if "parameters" in given:
            if len(given) > 1:
                others = ", ".join(other for other in given if other != "parameters")
                raise ConfigError(f"{where}: parameters.{name}: one with nested parameters has no other keys; received also {others}.")
            found += read_parameters(where, given["parameters"], f"{name}.")
        else:
            found.append(_read(f"{where}: parameters.{name}", name, given))
    names = [parameter.name for parameter in found]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"{where}: parameters.{name}: stands there twice, once nested and once with dots.")
    return found


def _read(path: str, name: str, given: Mapping[str, Any]) -> Parameter:
    kind = _distribution(path, given)
    required, optional = KEYS[kind]
    for key in given:
        if key not in ("distribution", *required, *optional):
            allowed = ["distribution", *required, *optional]
            raise ConfigError(
                f"{path}: unknown key '{key}' of the distribution {kind}.{did_you_mean(key, allowed)} Keys: {', '.join(allowed)}."
            )
    for key in required:
        if key not in given:
            raise ConfigError(f"{path}: the distribution {kind} needs '{key}'. It needs: {', '.join(required)}.")
    if kind == "constant":
        value = given["value"]
        return Parameter(name, kind, "category", lambda _: value, (value,), f"always {text_of(value)}")
    if kind.startswith("categorical"):
        return _categorical(path, name, kind, given)
    numbers = {key: _number(f"{path}.{key}", given.get(key, optional.get(key))) for key in (*required, *optional)}
    return _ranged(path, name, kind, numbers, whole=isinstance(given.get("q", optional.get("q")), int))


def _distribution(path: str, given: Mapping[str, Any]) -> str:
    """Returns the distribution's name; where the file leaves it out, what W&B takes."""
    if "distribution" in given:
        kind = given["distribution"]
        if kind not in KEYS:
            raise ConfigError(
                f"{path}.distribution: unknown distribution {kind!r}.{did_you_mean(str(kind), KEYS)} Distributions: {', '.join(KEYS)}."
            )
        return str(kind)
    if "value" in given:
        return "constant"
    if "values" in given:
        return "categorical_w_probabilities" if "probabilities" in given else "categorical"
    if "min" in given and "max" in given:
        whole = all(isinstance(given[key], int) and not isinstance(given[key], bool) for key in ("min", "max"))
        return "int_uniform" if whole else "uniform"
    raise ConfigError(
        f"{path}: expected value, values, or min and max, or a distribution; received {', '.join(map(str, given)) or 'nothing'}."
        f" Distributions: {', '.join(KEYS)}."
    )


def _categorical(path: str, name: str, kind: str, given: Mapping[str, Any]) -> Parameter:
    values = given["values"]
    if not isinstance(values, list) or not values:
        raise ConfigError(f"{path}.values: expected a list with at least one value, received {values!r}.")
    # Optuna keeps text and numbers; a value may be a list or a section too.
    texts = [json.dumps(value) for value in values]
    if len(set(texts)) < len(texts):
        raise ConfigError(f"{path}.values: the same value stands there twice: {values!r}.")
    words = f"one of {', '.join(map(text_of, values))}"
    if kind == "categorical":
        return Parameter(name, kind, "category", lambda trial: json.loads(trial.suggest_categorical(name, texts)), tuple(values), words)
    shares = given["probabilities"]
    if not isinstance(shares, list) or len(shares) != len(values):
        raise ConfigError(f"{path}.probabilities: expected a number for each of the {len(values)} values, received {shares!r}.")
    numbers = [_number(f"{path}.probabilities", share) for share in shares]
    if min(numbers) < 0 or not math.isclose(sum(numbers), 1, abs_tol=1e-6):
        raise ConfigError(f"{path}.probabilities: expected numbers from 0 that add up to 1, received {shares!r}.")
    # One of probability 0 is never drawn, not even at an edge.
    kept = [(value, share) for value, share in zip(values, numbers, strict=True) if share > 0]
    edges = np.cumsum([share for _, share in kept])[:-1]

    def draw(trial: Draws) -> Any:
        return kept[int(np.searchsorted(edges, trial.suggest_float(name, 0.0, 1.0), side="right"))][0]

    shown = ", ".join(f"{text_of(value)} ({share:g})" for value, share in zip(values, numbers, strict=True))
    return Parameter(name, kind, "category", draw, tuple(values), f"one of {shown}")


def _ranged(path: str, name: str, kind: str, numbers: dict[str, float], *, whole: bool) -> Parameter:
    """Returns a parameter over a range; `whole` says that the step of a quantized one is, so its values are."""
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


def _number(path: str, value: Any) -> float:
    hint = " YAML's numbers need a point before the exponent: 1.0e-4." if isinstance(value, str) else ""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigError(f"{path}: expected a number, received {value!r}.{hint}")
    return float(value)


def text_of(value: Any) -> str:
    """Returns a value as it is shown: text as it is, numbers in at most four digits, all else as JSON."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value)
