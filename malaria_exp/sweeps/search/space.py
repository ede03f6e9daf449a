"""What a sweep varies: the section `parameters` of its file, read and checked.

Names and meanings are those of https://docs.wandb.ai/guides/sweeps/sweep-config-keys
"""

from collections.abc import Mapping
from typing import Any

from malaria_exp.sweeps.search.distributions import KEYS, Parameter, categorical, check_exponent, number_of, ranged, text_of
from malaria_exp.utils.errors import ConfigError, did_you_mean


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
        check_exponent(f"{path}.value", value)
        return Parameter(name, kind, "category", lambda _: value, (value,), f"always {text_of(value)}")
    if kind.startswith("categorical"):
        return categorical(path, name, kind, given)
    numbers = {key: number_of(f"{path}.{key}", given.get(key, optional.get(key))) for key in (*required, *optional)}
    return ranged(path, name, kind, numbers, whole=isinstance(given.get("q", optional.get("q")), int))


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
