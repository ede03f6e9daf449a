"""A table does not know how its files lay; what contradicts itself is left out whole, and of harmless copies one stays."""

import hashlib
from collections import Counter, defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from malaria_exp.data.cell_table import BadImage, BadImagePolicy
from malaria_exp.data.readers.assemble import Cell, assemble, find_doubtful
from malaria_exp.utils.errors import DataError

CLASSES = ("parasitized", "uninfected")


class Named:
    """Files with names alone."""

    path = "cells"
    folders = unsafe = ()

    def __init__(self, names):
        self.names = names

    def read(self, index):
        raise AssertionError("contents are known by their hashes")


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def make(*rows):
    """Files, cells and hashes of rows (file, class, name, patient, content)."""
    files = Named([row[0] for row in rows])
    cells = [Cell(index, row[1], row[2], row[3], f"slide {row[3]}", f"field {row[3]}") for index, row in enumerate(rows)]
    return files, cells, {index: digest(row[4]) for index, row in enumerate(rows)}


def doubtful(*rows):
    files, cells, hashes = make(*rows)
    return {files.names[index]: reason for index, reason in find_doubtful(files.names, cells, hashes).items()}


def table_of(rows, *, bad=(), **more):
    files, cells, hashes = make(*rows)
    return assemble("cells", files, cells, hashes, bad=bad, policy=BadImagePolicy(), **more)


A = ("P/a.png", "parasitized", "a", "P1", "pixels a")
B = ("U/b.png", "uninfected", "b", "P1", "pixels b")


C, D, Z = (
    ("P/c.png", "parasitized", "c", "P1", "pixels a"),
    ("U/d.png", "uninfected", "d", "P1", "pixels a"),
    ("P/z.png", "parasitized", "z", "P1", "z"),
)
CASES = {
    "different images are all good": ([A, B], {}),
    "of copies the first by name stays": (
        [C, ("P/b.png", *C[1:2], "b", *C[3:]), A, B],
        {"P/b.png": "the same image as P/a.png", "P/c.png": "the same image as P/a.png"},
    ),
    "of copies of one name the first by file": ([("copy/a.png", *A[1:]), A], {"copy/a.png": "the same image as P/a.png"}),
    "in both classes": (
        [A, B, C, D],
        {
            name: f"the same image stands in both classes, as {other}"
            for name, other in (("P/a.png", "U/d.png"), ("P/c.png", "U/d.png"), ("U/d.png", "P/a.png"))
        },
    ),
    "of several patients": (
        [A, ("P/c.png", *C[1:3], "P2", "pixels a")],
        {
            name: f"the same image stands under several patients, as {other}"
            for name, other in (("P/a.png", "P/c.png"), ("P/c.png", "P/a.png"))
        },
    ),
    "different images of one name": (
        [A, ("x/a.png", "uninfected", "a", "P1", "others"), B],
        {name: f"another image has the same name, {other}" for name, other in (("P/a.png", "x/a.png"), ("x/a.png", "P/a.png"))},
    ),
    # A good image is not against one that shares its name with it and is excluded for another reason.
    "a name is free again": (
        [A, Z, ("U/a.png", "uninfected", "a", "P1", "z")],
        {name: f"the same image stands in both classes, as {other}" for name, other in (("P/z.png", "U/a.png"), ("U/a.png", "P/z.png"))},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_contradicts_itself_is_excluded_whole_and_of_harmless_copies_one_stays(case):
    rows, expected = CASES[case]
    assert doubtful(*rows) == doubtful(*rows[::-1]) == expected


ROWS = st.lists(
    st.tuples(st.sampled_from(CLASSES), st.sampled_from("abcd"), st.sampled_from(["P1", "P2"]), st.sampled_from("vwxyz")),
    max_size=10,
).map(lambda rows: [(f"{number}.png", *row) for number, row in enumerate(rows)])


@given(ROWS)
def test_what_is_left_is_unique_and_nothing_is_excluded_for_nothing(rows):
    excluded = doubtful(*rows)
    kept = [row for row in rows if row[0] not in excluded]
    for column in (2, 4):
        assert max(Counter(row[column] for row in kept).values(), default=1) == 1
    facts = defaultdict(set)
    for _, class_name, _, patient, content in rows:
        facts[content].add((class_name, patient))
    for row in rows:
        others = [other for other in rows if other[0] != row[0]]
        if row[0] in excluded:
            assert any(other[2] == row[2] or other[4] == row[4] for other in others)
        else:
            # Whoever stays is of one class and one patient only.
            assert len(facts[row[4]]) == 1
    for content, known in facts.items():
        group = [row for row in rows if row[4] == content]
        if len(known) == 1 and all(Counter(row[2] for row in rows)[row[2]] == 1 for row in group):
            assert sum(row[0] not in excluded for row in group) == 1


@given(ROWS, st.randoms())
def test_the_order_of_the_files_decides_nothing(rows, draw):
    turned = draw.sample(rows, len(rows))
    assert doubtful(*turned) == doubtful(*rows)


# The table


def test_rows_are_sorted_by_class_and_name_and_keep_what_belongs_to_them():
    rows = [(f"{name}.png", CLASSES[ord(name) % 2], name, f"P{name}", name) for name in "gcaebdf"]
    table = table_of(rows, notes=["a note"])
    assert table.cell_id.tolist() == ["b", "d", "f", "a", "c", "e", "g"]
    assert table.label.tolist() == [1, 1, 1, 0, 0, 0, 0]
    assert table.patient.tolist() == [f"P{name}" for name in table.cell_id]
    assert table.slide.tolist() == [f"slide P{name}" for name in table.cell_id]
    assert table.field.tolist() == [f"field P{name}" for name in table.cell_id]
    assert table.content.tolist() == [digest(name) for name in table.cell_id]
    assert table.file.tolist() == [f"{name}.png" for name in table.cell_id]
    assert [table.source.files.names[index] for index in table.source.indices] == table.file.tolist()
    assert table.notes == ("a note",)
    assert table_of(rows[::-1]).data_hash == table.data_hash


def test_bad_files_have_no_row_and_stand_in_one_list():
    rows = [A, B, ("P/c.png", *A[1:2], "c", *A[3:]), ("P/d.png", "parasitized", "d", "P1", "d")]
    files, cells, hashes = make(*rows)
    del hashes[3]
    table = assemble("cells", files, cells, hashes, bad=[BadImage("P/d.png", "unreadable")], policy=BadImagePolicy("skip", 0.5))
    assert table.cell_id.tolist() == ["a", "b"]
    assert table.bad == (("P/c.png", "the same image as P/a.png"), ("P/d.png", "unreadable"))
    assert table.policy == ("skip", 0.5)


@pytest.mark.parametrize("lost", CLASSES)
def test_a_class_without_usable_images_is_an_error_that_says_why(lost):
    files, cells, hashes = make(A, B)
    del hashes[CLASSES.index(lost)]
    with pytest.raises(DataError, match=f"(?s)none of the images of the class {lost} can be used.*x.png: a reason"):
        assemble("cells", files, cells, hashes, bad=[BadImage("x.png", "a reason")], policy=BadImagePolicy())


def test_nothing_usable_at_all_lists_the_first_reasons():
    with pytest.raises(DataError, match=r"(?s)dataset 'cells': none of the images.*and 80 more"):
        table_of([], bad=[BadImage(f"{number}.png", "a reason") for number in range(100)])
