"""The precision of the computation: which one trains fastest is measured once on a machine and remembered."""

import gc
import hashlib
import json
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from filelock import FileLock

from malaria_exp.utils.atomic_files import write_json
from malaria_exp.utils.machine import machine
from malaria_exp.utils.terminal_log import log

if TYPE_CHECKING:
    import keras

Precision = Literal["auto", "float32", "bfloat16", "float16"]
POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}
# A lower precision must be clearly faster, so that noise does not decide.
WORTH_IT = 1.1
TIMED_STEPS, ROUNDS = 4, 3
# Times slower than the fastest; such a precision is not measured further.
HOPELESS = 3.0


def set_precision(precision: str) -> None:
    """Makes models built from now on compute in this precision; their weights stay float32."""
    import keras

    keras.config.set_dtype_policy(POLICIES[precision])


def choose_precision(
    compiled: Callable[[], "keras.Model"], batch: Callable[[], tuple[np.ndarray, ...]], *, identity: str, root: Path
) -> str:
    """Returns "float32" or the faster lower precision for this model on this machine.

    Args:
        compiled: builds and compiles the model in the precision that is set.
        batch: makes the images and labels to measure with; called only if there is something to measure.
        identity: what the measurement depends on besides the machine: model, parameters, batch size.
        root: the cache folder, where the result is kept for later runs.
    """
    import tensorflow as tf

    facts = machine()
    key = hashlib.sha256(
        json.dumps([identity, facts["processor"], facts["cores"], facts.get("gpus"), tf.__version__]).encode()
    ).hexdigest()[:20]
    path = root / f"precision-{key}.json"
    if known := _remembered(path):
        return known
    root.mkdir(parents=True, exist_ok=True)
    # Runs that start together measure once: two measurements may choose differently, and equal seeds would give different results.
    with FileLock(root / f".precision-{key}.lock"):
        if known := _remembered(path):
            return known
        candidates = ["float32", "bfloat16"] + (["float16"] if facts.get("gpus") else [])
        seconds = _measure(candidates, compiled, batch())
        fastest = min(seconds, key=lambda name: seconds[name])
        chosen = fastest if seconds[fastest] * WORTH_IT < seconds["float32"] else "float32"
        times = ", ".join(f"{name} {1000 * value:.0f} ms" for name, value in seconds.items())
        log.info(f"precision {chosen} (a step takes {times} here; measured once, remembered in {path})")
        write_json(path, {"precision": chosen, "step_seconds": seconds, "machine": facts, "identity": identity})
    return chosen


def measured(root: Path) -> list[dict[str, Any]]:
    """Returns what was measured and remembered in a cache folder: "precision", "step_seconds", "machine" and "identity" of each model."""
    found = []
    for path in sorted(root.glob("precision-*.json")):
        with suppress(OSError, ValueError):
            found.append(json.loads(path.read_text(encoding="utf-8")))
    return [item for item in found if isinstance(item, dict) and item.get("precision") in POLICIES]


def _remembered(path: Path) -> str | None:
    """Returns the precision that was measured before; None if none was, or the file is damaged."""
    try:
        precision = json.loads(path.read_text(encoding="utf-8"))["precision"]
        return precision if precision in POLICIES else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _measure(candidates: list[str], compiled: Callable[[], "keras.Model"], batch: tuple[np.ndarray, ...]) -> dict[str, float]:
    """Returns the shortest step of each precision, in seconds; the precisions take turns, so that drift affects all alike.

    One that is far slower in its first steps is not measured further: a CPU that computes bfloat16 in software takes ten times as long.
    """
    models, seconds = {}, {}
    for name in candidates:
        set_precision(name)
        models[name] = compiled()
        # The first step traces.
        models[name].train_on_batch(*batch)
        start = time.perf_counter()
        models[name].train_on_batch(*batch)
        seconds[name] = time.perf_counter() - start
    for name in candidates:
        if seconds[name] > HOPELESS * min(seconds.values()):
            del models[name]
    for _ in range(ROUNDS):
        for name, model in models.items():
            start = time.perf_counter()
            for _ in range(TIMED_STEPS):
                model.train_on_batch(*batch)
            seconds[name] = min(seconds[name], (time.perf_counter() - start) / TIMED_STEPS)
    del models
    gc.collect()
    return seconds
