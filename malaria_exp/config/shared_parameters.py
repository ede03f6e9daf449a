"""Parameters that several components of a group have in common: a dataclass says them once for all of their builders."""

import inspect
from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from typing import Any, TypeVar

Result = TypeVar("Result")


def with_parameters(shared: type) -> Callable[[Callable[..., Result]], Callable[..., Result]]:
    """Gives the builder below it the fields of a dataclass as keyword-only parameters, with their help, after its own ones.

        @register("model", "lenet_sequential")
        @with_parameters(LeNetParameters)
        def lenet_sequential(p: LeNetParameters, /) -> "keras.Model":
            '''LeNet by the Sequential API.'''

    Called with keywords, the builder gets an instance of the dataclass as its last positional parameter.

    Args:
        shared: dataclass with kw_only=True; the `Attributes:` section that ends its docstring becomes the parameters' help.
    """
    names = [field.name for field in fields(shared)]
    helps = (inspect.getdoc(shared) or "").partition("Attributes:\n")[2]

    def decorate(builder: Callable[..., Result]) -> Callable[..., Result]:
        @wraps(builder)
        def build(*context: Any, **given: Any) -> Result:
            values = {name: given.pop(name) for name in names if name in given}
            return builder(*context, shared(**values), **given)

        own = list(inspect.signature(builder).parameters.values())
        context = [parameter for parameter in own if parameter.kind is inspect.Parameter.POSITIONAL_ONLY][:-1]
        keywords = [parameter for parameter in own if parameter.kind is inspect.Parameter.KEYWORD_ONLY]
        every = [*context, *keywords, *inspect.signature(shared).parameters.values()]
        build.__signature__ = inspect.Signature(every)  # type: ignore[attr-defined]
        doc = inspect.getdoc(builder) or ""
        build.__doc__ = doc + ("\n" if "\nArgs:\n" in doc else "\n\nArgs:\n") + helps
        return build

    return decorate
