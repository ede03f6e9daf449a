"""The grammar of the file names: every odd name of the official set, and nothing guessed where it does not hold."""

import csv
import gzip

import pytest
from conftest import ROOT

from malaria_exp.data.readers.names import parse_name

INDEX = ROOT.parent / "shared" / "nih" / "nih_index.tsv.gz"
TAIL = "_IMG_20150918_144104_cell_162"


@pytest.mark.parametrize(
    ("slide", "patient"),
    [
        ("C100P61ThinF", "P061"),
        ("C33P1thinF", "P001"),
        ("C39P4thinF_original", "P004"),
        ("C51AP12thinF", "P012"),
        ("C52BP13thinF", "P013"),
        ("C37BP2thinF", "P002"),
        ("C167P128ReThinF", "P128"),
        ("C180P141NThinF", "P141"),
        ("C130P91N_ThinF", "P091"),
        ("C130P91_ThinF", "P091"),
        ("C7NthinF", "C7"),
        ("C1_thinF", "C1"),
        ("C3thin_original", "C3"),
        ("C4thin_original", "C4"),
        ("C47P8thinOriginalOlympusCX21", "P008"),
        ("C47P8thin_Original_Motic", "P008"),
        ("C5023P5023thinF", "P5023"),
    ],
)
def test_patient_slide_and_field_of_every_form(slide, patient):
    for time in ("144104", "144104a"):
        field = f"{slide}_IMG_20150918_{time}"
        assert parse_name(f"{field}_cell_162") == (patient, slide, field)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "cell_1",
        f"P61ThinF{TAIL}",
        f"C100P61{TAIL}",
        f"C100P61ThinF{TAIL}.png",
        f"C100P61ThinF{TAIL}\n",
        f" C100P61ThinF{TAIL}",
        f"ParasitizedC33P1thinF{TAIL}",
        f"C100P61ThickF{TAIL}",
        f"C51CP12thinF{TAIL}",
        f"C51AthinF{TAIL}",
        "C100P61ThinF_IMG_20150918_14410_cell_162",
        "C100P61ThinF_IMG_20150918_144104b_cell_162",
        "C100P61ThinF_IMG_20150918_144104_cell_",
        "C100P61ThinF_IMG_20150918_144104_cell_162 (1)",
    ],
)
def test_another_form_is_not_guessed(name):
    assert parse_name(name) is None


def test_all_official_names_give_the_official_patients_and_slides():
    if not INDEX.is_file():
        pytest.skip(f"no index of the official files: {INDEX} does not exist")
    with gzip.open(INDEX, "rt", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    parts = [parse_name(row["file"].removesuffix(".png")) for row in rows]
    assert len(parts) == 27_558
    wrong = [row["file"] for row, found in zip(rows, parts, strict=True) if found != (row["patient"], row["slide"], row["image"])]
    assert not wrong
    assert len({found.patient for found in parts}) == 200
    assert len({found.slide for found in parts}) == 201
    assert len({found.field for found in parts}) == 1_408
