"""Averaged weights (EMA): they are validated, kept and saved, while training continues with the raw weights.

Polyak and Juditsky 1992, doi:10.1137/0330046. The optimizer keeps the averages; the statistics of batch normalizations, which
are running averages already, stay as they are.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras


@contextmanager
def averaged_weights(model: "keras.Model") -> Iterator[None]:
    """Gives a compiled model its optimizer's averaged weights inside the block; without ema=... it changes nothing."""
    # In float16 another optimizer, which scales the loss, wraps it.
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    if not optimizer.use_ema:
        yield
        return
    variables = model.trainable_variables
    raw = [variable.numpy() for variable in variables]
    optimizer.finalize_variable_values(variables)
    try:
        yield
    finally:
        for variable, value in zip(variables, raw, strict=True):
            variable.assign(value)
