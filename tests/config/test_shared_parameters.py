import inspect
from dataclasses import dataclass

import pytest

from malaria_exp.config.shared_parameters import with_parameters


@dataclass(frozen=True, kw_only=True)
class Shared:
    """Two numbers.

    Attributes:
        a: the first.
        b: the second.
    """

    a: int = 1
    b: float = 2.0


@with_parameters(Shared)
def builder(context: str, shared: Shared, /, *, own: int = 0) -> tuple[str, Shared, int]:
    """Builds.

    Args:
        own: its own.
    """
    return context, shared, own


def test_the_builder_has_its_own_parameters_and_the_shared_ones_with_their_help():
    assert str(inspect.signature(builder)) == "(context: str, /, *, own: int = 0, a: int = 1, b: float = 2.0)"
    assert inspect.getdoc(builder) == "Builds.\n\nArgs:\n    own: its own.\n    a: the first.\n    b: the second."
    assert builder("x", b=3.0) == ("x", Shared(b=3.0), 0)
    assert builder("x", own=5, a=4) == ("x", Shared(a=4), 5)
    with pytest.raises(TypeError):
        builder("x", c=1)
