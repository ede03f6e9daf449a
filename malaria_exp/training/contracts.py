"""What each group's builder must return: the project's own components are tested, a plugin's are checked here, once, before training."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from malaria_exp.data.augmentation_chain import Copies, Until
from malaria_exp.data.sampling import Sampling
from malaria_exp.evaluation.thresholds import Threshold, ThresholdRule
from malaria_exp.utils.errors import ConfigError

# Cells of the loss' trial: both classes, three, so that no other shape is mistaken for one value a cell.
TRIAL_LABELS = (0.0, 1.0, 1.0)
DIRECTIONS = ("max", "min", None)


def checked(group: str, name: str, built: Any) -> Any:
    """Returns what the builder of an option has built.

    Raises:
        ConfigError: it is not what the group's components are; the message says what is expected.
    """
    if group in CONTRACTS:
        words, problem = CONTRACTS[group]
        if found := problem(built):
            raise ConfigError(f"{group}: '{name}' built {found}; expected {words}.")
    return built


def _instance_of(*path: str) -> Callable[[Any], str | None]:
    """Returns a check for a class of Keras, which is imported when it is called."""

    def problem(built: Any) -> str | None:
        import keras

        kind: Any = keras
        for part in path:
            kind = getattr(kind, part)
        return None if isinstance(built, kind) else _shown(built)

    return problem


def _shown(built: Any) -> str:
    return f"{str(built)[:80]!r} ({type(built).__name__})"


def _loss(built: Any) -> str | None:
    found = _instance_of("losses", "Loss")(built)
    if found:
        return found
    import keras

    # One value a cell is what sampling weighs and chooses by; a scalar would train as if all cells weighed the same.
    labels = np.array(TRIAL_LABELS, np.float32)[:, None]
    try:
        values = keras.ops.convert_to_numpy(built.call(keras.ops.convert_to_tensor(labels), keras.ops.zeros(labels.shape)))
    except Exception as error:  # noqa: BLE001 - a plugin's loss may raise anything
        return f"a loss that fails on {len(labels)} cells ({type(error).__name__}: {' '.join(str(error).split())[:200]})"
    if values.shape != (len(labels),):
        return f"a loss that gives values of shape {values.shape} for {len(labels)} cells"
    return None if np.isfinite(values).all() else f"a loss that is not finite for logits of 0: {values.tolist()}"


def _model(built: Any) -> str | None:
    if _instance_of("Model")(built):
        return f"{built!r} ({type(built).__name__})"
    shape = getattr(built, "output_shape", None)
    return f"a model with outputs of shape {shape}" if isinstance(shape, tuple) and shape[1:] != (1,) else None


def _metric(built: Any) -> str | None:
    found = _instance_of("metrics", "Metric")(built)
    direction = getattr(built, "direction", None)
    return found or (None if direction in DIRECTIONS else f"a metric whose direction is {direction!r}")


def _augmentation(built: Any) -> str | None:
    parts = [built.augment] if isinstance(built, Until) else built.augments if isinstance(built, Copies) else [built]
    return next((_shown(part) for part in parts if not callable(part)), None)


# What a group's components are, in words, and the check: None, or in words what was built instead.
CONTRACTS: Mapping[str, tuple[str, Callable[[Any], str | None]]] = {
    "model": ("a Keras model that gives logits, (B, 1)", _model),
    "loss": ("a Keras loss of labels (B, 1) and logits (B, 1) whose `call` gives one finite value a cell, (B,)", _loss),
    "metric": ('a Keras metric; its `direction` is "max", "min" or None', _metric),
    "optimizer": ("a Keras optimizer", _instance_of("optimizers", "Optimizer")),
    "callback": ("a Keras callback", _instance_of("callbacks", "Callback")),
    "schedule": ("a function from the step to the learning-rate multiplier", lambda built: None if callable(built) else _shown(built)),
    "sampling": ("a Sampling of malaria_exp.data.sampling", lambda built: None if isinstance(built, Sampling) else _shown(built)),
    "aug": ("a function of (images, labels, seed), or Until or Copies of such", _augmentation),
    "calibration": (
        "a function of logits (N,) and labels (N,) that returns a LogitMap",
        lambda built: None if callable(built) else _shown(built),
    ),
    "ood": (
        "a function of features (N, K) and a generator of random numbers that returns points (M, K)",
        lambda built: None if callable(built) else _shown(built),
    ),
    "threshold": ("a ThresholdRule or a Threshold", lambda built: None if isinstance(built, ThresholdRule | Threshold) else _shown(built)),
    "interval": (
        "a function with `words`, see IntervalMethod",
        lambda built: None if callable(built) and hasattr(built, "words") else _shown(built),
    ),
    "trainer": ("an object with `settings` and train(parts)", lambda built: None if hasattr(built, "train") else _shown(built)),
}
