"""The user's CSV: every row finds one file or says why not, in the words and the line of the CSV."""

import pytest

from malaria_exp.data.readers.cell_list import read_cell_list
from malaria_exp.utils.errors import DataError

CLASS_OF = {"infected": "parasitized", "healthy": "uninfected"}


class Names:
    path, folders, unsafe = "cells", (), ()

    def __init__(self, names):
        self.names = names


FILES = Names(["infected/a.png", "infected/b.png", "healthy/b.png", "healthy/c.png", "healthy/Größe.png", "healthy/ blank .png"])


@pytest.fixture
def read(tmp_path):
    """Writes the text as a CSV and reads it."""

    def make(text, encoding="utf-8", **more):
        path = tmp_path / "cells.csv"
        path.write_text(text, encoding=encoding, newline="")
        return read_cell_list(str(path), **{"files": FILES, "class_of": CLASS_OF, **more})

    return make


def refused(read, text, **more):
    with pytest.raises(DataError) as caught:
        read(text, **more)
    assert str(caught.value).startswith("dataset.csv: ")
    return str(caught.value)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_rows_find_their_files_by_path_or_by_a_name_that_is_unique(end, encoding, read):
    rows = [
        "file,patient,age",
        "infected/a.png,P1,30",
        "c.png,P2,40",
        "./healthy/b.png, P3 ,50",
        "infected\\b.png,P4,60",
        "Größe.png,P5,70",
    ]
    listed = read(end.join(rows), encoding)
    ages = {0: ("P1", "30"), 3: ("P2", "40"), 2: ("P3", "50"), 1: ("P4", "60"), 4: ("P5", "70")}
    assert listed.rows == {place: {"patient": patient, "age": age} for place, (patient, age) in ages.items()}
    assert listed.columns == ("patient",) and listed.missing == []


def test_blanks_and_accents_are_taken_as_they_are_meant(read):
    assert set(read("file,patient\nhealthy/ blank .png,P1\n c.png ,P2\nhealthy/Gro\u0308ße.png,P3\n").rows) == {5, 3, 4}


def test_endings_may_be_missing_where_the_rest_is_unique(read):
    listed = read("file,patient\nhealthy/b,P1\nc,P2\nb,P3\n")
    assert listed.rows == {2: {"patient": "P1"}, 3: {"patient": "P2"}}
    assert [item.file for item in listed.missing] == ["b"]
    assert "several files have this name" in listed.missing[0].reason


def test_all_columns_are_read_and_labels_become_class_names(read):
    listed = read("label,field,file,slide,patient\n Infected ,F1,a.png,S1,P1\nHEALTHY,,c.png,,\n")
    assert listed.rows == {
        0: {"patient": "P1", "slide": "S1", "field": "F1", "label": "parasitized"},
        3: {"patient": "", "slide": "", "field": "", "label": "uninfected"},
    }


@pytest.mark.parametrize("word", ["", " ", "NA", "n/a", "NaN", "None", "NULL", "unknown", "#N/A"])
def test_what_programs_write_for_nothing_is_nobody(word, read):
    assert read(f"file,patient\na.png,{word}\nc.png,Nadia\n").rows == {0: {"patient": ""}, 3: {"patient": "Nadia"}}


def test_such_a_word_may_still_be_a_label(read):
    listed = read("file,label\na.png,none\nc.png,infected\n", class_of={"none": "uninfected", "infected": "parasitized"})
    assert [row["label"] for row in listed.rows.values()] == ["uninfected", "parasitized"]


def test_files_that_are_not_there_or_not_clear_are_bad_images_with_their_line(read):
    listed = read("file,patient\na.png,P1\nnowhere.png,P2\n\nb.png,P3\n../infected/a.png,P4\n")
    assert set(listed.rows) == {0}
    assert [item.file for item in listed.missing] == ["nowhere.png", "b.png", "../infected/a.png"]
    reasons = [item.reason for item in listed.missing]
    assert reasons[0].endswith("cells.csv, line 3, but there is no such file")
    assert reasons[1].endswith("cells.csv, line 5, but several files have this name; give the path")
    assert reasons[2].endswith("cells.csv, line 6, but there is no such file")


def test_none_of_the_files_there_is_one_message_that_shows_what_is_expected(read):
    message = refused(read, "file,patient\n" + "".join(f"/elsewhere/{number}.png,P1\n" for number in range(1000)))
    assert "none of its 1,000 files lies in 'cells'" in message and "/elsewhere/0.png" in message
    assert "such as infected/a.png" in message and message.count("\n") < 8


@pytest.mark.parametrize("again", ["infected/a.png", "a.png", ".\\infected\\a.png"])
def test_a_file_listed_twice_is_refused_with_both_lines(again, read):
    assert f"cells.csv, line 4: '{again}' stands in line 2 already" in refused(read, f"file,patient\na.png,P1\nc.png,P2\n{again},P3\n")


def test_an_unknown_label_names_the_nearest_and_the_way_out(read):
    message = refused(read, "file,label\na.png,infected\nc.png,helthy\n")
    assert "cells.csv, line 3: label 'helthy'; expected one of infected, healthy. Did you mean 'healthy'?" in message
    assert "dataset.positive=... dataset.negative=..." in message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "its columns are none"),
        ("file,patient\n", "it has a header and no rows"),
        ("file,label\na.png,\n", "line 2: label ''; expected one of"),
        ("name,patient\na.png,P1\n", "no column file; its columns are name, patient."),
        ("file,person\na.png,P1\n", "expected a column patient, slide, field, label or weight beside file; received file, person."),
        ("file,patient\na.png,P1\nc.png\n", "line 3: the number of fields"),
        ("file,patient\na.png,P1,P2\n", "line 2: the number of fields"),
        ("file,weight\na.png,much\n", "line 2: weight 'much'; expected a number of at least 0"),
        ("file,weight\na.png,1\nc.png,-1\n", "line 3: weight '-1'"),
        ("file,weight\na.png,inf\n", "weight 'inf'"),
    ],
)
def test_what_is_wrong_is_named(read, text, message):
    assert message in refused(read, text)


def test_what_is_no_csv_is_refused(tmp_path):
    (tmp_path / "image.csv").write_bytes(bytes(range(256)))
    for path in ("image.csv", "", "nowhere.csv"):
        with pytest.raises(DataError, match=r"^dataset\.csv: "):
            read_cell_list(str(tmp_path / path), FILES, CLASS_OF)
    with pytest.raises(DataError, match=r"^dataset\.csv: "):
        read_cell_list("~no_such_user_here/cells.csv", FILES, CLASS_OF)
