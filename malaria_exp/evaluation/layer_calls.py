"""Watching what the layers of a model are called with."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

Call = Callable[..., Any]


@contextmanager
def replaced_calls(model: "keras.Model", replace: "Callable[[keras.Layer, Call], Call]") -> Iterator[None]:
    """Replaces the method `call` of a model and of every layer in it, however deep, inside the block.

    Args:
        model: any model, also a subclassed one.
        replace: takes a layer and its `call`, and returns what is called instead.
    """
    layers = model._flatten_layers()
    # An attribute of the layer itself is found before its class' method: no other model notices.
    methods = {id(layer): vars(layer).get("call") for layer in layers}
    try:
        for layer in layers:
            vars(layer)["call"] = replace(layer, layer.call)
        yield
    finally:
        for layer in layers:
            vars(layer).pop("call", None)
            if methods[id(layer)] is not None:
                vars(layer)["call"] = methods[id(layer)]
