"""The two classes are found in every form in which copies of the data lie, and where they are not, the message says what is there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from malaria_exp.data.readers.class_words import class_prefix
from malaria_exp.data.readers.layout import PART_NAMES, find_cells
from malaria_exp.utils.errors import DataError

CLASS_OF = {"parasitized": "parasitized", "uninfected": "uninfected"}
WORDS = {"infected": "parasitized", "positive": "parasitized", "negative": "uninfected", "normal": "uninfected"}


class Names:
    """Files of which only the names are known; folders are those of the files, and any given."""

    def __init__(self, *names, folders=(), unsafe=(), path="cells"):
        self.path, self.names, self.unsafe = path, list(names), list(unsafe)
        parents = {"/".join(name.split("/")[:depth]) or "." for name in names for depth in range(name.count("/") + 1)}
        self.folders = sorted(parents | set(folders))

    def read(self, index):
        raise AssertionError("the layout is a matter of names")


def found(*names, class_of=CLASS_OF, **more):
    """{file: (class, name)} of the images that are found."""
    files = Names(*names, **more)
    layout = find_cells(files, class_of, "ADVICE")
    return {files.names[item.number]: (item.class_name, item.name) for item in layout.found}


def notes(*names, class_of=CLASS_OF, **more):
    return find_cells(Names(*names, **more), class_of, "ADVICE").notes


def refused(*names, class_of=CLASS_OF, **more):
    with pytest.raises(DataError) as caught:
        find_cells(Names(*names, **more), class_of, "ADVICE")
    return str(caught.value)


# Where the class folders may be


@pytest.mark.parametrize("root", ["", "cell_images/", "a/b/c/", "Parasitized/", "train/", "malaria/test/"])
@pytest.mark.parametrize("folders", [("Parasitized", "Uninfected"), ("parasitized", "uninfected"), ("PARASITIZED", "UnInfected")])
def test_class_folders_are_found_at_any_depth_and_in_any_case(root, folders):
    assert found(f"{root}{folders[0]}/a.png", f"{root}{folders[1]}/b.JPG", f"{root}{folders[0]}/deep/er/c.v2.tiff") == {
        f"{root}{folders[0]}/a.png": ("parasitized", "a"),
        f"{root}{folders[1]}/b.JPG": ("uninfected", "b"),
        f"{root}{folders[0]}/deep/er/c.v2.tiff": ("parasitized", "deep/er/c.v2"),
    }


@pytest.mark.parametrize("part", [*PART_NAMES, "Train", "TEST"])
def test_parts_of_a_divided_set_are_one_set(part):
    names = (f"x/{part}/Parasitized/a.png", "x/train/Uninfected/b.png", "x/test/Parasitized/c.png", "x/test/Uninfected/d.png")
    # A whole copy beside the parts is one too many.
    assert set(found(*names, "x/all/Parasitized/a.png", "x/all/Uninfected/b.png")) == set(names)


def test_parts_may_lie_below_the_class_folders():
    names = ("Parasitized/train/a.png", "Uninfected/train/b.png", "Parasitized/test/c.png")
    assert set(found(*names)) == set(names)


def test_of_a_nested_copy_the_outer_one_counts_and_the_other_is_noted():
    outer = ("cell_images/Parasitized/a.png", "cell_images/Uninfected/b.png")
    inner = ("cell_images/cell_images/Parasitized/a.png", "cell_images/cell_images/Uninfected/b.png")
    assert set(found(*inner, *outer)) == set(outer)
    assert notes(*inner, *outer) == [
        "2 images beside the two classes, or further down, were not looked at, in:"
        " cell_images/cell_images/Parasitized, cell_images/cell_images/Uninfected"
    ]


def test_a_whole_set_counts_before_its_divided_copy():
    whole = ("Parasitized/a.png", "Uninfected/b.png")
    assert set(found(*whole, "train/Parasitized/a.png", "train/Uninfected/b.png", "test/Parasitized/c.png")) == set(whole)


def test_a_folder_for_each_patient_need_not_hold_both_classes():
    names = ("P1/Parasitized/a.png", "P1/Uninfected/a.png", "P2/Uninfected/a.png", "P3/Parasitized/a.png", "P3/Uninfected/a.png")
    assert set(found(*names)) == set(names)
    only_one_each = ("P1/Parasitized/a.png", "P2/Uninfected/a.png")
    assert set(found(*only_one_each)) == set(only_one_each)


def test_of_several_class_folders_in_a_path_the_last_one_counts():
    assert found("infected/negative/a.png", "infected/positive/b.png", "normal/negative/c.png", class_of=WORDS) == {
        "infected/negative/a.png": ("uninfected", "a"),
        "infected/positive/b.png": ("parasitized", "b"),
        "normal/negative/c.png": ("uninfected", "c"),
    }


def test_empty_class_folders_further_up_do_not_hide_the_full_ones():
    names = ("cells/Parasitized/a.png", "cells/Uninfected/b.png")
    assert set(found(*names, folders=["Parasitized", "Uninfected"])) == set(names)


def test_what_is_no_image_is_no_cell_and_noted_unless_windows_left_it():
    names = ("Parasitized/a.png", "Uninfected/b.png", "Parasitized/Thumbs.db", "Uninfected/desktop.ini", "readme.txt")
    assert set(found(*names)) == {"Parasitized/a.png", "Uninfected/b.png"}
    assert notes(*names) == []
    assert notes(*names, "Parasitized/x.gif", "Uninfected/y.GIF", "Uninfected/z") == [
        "3 files in the class folders were not looked at, as they do not end like images: .gif (2), none (1)"
    ]


def test_images_beside_the_classes_are_counted_in_a_note():
    beside = [f"more{number}/x.png" for number in range(5)]
    assert notes("Parasitized/a.png", "Uninfected/b.png", *beside) == [
        "5 images beside the two classes, or further down, were not looked at, in: more0, more1, more2 ..."
    ]


def test_images_that_point_outside_are_bad():
    files = Names("Parasitized/a.png", "Uninfected/b.png", unsafe=["../evil.png", "../readme.txt"])
    assert find_cells(files, CLASS_OF, "").bad == [("../evil.png", "points outside of the zip; not read")]


@given(
    st.permutations(
        ["x/Parasitized/a.png", "x/Uninfected/b.png", "x/x/Parasitized/a.png", "x/train/Uninfected/c.png", "Thumbs.db", "d.png"]
    )
)
def test_the_order_of_the_files_decides_nothing(names):
    assert found(*names) == {"x/Parasitized/a.png": ("parasitized", "a"), "x/Uninfected/b.png": ("uninfected", "b")}


# Classes in names


def test_without_class_folders_the_names_tell_the_class():
    assert found("train/ParasitizedC1_a.png", "test/Uninfected_b.png", "ground truth.png") == {
        "train/ParasitizedC1_a.png": ("parasitized", "train/ParasitizedC1_a"),
        "test/Uninfected_b.png": ("uninfected", "test/Uninfected_b"),
    }
    assert len(notes("ParasitizedC1.png", "UninfectedC1.png", "other.png")) == 1


@pytest.mark.parametrize(
    ("stem", "expected"),
    [
        ("ParasitizedC33P1thinF", ("parasitized", "C33P1thinF")),
        ("UNINFECTED_c1", ("uninfected", "c1")),
        ("infected 1", ("parasitized", "1")),
        ("positive-12", ("parasitized", "12")),
        ("negative.png.7", ("uninfected", "png.7")),
        ("normal1", ("uninfected", "1")),
        ("normalized_12", (None, "normalized_12")),
        ("infectedness1", (None, "infectedness1")),
        ("positive", (None, "positive")),
        ("C33P1thinF_positive_1", (None, "C33P1thinF_positive_1")),
        ("", (None, "")),
    ],
)
def test_a_class_is_a_whole_word_in_front(stem, expected):
    assert class_prefix(stem, {**CLASS_OF, **WORDS}) == expected


def test_the_longest_word_counts():
    assert class_prefix("non-infected_1", {"non": "parasitized", "non-infected": "uninfected"}) == ("uninfected", "1")


# What is not there


def test_nothing_at_all():
    assert refused() == "dataset.path: 'cells' holds no files."
    assert "its 2 entries point outside of it, such as ../a.png" in refused(unsafe=["../a.png", "../b.png"])


def test_no_folders_and_no_classes_in_the_names():
    assert (
        "has no folders of the two classes (looked for, in any case of letters: parasitized; uninfected). It holds no folders. ADVICE"
        in (refused("a.png", "b.png"))
    )


def test_one_class_alone_names_the_missing_one():
    assert "has only folders of the class parasitized, none of uninfected" in refused("Parasitized/a.png", "Other/b.png")
    assert "has only folders of the class uninfected, none of parasitized" in refused(
        "Uninfected/a.png", "train/Other/b.png", "Other/b.png"
    )
    assert "no folders of the two classes" in refused("ParasitizedC1.png", "other.png")


@pytest.mark.parametrize("names", [["Uninfected/a.png"], ["P1/Uninfected/a.png", "P2/Uninfected/a.png"], ["UninfectedC1.png"]])
def test_one_class_is_enough_where_there_is_nothing_else(names):
    assert {class_name for class_name, _ in found(*names).values()} == {"uninfected"}


def test_sets_side_by_side_are_named():
    sets = [f"{place}/{name}/a.png" for place in ("nih", "clinic") for name in ("Parasitized", "Uninfected")]
    (note,) = notes(*sets)
    assert note == "the class folders of 2 folders are read as one set: clinic (2), nih (2); for one of them, give its path"


def test_classes_at_different_depths_are_not_taken_together():
    assert "at different depths only" in refused("Parasitized/a.png", "old/Uninfected/b.png")


@pytest.mark.parametrize("names", [["Parasitized/a.png"], ["Parasitized/a.png", "Uninfected/Thumbs.db", "Uninfected/b.gif"]])
def test_an_empty_class_folder_is_named(names):
    message = refused(*names, folders=["Uninfected"])
    assert "the folder of a class holds no image (uninfected: Uninfected)" in message
    assert ".png, .jpg" in message


def test_a_folder_nearly_of_the_name_is_asked_for_and_all_are_listed():
    message = refused("x/parasitised/a.png", "x/Uninfected/b.png")
    assert "Does the folder 'parasitised' stand for 'parasitized'?" in message
    assert "\n  x/parasitised\n" in message
    assert message.endswith("ADVICE")


def test_the_folder_of_a_single_class_is_recognized():
    assert "the folder of a single class: give the folder above it" in refused("a.png", path="/data/Parasitized")
