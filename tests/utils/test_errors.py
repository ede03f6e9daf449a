"""Words that help out of errors, and exit codes that scripts can tell apart."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from malaria_exp.utils import errors
from malaria_exp.utils.errors import ConfigError, DataError, LeakError, RunFolderError, UserError, by_reason, did_you_mean, listing, nearest


@pytest.mark.parametrize(
    ("name", "allowed", "expected"),
    [
        ("cellnte", ["lenet", "cellnet"], "cellnet"),
        ("CellNet", ["lenet", "cellnet"], "cellnet"),
        ("cellnet", ["LeNet", "CELLNET"], "CELLNET"),
        ("qqq", ["lenet", "cellnet"], None),
        ("x", [], None),
        (3, ["3d", "resnet"], "3d"),
    ],
)
def test_nearest(name, allowed, expected):
    assert nearest(name, allowed) == expected


@given(st.text(min_size=1, max_size=12), st.lists(st.text(max_size=12), max_size=6))
@settings(max_examples=30, deadline=None)
def test_nearest_is_one_of_the_allowed(name, allowed):
    assert nearest(name, allowed) in {*allowed, None}


def test_did_you_mean_is_a_sentence_or_nothing_and_listing_counts_what_it_leaves_out():
    assert did_you_mean("adma", ["adam"]) == " Did you mean 'adam'?"
    assert did_you_mean("zzzz", ["adam"]) == ""
    assert listing("abc") == "  a\n  b\n  c"
    assert listing(range(30), limit=20).splitlines()[-1] == "  ... and 10 more"
    assert len(listing(range(30), limit=20).splitlines()) == 21
    assert "more" not in listing(range(20), limit=20)


def test_many_files_of_one_reason_are_one_line():
    few, many = [("a", "torn"), ("b", "")], [(f"{number}", "a pointer") for number in range(30)]
    lines = by_reason([*few, *many])
    assert lines[:2] == ["a: torn", "b"]
    assert lines[2:] == [f"30 files, a pointer: {', '.join(map(str, range(20)))}, ... and 10 more"]


def test_every_kind_of_error_has_an_exit_code_of_its_own():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, UserError)]
    codes = [kind.exit_code for kind in kinds]
    assert {ConfigError, DataError, LeakError, RunFolderError} <= set(kinds)
    assert len(set(codes)) == len(codes)
    assert all(0 < code < 126 for code in codes)
