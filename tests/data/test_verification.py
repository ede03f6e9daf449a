"""Each way in which a copy can differ from the NIH set is found and named."""

import numpy as np
import pytest
from nih_tables import FOREIGN, OTHER, content, make, rows, two_patients

from malaria_exp.data.cell_table import BadImage, BadImageError
from malaria_exp.data.readers.index import read_index
from malaria_exp.data.verification import NEAR, compare, find_faults, is_nih, look_at_images

KNOWN = two_patients()
FIRST, SECOND, *OTHERS = KNOWN
# Of either class, the first cell and all the rest.
OF_CLASS = {name: next(item for item in KNOWN if item.class_name == name) for name in OTHER}


def off(table, patients="present"):
    return {kind: found for kind, found in compare(table, patients).items() if found}


def test_a_whole_copy_has_no_findings():
    assert off(make(rows(read_index().values())), "all") == {}


def without(*known):
    return rows(item for item in KNOWN if item not in known)


CASES = {
    "names below folders": ([(f"some/folder/{cell_id}", *rest) for cell_id, *rest in rows(KNOWN)], {}),
    "missing": (without(FIRST, SECOND), {"missing": [(f"{item.cell_id}.png", item.class_name) for item in (FIRST, SECOND)]}),
    "a foreign file is extra": ([*rows(KNOWN), FOREIGN], {"extra": [(f"x/{FOREIGN[0]}.png", "")]}),
    "another content is changed and not missing": (
        [(FIRST.cell_id, FIRST.class_name, "f" * 64), *without(FIRST)],
        {"changed": [(f"x/{FIRST.cell_id}.png", "other content than the NIH set's file of this name")]},
    ),
    "another name is renamed and not missing": (
        [(f"{FIRST.cell_id}99", FIRST.class_name, content(FIRST)), *without(FIRST)],
        {"renamed": [(f"x/{FIRST.cell_id}99.png", f"is {FIRST.cell_id}")]},
    ),
    "two files that changed names": (
        [(FIRST.cell_id, FIRST.class_name, content(SECOND)), (SECOND.cell_id, SECOND.class_name, content(FIRST)), *without(FIRST, SECOND)],
        {"renamed": [(f"x/{FIRST.cell_id}.png", f"is {SECOND.cell_id}"), (f"x/{SECOND.cell_id}.png", f"is {FIRST.cell_id}")]},
    ),
    **{
        f"{name} in the other class": (
            [(item.cell_id, OTHER[name], content(item)), *without(item)],
            {"other class": [(f"x/{item.cell_id}.png", f"{OTHER[name]} here, {name} in the NIH set")]},
        )
        for name, item in OF_CLASS.items()
    },
}


@pytest.mark.parametrize("name", CASES)
def test_each_difference_is_found_and_nothing_else(name):
    cells, expected = CASES[name]
    assert off(make(cells)) == expected


def test_cells_without_files_are_compared_by_their_names():
    assert off(make(rows(KNOWN), file=False)) == {}


def test_patients_without_any_file_are_missing_unless_only_those_present_are_expected():
    table = make(rows(KNOWN))
    assert off(table, "present") == {}
    missing = off(table, "all")["missing"]
    assert len(missing) == len(read_index()) - len(KNOWN)
    assert {known.cell_id for known in KNOWN}.isdisjoint(name.removesuffix(".png") for name, _ in missing)


@pytest.mark.parametrize("prefix", ["", "Parasitized"])
def test_a_file_that_cannot_be_used_is_here_and_not_missing(prefix):
    bad = [BadImage(f"cell_images/Parasitized/{prefix}{FIRST.cell_id}.png", "empty")]
    assert off(make(without(FIRST), bad=bad)) == {}


@pytest.mark.parametrize(
    ("name", "known_name", "known_content", "compared"),
    [
        ("nih", False, False, True),
        ("tfds", False, False, True),
        ("folder", False, False, False),
        ("folder", True, False, True),
        ("folder", False, True, True),
    ],
)
def test_what_has_nothing_of_the_nih_set_and_does_not_claim_to_be_it_is_not_compared(name, known_name, known_content, compared):
    cell = (FIRST.cell_id if known_name else FOREIGN[0], "uninfected", content(FIRST) if known_content else FOREIGN[2])
    assert is_nih(make([cell], name=name)) is compared


def test_every_image_is_looked_at():
    class Torn:
        def read(self, index):
            if index in (1, 4):
                raise BadImageError(f"torn {index}")
            return np.zeros((4, 4, 3), np.uint8)

    pixels, reasons = look_at_images(make(rows(KNOWN)[:6], source=Torn()))
    assert reasons == {1: "torn 1", 4: "torn 4"}
    assert [text == "" for text in pixels] == [row in reasons for row in range(6)]


def test_equal_pixels_in_other_files_are_found_and_what_is_only_alike_is_reported_apart():
    class Alike:
        def read(self, index):
            image = np.random.default_rng(min(index, 3)).integers(0, 250, (12, 12, 3), dtype=np.uint8)
            return image + np.uint8(index == 5)

    found = find_faults(
        make([(f"C1P{i}ThinF_IMG_20150918_144104_cell_1", "uninfected", f"{i:064x}") for i in range(6)], source=Alike()), "present"
    )
    names = [f"x/C1P{i}ThinF_IMG_20150918_144104_cell_1.png" for i in range(6)]
    assert found["bad or double"] == [
        (name, f"the same image stands under several patients, as {other}") for name, other in zip(names[3:5], names[4:2:-1], strict=True)
    ]
    assert found[NEAR] == [(names[5], f"looks like {names[3]}")]
