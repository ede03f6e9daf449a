"""The type checker of the configuration: what fits passes unchanged, what does not is named with its path."""

import dataclasses
import math
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from malaria_exp.config.validation import (
    Count,
    Duration,
    Fraction,
    NonNegative,
    Pattern,
    Positive,
    PositiveInt,
    Probability,
    Range,
    check,
    check_dataclass,
    describe,
)
from malaria_exp.utils.errors import ConfigError

Mode = Literal["pad", "stretch"]


def refused(value, annotation, hint=""):
    with pytest.raises(ConfigError) as caught:
        check("part.key", value, annotation, hint=hint)
    return str(caught.value)


@dataclasses.dataclass(frozen=True)
class Section:
    size: PositiveInt
    mode: Mode = "pad"
    rates: list[Probability] = dataclasses.field(default_factory=list)


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (True, bool),
        (3, int),
        (0.5, float),
        ("a", str),
        (None, None | int),
        (4, None | int),
        (object, Any),
        ("pad", Mode),
        ([1, 2], list[int]),
        ([], list[int]),
        ({"a": 1}, dict[str, int]),
        ("x", int | str),
        (0, Count),
        (1, PositiveInt),
        (0, Probability),
        (1, Probability),
        (0.5, Fraction),
        (1e-9, Positive),
        (0.0, NonNegative),
        ("10%", Duration),
        (" 2.5  epochs ", Duration),
        ("1 step", Duration),
        ("5000 examples", Duration),
        ({"a": [{"b": None}]}, dict[str, Any]),
    ],
)
def test_what_fits_passes_unchanged(value, annotation):
    assert check("part.key", value, annotation) == value


@pytest.mark.parametrize(
    ("value", "annotation", "expected"),
    [
        (1, bool, "true or false"),
        ("true", bool, "true or false"),
        (True, int, "a whole number"),
        (1.0, int, "a whole number"),
        ("1", int, "a whole number"),
        (True, float, "a number"),
        ("0.1", float, "a number"),
        (math.nan, float, "a number"),
        (math.inf, float, "a number"),
        (-math.inf, NonNegative, "a number >= 0"),
        (5, str, "text"),
        (None, str, "text"),
        (None, int, "a whole number"),
        ("x", int | None, "a whole number or null"),
        (0, type(None), "null"),
        (-1, Count, "a whole number >= 0"),
        (0, PositiveInt, "a whole number >= 1"),
        (1.01, Probability, "a number >= 0 and <= 1"),
        (1, Fraction, "a number > 0 and < 1"),
        (0, Fraction, "a number > 0 and < 1"),
        (0, Positive, "a number > 0"),
        (2**32, Annotated[int, Range(low=0, below=2**32)], "a whole number >= 0 and < 4294967296"),
        (1, Literal[True], "one of True"),
        (True, Literal[1], "one of 1"),
        ("10", Duration, "a length with its unit"),
        ("10 parsecs", Duration, "a length with its unit"),
        ("-1 steps", Duration, "a length with its unit"),
        (10, Duration, "a length with its unit"),
        ("", Annotated[str, Pattern(".+", "the path of a file")], "the path of a file"),
        ("abc", list[str], "a list, each item text"),
        ({"a": 1}, list[int], "a list, each item a whole number"),
        ([1], dict[str, int], "a mapping, each value a whole number"),
        ({1: 1}, dict[str, int], "a mapping, each value a whole number"),
    ],
)
def test_what_does_not_fit_is_named(value, annotation, expected):
    message = refused(value, annotation)
    assert message.startswith(f"part.key: expected {expected}")
    assert "received " + ("null" if value is None else f"{value!r} ({type(value).__name__})") in message


@given(st.floats(width=64), st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False))
def test_range_holds_its_bounds(value, one, other):
    low, high = sorted((one, other))
    for bounds, inside in ((Range(low=low, high=high), low <= value <= high), (Range(above=low, below=high), low < value < high)):
        try:
            assert check("x", value, Annotated[float, bounds]) == value
            accepted = True
        except ConfigError:
            accepted = False
        assert accepted == inside


@given(st.integers(-(2**60), 2**60))
def test_an_integer_becomes_a_float_where_one_is_asked_for(value):
    result = check("x", value, float)
    assert type(result) is float and result == float(value)
    assert type(check("x", value, int | float)) is int


def test_the_nearest_choice_is_offered_also_inside_a_union():
    assert "Did you mean 'stretch'?" in refused("strech", Mode)
    assert "Did you mean 'stretch'?" in refused("strech", Mode | None)
    assert "Did you mean" not in refused("zzz", Mode)
    assert "Write it as a list: part.key=[pad]." in refused("pad", list[Mode])
    assert "Did you mean" not in refused(3, Mode)


@pytest.mark.parametrize(
    ("value", "annotation", "path"),
    [
        ([1, 2, "x"], list[int], "part.key[2]"),
        ([[1], [2, None]], list[list[int]], "part.key[1][1]"),
        ({"a": 1, "b": "x"}, dict[str, int], "part.key.b"),
        ({"a": [0.5, 7]}, dict[str, list[Probability]], "part.key.a[1]"),
        ({"size": 0}, Section, "part.key.size"),
        ({"size": 1, "rates": [0, 2]}, Section, "part.key.rates[1]"),
        ([{"size": 1}, {"size": True}], list[Section], "part.key[1].size"),
    ],
)
def test_the_path_leads_to_the_bad_item(value, annotation, path):
    assert refused(value, annotation).startswith(f"{path}: expected ")


def test_lists_are_copied_and_their_items_converted():
    given_list = [1, 2]
    result = check("x", given_list, list[float])
    assert result == [1.0, 2.0]
    assert all(type(item) is float for item in result)
    assert result is not given_list


def test_a_dataclass_is_built_from_its_mapping():
    assert check_dataclass("s", {"size": 2, "mode": "stretch"}, Section) == Section(2, "stretch", [])


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        ({}, ["s.size: missing; expected a whole number >= 1"]),
        ({"size": 2, "mod": "pad"}, ["s.mod: unknown key", "s.mod='pad'", "Did you mean 'mode'?", "Allowed keys of s: mode, rates, size."]),
        (None, ["s: expected a section with the keys size, mode, rates, received None"]),
        ([2], ["s: expected a section with the keys size, mode, rates, received [2]"]),
    ],
)
def test_a_dataclass_names_wrong_keys(value, parts):
    with pytest.raises(ConfigError) as caught:
        check_dataclass("s", value, Section)
    assert all(part in str(caught.value) for part in parts)


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (Annotated[int, Range(low=1)] | None, "a whole number >= 1 or null"),
        (list[Mode], "a list, each item one of 'pad', 'stretch'"),
        (dict[str, float], "a mapping, each value a number"),
        (Section, "a section"),
        (Any, "anything"),
        (Range, "a section"),
    ],
)
def test_annotations_in_words(annotation, words):
    assert describe(annotation) == words
