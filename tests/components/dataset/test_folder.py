"""Any folder of two classes becomes a table; who the patients are is asked of a CSV, and said plainly where nobody knows."""

import hashlib
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from malaria_exp.components.dataset.folder import NEGATIVE_NAMES, POSITIVE_NAMES, folder
from malaria_exp.components.dataset.nih import nih
from malaria_exp.config.registry import build
from malaria_exp.data.cell_table import UNKNOWN
from malaria_exp.data.readers.index import Known
from malaria_exp.data.readers.names import parse_name
from malaria_exp.utils.errors import ConfigError, DataError

NIH = "C{case}P{case}thinF_IMG_20150619_114756_cell_{cell}"


def image(number, kind="png"):
    """An image file with pixels of its own."""
    pixels = np.random.default_rng(number).integers(0, 256, (12, 10, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, {"jpg": "jpeg", "tif": "tiff"}.get(kind, kind))
    return out.getvalue()


@pytest.fixture
def write(tmp_path):
    """Writes different images under these names and returns the folder's path."""

    def make(*names):
        for number, name in enumerate(names):
            path = tmp_path / "cells" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(image(number, path.suffix[1:].lower()))
        return str(tmp_path / "cells")

    return make


@pytest.fixture
def write_csv(tmp_path):
    def make(*rows):
        (tmp_path / "cells.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
        return str(tmp_path / "cells.csv")

    return make


def labels(table):
    return {file: ("uninfected", "parasitized")[label] for file, label in zip(table.file.tolist(), table.label.tolist(), strict=True)}


def patients(table):
    return dict(zip(table.file.tolist(), table.patient.tolist(), strict=True))


# The classes


USUAL_NAMES = [*((name, "uninfected") for name in POSITIVE_NAMES), *(("infected", name) for name in NEGATIVE_NAMES)]


@pytest.mark.parametrize(("positive", "negative"), USUAL_NAMES)
def test_every_usual_name_of_a_class_is_found_in_any_case(positive, negative, write):
    names = (f"{positive.upper()}/a.png", f"{negative.title()}/b.png")
    assert labels(folder(path=write(*names))) == dict(zip(names, ("parasitized", "uninfected"), strict=True))


@pytest.mark.parametrize(
    ("positive", "negative"), [("Ring stage", "leer"), ("1", "0"), (1, 0), ("uninfected", "parasitized"), ("a.b", "(c)")]
)
def test_given_names_count_alone(positive, negative, write):
    path = write(f"{positive}/a.png", f"{negative}/b.png", "malaria/x.png", "healthy/y.png")
    table = build("dataset", "folder", {"path": path, "positive": positive, "negative": negative})
    assert labels(table) == {f"{positive}/a.png": "parasitized", f"{negative}/b.png": "uninfected"}


def test_numbers_alone_are_not_guessed(write):
    with pytest.raises(
        DataError, match=r"no folders of the two classes.*\n  0\n  1\nName them: dataset\.positive=.* dataset\.negative=.*dataset\.csv="
    ):
        folder(path=write("1/a.png", "0/b.png"))


def test_a_given_name_that_is_not_there_names_the_nearest_folder(write):
    with pytest.raises(DataError, match=r"Does the folder 'Parasitized_cells' stand for 'parasitised cells'\?"):
        folder(path=write("Parasitized_cells/a.png", "Other/b.png"), positive="parasitised_cells", negative="Other")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"positive": []}, r"dataset\.positive, dataset\.negative: expected at least one name"),
        ({"positive": ["x", "My-Cells"], "negative": ["y", "my_cells"]}, "expected different names, received 'my cells' in both"),
        ({"positive": "a/b", "negative": "c"}, r"dataset\.positive: expected the name of a folder, without the folders above it"),
        ({"path": ""}, r"dataset\.path"),
    ],
)
def test_names_that_are_no_two_names_of_folders_are_refused(given, message, write):
    with pytest.raises(ConfigError, match=message):
        build("dataset", "folder", {"path": write("cells/x.png"), **given})


@pytest.mark.parametrize(("given", "name"), [({}, "healthy/a.png"), ({"negative": "donors"}, "donors/a.png"), ({}, "rings/Negative 1.png")])
def test_a_class_alone_is_a_cohort(given, name, write):
    assert labels(folder(path=write(name), **given)) == {name: "parasitized" if "rings" in name else "uninfected"}


SPECIES = ("P. vivax/a.png", "falciparum/b.png", "ring_stage/c.png", "Gametocytes/d.png", "Red blood cells/e.png")


def test_species_and_stages_are_parasitized_and_taken_together_with_a_note(write):
    table = folder(path=write(*SPECIES))
    assert [file for file, name in labels(table).items() if name == "uninfected"] == [SPECIES[-1]]
    assert table.notes == ("parasitized are the cells of the folders Gametocytes (1), P. vivax (1), falciparum (1), ring_stage (1)",)


def test_a_list_names_several_folders(write):
    table = folder(path=write("a/1.png", "b/2.png", "c/3.png", "d/4.png"), positive=["a", "b"], negative=["c", "d"])
    assert list(labels(table).values()) == ["parasitized", "parasitized", "uninfected", "uninfected"]


@pytest.mark.parametrize("given", [{}, {"positive": ["ring", "falciparum"]}, {"negative": "healthy"}])
@pytest.mark.parametrize("before", ["", "P1/", "train/"])
def test_a_folder_that_may_be_of_either_class_is_never_left_out_quietly(given, before, write):
    path = write(*(f"{before}{name}" for name in ("ring/a.png", "healthy/b.png", "leukocyte/c.png", "leukocyte/d.png")))
    with pytest.raises(
        DataError, match=r"others with images: leukocyte \(2\)\..*dataset\.positive=\[ring,\.\.\.\] dataset\.negative=\[healthy,"
    ):
        folder(path=path, **given)
    table = folder(path=path, positive="ring", negative="healthy")
    assert len(table) == 2
    assert table.notes[-1].startswith("2 images beside the two classes")


def test_a_place_without_images_is_refused(tmp_path, write):
    with pytest.raises(DataError, match="holds no files"):
        folder(path=str(tmp_path))
    with pytest.raises(DataError, match="no file or folder"):
        folder(path=str(tmp_path / "nowhere"))
    Path(write("infected/a.png"), "healthy").mkdir()
    with pytest.raises(DataError, match=r"holds no image \(uninfected: healthy\)"):
        folder(path=str(tmp_path / "cells"))


def test_the_class_may_stand_in_the_names_alone(write):
    table = folder(path=write("positive_1.png", "negative_1.png", "scan/Negative 2.png"))
    assert labels(table) == {"positive_1.png": "parasitized", "negative_1.png": "uninfected", "scan/Negative 2.png": "uninfected"}


# The images


def test_all_formats_are_read(write):
    kinds = ("png", "jpg", "jpeg", "tif", "tiff", "bmp", "webp", "PNG", "JPG")
    table = folder(path=write(*[f"{('infected', 'healthy')[number % 2]}/{kind}{number}.{kind}" for number, kind in enumerate(kinds)]))
    assert len(table) == len(kinds)
    for row in range(len(table)):
        assert table.source.read(row).shape == (12, 10, 3)
        number = int(Path(str(table.file[row])).stem[-1])
        if kinds[number] in ("png", "tif", "tiff", "bmp", "PNG"):
            assert np.array_equal(table.source.read(row), np.random.default_rng(number).integers(0, 256, (12, 10, 3), dtype=np.uint8))


@pytest.mark.parametrize("names", [["infected/a.png", "healthy/b.png"], ["P1/infected/a.png", "P1/healthy/a.png", "P2/healthy/a.png"]])
def test_a_zip_of_the_folder_holds_the_same_cells(names, write, tmp_path):
    path = write(*names)
    with zipfile.ZipFile(tmp_path / "cells.zip", "w") as archive:
        for name in reversed(names):
            archive.write(f"{path}/{name}", f"some/where/{name}")
    table, packed = folder(path=path), folder(path=str(tmp_path / "cells.zip"))
    assert packed.data_hash == table.data_hash
    assert packed.cell_id.tolist() == table.cell_id.tolist()


def test_bad_images_of_every_kind_are_in_the_list(write):
    path = Path(write("infected/a.png", "healthy/b.png", "healthy/c.png", "healthy/d.png"))
    (path / "infected" / "empty.png").write_bytes(b"")
    (path / "healthy" / "copy.png").write_bytes(image(1))
    (path / "infected" / "other.png").write_bytes(image(2))
    (path / "infected" / "gone.png").symlink_to("nowhere")
    table = folder(path=str(path), on_bad_image="skip", max_bad_fraction=0.9)
    assert dict(table.bad) == {
        "infected/empty.png": "empty file (0 bytes)",
        "healthy/copy.png": "the same image as healthy/b.png",
        "healthy/c.png": "the same image stands in both classes, as infected/other.png",
        "infected/other.png": "the same image stands in both classes, as healthy/c.png",
        "infected/gone.png": "cannot be read: No such file or directory",
    }
    assert set(table.file.tolist()) == {"infected/a.png", "healthy/b.png", "healthy/d.png"}
    assert table.policy == ("skip", 0.9)


# The cells' names


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["infected/a.png", "healthy/b.png"], {"a", "b"}),
        (["infected/x/a.png", "healthy/y/a.png"], {"x/a", "y/a"}),
        (["infected/a.png", "healthy/a.png"], {"parasitized/a", "uninfected/a"}),
        (["P1/infected/a.png", "P2/infected/a.png", "P2/healthy/b.png"], {"P1/infected/a", "P2/infected/a", "P2/healthy/b"}),
        (["infected/a.png", "infected/a.jpg", "healthy/a.png"], {"infected/a.png", "infected/a.jpg", "healthy/a.png"}),
        (["train/infected/a.png", "test/infected/a.png", "test/healthy/b.png"], {"train/infected/a", "test/infected/a", "test/healthy/b"}),
        (["infected/deep/a.png", "healthy/deep/b.png"], {"a", "b"}),
    ],
)
def test_names_are_short_and_tell_all_cells_apart(names, expected, write):
    table = folder(path=write(*names))
    assert set(table.cell_id.tolist()) == expected
    assert len(table) == len(names)
    assert table.bad == ()


# The patients


def test_without_patients_it_says_what_is_impossible_and_what_would_mend_it(write):
    table = folder(path=write("infected/a.png", "healthy/b.png"))
    assert table.patient.tolist() == [UNKNOWN, UNKNOWN]
    assert table.unknown_patients == 2
    (note,) = table.remarks
    assert "no patients are known, so splitting by patient is impossible" in note
    assert "A CSV with the columns file and patient (slide and field, if known) would mend it: dataset.csv=" in note


def test_nih_names_tell_the_patients(write):
    names = [
        f"{place}/{prefix}{NIH.format(case=case, cell=cell)}.png"
        for cell, (place, prefix, case) in enumerate(
            [("infected", "", 1), ("healthy", "", 1), ("infected", "infected_", 2), ("healthy", "Healthy", 3)]
        )
    ]
    table = folder(path=write(*names))
    assert list(patients(table).values()) == ["P001", "P002", "P001", "P003"]
    assert set(table.slide.tolist()) == {"C1P1thinF", "C2P2thinF", "C3P3thinF"}
    assert set(table.field.tolist()) == {f"C{case}P{case}thinF_IMG_20150619_114756" for case in (1, 2, 3)}
    assert table.notes == ()


def test_some_names_that_tell_no_patient_are_counted(write):
    table = folder(path=write(f"infected/{NIH.format(case=1, cell=1)}.png", "healthy/b.png", "healthy/c.png"))
    assert table.unknown_patients == 2
    assert "the patients of 2 of 3 cells are not known" in table.remarks[0]


def test_the_form_of_the_nih_set_reads_like_dataset_nih(nih_files, make_nih_zip, tmp_path):
    path = str(make_nih_zip(tmp_path / "cells.zip", nih_files))
    assert folder(path=path).data_hash == nih(path=path).data_hash


@pytest.fixture
def in_the_index(monkeypatch):
    """Lets the index of the NIH set know files by their content: in_the_index(path, *(file, NIH name))."""

    def know(path, *files):
        index = {hashlib.sha256(Path(path, file).read_bytes()).hexdigest(): Known(name, "", "") for file, name in files}
        monkeypatch.setattr("malaria_exp.components.dataset.folder.look_up", index.get)

    return know


NAMED = NIH.format(case=7, cell=1)


def test_renamed_nih_cells_have_the_patients_that_the_index_knows(write, in_the_index):
    path = write("infected/0001.png", "healthy/0002.png", "healthy/own.png")
    in_the_index(path, ("infected/0001.png", NAMED), ("healthy/0002.png", NAMED))
    table = folder(path=path)
    assert patients(table) == {"infected/0001.png": "P007", "healthy/0002.png": "P007", "healthy/own.png": UNKNOWN}
    assert set(table.slide.tolist()) == {"C7P7thinF", UNKNOWN}
    assert "the patients of 2 cells were found by the images' content" in table.notes[0]
    assert "the patients of 1 of 3 cells are not known" in table.remarks[-1]


@pytest.mark.parametrize(("third", "expected"), [("", "Anna"), ("Bela", "Bela")])
def test_a_csv_comes_before_the_index_and_one_patient_never_has_two_names(third, expected, write, write_csv, in_the_index):
    path = write("infected/a.png", "healthy/b.png", "healthy/c.png")
    in_the_index(path, *((f"{file}.png", NAMED) for file in ("infected/a", "healthy/b", "healthy/c")))
    table = folder(path=path, csv=write_csv("file,patient,slide", "a.png,Anna,S1", "b.png,Anna,", f"c.png,{third},S3"))
    assert patients(table) == {"infected/a.png": "Anna", "healthy/b.png": "Anna", "healthy/c.png": expected}
    assert table.slide.tolist() == ["S1", "Anna", "S3"]


def test_the_patients_of_a_clinic_are_not_anothers_of_the_same_names(write, write_csv, in_the_index):
    path = write("infected/a.png", "healthy/b.png", "healthy/c.png")
    in_the_index(path, ("healthy/b.png", NAMED))
    one, two = (folder(path=path, csv=write_csv("file,patient", "a.png,1", "b.png,"), patients_of=clinic) for clinic in (None, "clinic b"))
    assert patients(one) == {"infected/a.png": "1", "healthy/b.png": "P007", "healthy/c.png": UNKNOWN}
    assert patients(two) == {"infected/a.png": "clinic b/1", "healthy/b.png": "P007", "healthy/c.png": UNKNOWN}


def test_the_renamed_cells_of_the_real_set_are_split_by_patient(real_zip, tmp_path):
    with zipfile.ZipFile(real_zip) as archive:
        cells = [name for name in archive.namelist() if name.endswith(".png") and name.rpartition("_")[2] in ("100.png", "150.png")]
        for number, name in enumerate(cells):
            path = tmp_path / name.split("/")[1] / f"{number:04d}.png"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(archive.read(name))
    table = folder(path=str(tmp_path))
    assert table.unknown_patients == 0
    assert set(table.patient.tolist()) == {parse_name(name.rpartition("/")[2][:-4]).patient for name in cells}
    build("split", "patient_holdout", {}, table)


# The CSV


def test_a_csv_gives_patients_slides_and_fields(write, write_csv):
    path = write("infected/a.png", "healthy/b.png", "healthy/c.png")
    table = folder(path=path, csv=write_csv("file,patient,slide,field", "a.png,P1,S1,F1", "healthy/b.png,P2,S2,", "c.png,P2,,F9"))
    assert patients(table) == {"infected/a.png": "P1", "healthy/b.png": "P2", "healthy/c.png": "P2"}
    assert table.slide.tolist() == ["S1", "S2", "P2"]
    assert table.field.tolist() == ["F1", "S2", "F9"]
    assert table.notes == ()


def test_patients_that_the_csv_leaves_open_are_counted_and_the_csv_is_named(write, write_csv):
    path = write("infected/a.png", "healthy/b.png", f"healthy/{NIH.format(case=1, cell=1)}.png")
    csv = write_csv("file,patient", "a.png,P1", "b.png,")
    table = folder(path=path, csv=csv)
    # The CSV and the names may name the same patient differently.
    assert table.unknown_patients == 2
    assert f"fill in the column patient of {csv} for every file" in table.remarks[0]


def test_a_csv_without_patients_leaves_them_to_the_names(write, write_csv):
    name = NIH.format(case=7, cell=1)
    table = folder(path=write(f"infected/{name}.png", "healthy/b.png"), csv=write_csv("file,slide", f"{name}.png,S9"))
    assert patients(table) == {f"infected/{name}.png": "P007", "healthy/b.png": UNKNOWN}
    assert table.slide.tolist() == ["S9", UNKNOWN]


def test_labels_of_a_csv_need_no_class_folders(write, write_csv):
    path = write("x/a.png", "x/b.tif", "y/c.jpg", "y/d.png", "infected/e.png")
    table = folder(
        path=path, csv=write_csv("file,label,patient", "a.png,infected,P1", "b.tif,Healthy,P1", "y/c.jpg,NEGATIVE,P2", "e.png,normal,P3")
    )
    assert labels(table) == {"x/a.png": "parasitized", "x/b.tif": "uninfected", "y/c.jpg": "uninfected", "infected/e.png": "uninfected"}
    assert patients(table) == {"x/a.png": "P1", "x/b.tif": "P1", "y/c.jpg": "P2", "infected/e.png": "P3"}
    assert table.notes == (f"1 images do not stand in {path.removesuffix('cells')}cells.csv and were not looked at",)


def test_labels_of_a_csv_may_be_numbers_that_are_named(write, write_csv):
    path, csv = write("a.png", "b.png"), write_csv("file,label", "a.png,1", "b.png,0")
    with pytest.raises(DataError, match=r"line 2: label '1'; expected one of parasitized, .*dataset\.positive="):
        folder(path=path, csv=csv)
    assert labels(build("dataset", "folder", {"path": path, "csv": csv, "positive": 1, "negative": 0})) == {
        "a.png": "parasitized",
        "b.png": "uninfected",
    }


def test_images_that_point_outside_of_a_zip_are_bad_with_labels_too(tmp_path, write_csv):
    with zipfile.ZipFile(tmp_path / "cells.zip", "w") as archive:
        for number, name in enumerate(["a.png", "b.png", "../c.png"]):
            archive.writestr(name, image(number))
    table = folder(path=str(tmp_path / "cells.zip"), csv=write_csv("file,label", "a.png,infected", "b.png,healthy"))
    assert table.bad == (("../c.png", "points outside of the zip; not read"),)


def test_weights_of_a_csv_reach_the_table_and_change_its_hash(write, write_csv):
    path = write("infected/a.png", "healthy/b.png", "healthy/c.png")
    table = folder(path=path, csv=write_csv("file,weight", "a.png,0.25", "b.png,", "c.png,1"))
    assert dict(zip(table.cell_id.tolist(), table.weight.tolist(), strict=True)) == {"a": 0.25, "b": 1, "c": 1}
    even = folder(path=path, csv=write_csv("file,weight", "a.png,1", "b.png,NA"))
    assert even.weight is None and even.data_hash == folder(path=path).data_hash != table.data_hash


def test_further_columns_of_a_csv_stay_with_their_cells(write, write_csv):
    path = write("infected/a.png", "infected/b.png", "healthy/c.png")
    table = folder(path=path, csv=write_csv("File,Patient,Site", "c.png,P3,south", "a.png,P1, north ", "b.png,P2,NA"))
    assert dict(zip(table.patient.tolist(), table.further["site"].tolist(), strict=True)) == {"P1": "north", "P2": "", "P3": "south"}
    assert table.select(np.array([2])).further["site"].tolist() == ["south"]
    assert table.data_hash == folder(path=path, csv=write_csv("file,patient", "c.png,P3", "a.png,P1", "b.png,P2")).data_hash


def test_labels_of_one_class_are_enough(write, write_csv):
    table = folder(path=write("a.png", "b.png"), csv=write_csv("file,label", "a.png,infected", "b.png,P. vivax"))
    assert labels(table) == {"a.png": "parasitized", "b.png": "parasitized"}


def test_what_is_wrong_with_the_csv_is_said_under_its_key(write, write_csv):
    path = write("infected/a.png", "healthy/b.png")
    for rows in (
        ["file,age", "a.png,3"],
        ["name,patient", "a.png,P1"],
        ["file,patient", "a.png,P1", "a.png,P1"],
        ["file,label", "a.png,helthy"],
    ):
        with pytest.raises(DataError, match=r"^dataset\.csv: .*cells\.csv"):
            folder(path=path, csv=write_csv(*rows))
    with pytest.raises(DataError, match=r"^dataset\.csv: No file '.*nowhere\.csv'"):
        folder(path=path, csv=f"{path}/nowhere.csv")
