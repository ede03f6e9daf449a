"""early_terminate of a sweep's file: after which epochs the worse trials are pruned."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from malaria_exp.utils.errors import ConfigError, did_you_mean

KEYS = ("type", "min_iter", "max_iter", "s", "eta")


@dataclass(frozen=True)
class EarlyTerminate:
    """Hyperband as W&B means it: at each of some epochs only the best 1/eta of the trials go on.

    Attributes:
        first: the first of these epochs; each next one is `eta` times as late.
        eta: see above.
        last: no trial is pruned after this epoch; None for no such.
    """

    first: int
    eta: int
    last: int | None = None


def read_early_terminate(path: Path, node: Any) -> EarlyTerminate | None:
    """Returns when trials are pruned, at the epochs that W&B computes from the same keys; None for never.

    Args:
        path: of the sweep's file.
        node: what stands there.

    Raises:
        ConfigError: it is no such section.
    """
    if node is None:
        return None
    if not isinstance(node, Mapping) or node.get("type") != "hyperband":
        raise ConfigError(f"{path}: early_terminate: expected {{type: hyperband, min_iter: 2, eta: 2}}, received {node!r}.")
    for key in node:
        if key not in KEYS:
            raise ConfigError(f"{path}: early_terminate: unknown key '{key}'.{did_you_mean(str(key), KEYS)} Keys: {', '.join(KEYS)}.")
    where = f"{path}: early_terminate."
    eta = whole_number(f"{where}eta", node.get("eta", 3)) or 3
    if eta < 2:
        raise ConfigError(f"{where}eta: expected a whole number from 2, received {eta}.")
    if ("min_iter" in node) == ("max_iter" in node):
        raise ConfigError(f"{path}: early_terminate: expected min_iter, or max_iter with s; received {', '.join(node)}.")
    if "min_iter" in node:
        return EarlyTerminate(whole_number(f"{where}min_iter", node["min_iter"]) or 1, eta)
    last, s = whole_number(f"{where}max_iter", node["max_iter"]), whole_number(f"{where}s", node.get("s"))
    if last is None or s is None or last // eta < 1:
        raise ConfigError(
            f"{path}: early_terminate: expected max_iter of at least eta, and s, the number of times trials are pruned; received {dict(node)!r}."
        )
    first = last
    for _ in range(s):
        if first // eta < 1:
            break
        first //= eta
    return EarlyTerminate(first, eta, last)


def whole_number(path: str, value: Any) -> int | None:
    """Returns a whole number from 1, or None for None; `path` is for the message of the ConfigError that anything else raises."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(f"{path}: expected a whole number from 1, received {value!r}.")
    return value
