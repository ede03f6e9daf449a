"""Checks values against type annotations: one checker, one form of message, for the config's nodes and for components.

Supported annotations: bool, int, float, str, None, Any, Literal, unions, list[X], dict[str, X], dataclasses,
`Annotated[X, Range(...)]`, and the aliases below.
"""

import dataclasses
import re
import sys
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from malaria_exp.config.synonyms import VALUES, plain
from malaria_exp.utils.errors import ConfigError, did_you_mean


@dataclasses.dataclass(frozen=True)
class Range:
    """Bounds of a number: `low`/`high` are allowed themselves, `above`/`below` are not."""

    low: float | None = None
    high: float | None = None
    above: float | None = None
    below: float | None = None

    def holds(self, value: float) -> bool:
        """Tells whether the value lies inside all bounds."""
        return (
            (self.low is None or value >= self.low)
            and (self.high is None or value <= self.high)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        signs = ((">=", self.low), (">", self.above), ("<=", self.high), ("<", self.below))
        return " and ".join(f"{sign} {bound:.10g}" for sign, bound in signs if bound is not None)


@dataclasses.dataclass(frozen=True)
class Pattern:
    """The form a string must have: a regular expression for the whole of it, and its description in words for messages."""

    regex: str
    words: str

    def holds(self, value: str) -> bool:
        """Tells whether the whole string matches."""
        return re.fullmatch(self.regex, value) is not None

    def __str__(self) -> str:
        return self.words


# A key that is not allowed, and those that are, to a sentence on what may have been meant.
Suggest = Callable[[str, Iterable[str]], str]
DURATION = r"\s*(\d+(?:\.\d+)?)\s*(%|steps?|epochs?|examples?)\s*"

Probability = Annotated[float, Range(low=0, high=1)]
Fraction = Annotated[float, Range(above=0, below=1)]
Positive = Annotated[float, Range(above=0)]
NonNegative = Annotated[float, Range(low=0)]
Count = Annotated[int, Range(low=0)]
PositiveInt = Annotated[int, Range(low=1)]
Duration = Annotated[str, Pattern(DURATION, "a length with its unit, such as '10%', '2 epochs', '300 steps' or '5000 examples'")]


def check(path: str, value: Any, annotation: Any, *, hint: str = "") -> Any:
    """Returns `value` as the annotated type, or raises a ConfigError that names the config path.

    Integers are taken where floats are asked for; nothing else is converted.

    Args:
        path: where the value stands in the config, such as "optimizer.learning_rate".
        value: plain Python value (no OmegaConf containers).
        annotation: the type it must have.
        hint: a sentence on what to do, added to the message.
    """
    ok, result = _match(path, value, annotation, hint)
    if ok:
        return result
    nearest_choice = ""
    if isinstance(value, str):
        choices = [c for c in _choices(annotation) if isinstance(c, str)]
        # The right word where a list of such words is asked for.
        nearest_choice = f" Write it as a list: {path}=[{value}]." if value in choices else did_you_mean(value, choices)
    if meant := next((name for name, words in VALUES.items() if plain(str(value)) in words.split() and name in _choices(annotation)), None):
        nearest_choice = f" Did you mean '{meant}'?"
    if isinstance(value, str) and _holds_number(path, value, annotation, hint):
        nearest_choice = (
            f" It is text: leave out the quotes. From a variable of the environment: {path}=$NAME, in YAML ${{oc.decode:${{oc.env:NAME}}}}."
        )
    received = f"{value!r} ({type(value).__name__})" if value is not None else "null"
    raise ConfigError(f"{path}: expected {describe(annotation)}, received {received}.{nearest_choice}{' ' + hint if hint else ''}")


def check_keys(
    path: str, given: Mapping[str, Any], allowed: Mapping[str, Any] | set[str], *, hint: str = "", suggest: Suggest = did_you_mean
) -> None:
    """Raises a ConfigError naming the first key of `given` that is not allowed, and what `suggest` says of it."""
    prefix = f"{path}." if path else ""
    for key in given:
        if key not in allowed:
            options = ", ".join(sorted(allowed)) or "none (it takes no parameters)"
            raise ConfigError(
                f"{prefix}{key}: unknown key, received {prefix}{key}={given[key]!r}."
                f"{suggest(key, allowed)} Allowed keys{' of ' + path if path else ''}: {options}.{' ' + hint if hint else ''}"
            )


def check_dataclass(path: str, value: Any, cls: type) -> Any:
    """Builds the dataclass from a mapping, each field checked; missing keys take the field's default."""
    if not isinstance(value, Mapping):
        raise ConfigError(
            f"{path}: expected a section with the keys {', '.join(f.name for f in dataclasses.fields(cls))}, received {value!r}."
        )
    hints = get_type_hints(cls, include_extras=True)
    fields = {field.name: field for field in dataclasses.fields(cls)}
    check_keys(path, value, set(fields))
    prefix = f"{path}." if path else ""
    checked = {}
    for name, field in fields.items():
        if name in value:
            checked[name] = check(f"{prefix}{name}", value[name], hints[name])
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ConfigError(f"{prefix}{name}: missing; expected {describe(hints[name])}.")
    return cls(**checked)


def describe(annotation: Any) -> str:
    """Returns the annotation in words: "a number >= 0 and <= 1", "one of 'pad', 'stretch'"."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        rule = args[1]
        return str(rule) if isinstance(rule, Pattern) else f"{describe(args[0])} {rule}"
    if origin is Literal:
        return "one of " + ", ".join(repr(choice) for choice in args)
    if origin in (Union, types.UnionType):
        return " or ".join(describe(arg) for arg in args)
    if origin is list:
        return f"a list, each item {describe(args[0])}"
    if origin is dict:
        return f"a mapping, each value {describe(args[1])}"
    if dataclasses.is_dataclass(annotation):
        return "a section"
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "text", type(None): "null", Any: "anything"}
    return names.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _holds_number(path: str, text: str, annotation: Any, hint: str) -> bool:
    """Tells whether a text is a number that would fit."""
    try:
        number = int(text) if re.fullmatch(r"[+-]?\d+", text) else float(text)
    except ValueError:
        return False
    return _match(path, number, annotation, hint)[0]


def _choices(annotation: Any) -> tuple[Any, ...]:
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return tuple(choice for arg in get_args(annotation) for choice in _choices(arg))


def _match(path: str, value: Any, annotation: Any, hint: str) -> tuple[bool, Any]:
    """Returns whether the value fits, and the value as the annotated type."""
    origin, args = get_origin(annotation), get_args(annotation)
    if annotation is Any:
        return True, value
    if origin is Annotated:
        ok, result = _match(path, value, args[0], hint)
        return ok and all(rule.holds(result) for rule in args[1:]), result
    if origin is Literal:
        # True == 1 in Python, so the types are compared too.
        return any(value == choice and type(value) is type(choice) for choice in args), value
    if origin in (Union, types.UnionType):
        for arg in args:
            ok, result = _match(path, value, arg, hint)
            if ok:
                return True, result
        return False, value
    if origin is list:
        if not isinstance(value, list | tuple):
            return False, value
        return True, [check(f"{path}[{index}]", item, args[0], hint=hint) for index, item in enumerate(value)]
    if origin is dict:
        if not isinstance(value, Mapping) or not all(_match(path, key, args[0], hint)[0] for key in value):
            return False, value
        return True, {key: check(f"{path}.{key}", item, args[1], hint=hint) for key, item in value.items()}
    if dataclasses.is_dataclass(annotation) and isinstance(annotation, type):
        return True, check_dataclass(path, value, annotation)
    if annotation is type(None):
        return value is None, value
    if annotation is float:
        # Compared, not asked for isfinite, which raises of whole numbers beyond every float.
        ok = isinstance(value, int | float) and not isinstance(value, bool) and -sys.float_info.max <= value <= sys.float_info.max
        return ok, float(value) if ok else value
    if annotation is int:
        return isinstance(value, int) and not isinstance(value, bool), value
    return isinstance(value, annotation), value
