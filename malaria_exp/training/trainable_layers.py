"""Which layers are trained: patterns on their names, checked before anything is trained."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from malaria_exp.utils.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    import keras


def layers_of(model: "keras.Model") -> list["keras.Layer"]:
    """Returns the model's layers, with each inner model replaced by its own layers."""
    import keras

    found: list[keras.Layer] = []
    for layer in model.layers:
        found.extend(layers_of(layer) if isinstance(layer, keras.Model) else [layer])
    return found


def set_trainable(model: "keras.Model", patterns: Sequence[str] | None, *, freeze_norms: bool, path: str) -> None:
    """Trains the layers whose names match, and no others.

    Args:
        model: the whole model.
        patterns: names, or patterns with * and ?; None leaves the layers as they are.
        freeze_norms: batch normalizations do not train, and use the statistics they have.
        path: where the patterns stand in the config.

    Raises:
        ConfigError: a pattern matches no layer, or nothing is left to train.
    """
    import keras

    layers = layers_of(model)
    names = [layer.name for layer in layers]
    if patterns is not None:
        for pattern in patterns:
            if not any(fnmatchcase(name, pattern) for name in names):
                raise ConfigError(
                    f"{path}: no layer '{pattern}' in model '{model.name}'.{did_you_mean(pattern, names)} Layers with weights:"
                    f" {_abridged([layer.name for layer in layers if layer.weights])}. Patterns with * are allowed: 'block_16*', '*' for all."
                )
        for layer in layers:
            layer.trainable = any(fnmatchcase(layer.name, pattern) for pattern in patterns)
    if freeze_norms:
        for layer in layers:
            for part in layer._flatten_layers():
                if isinstance(part, keras.layers.BatchNormalization):
                    part.trainable = False
    if patterns is not None and not model.trainable_variables:
        raise ConfigError(f"{path}: nothing is left to train: {list(patterns)} match no layer with trainable weights.")


def _abridged(names: list[str]) -> str:
    """Returns the names in a line; of more than 24, the first and the last."""
    shown = names if len(names) <= 24 else [*names[:8], "...", *names[-15:]]
    return ", ".join(shown)
