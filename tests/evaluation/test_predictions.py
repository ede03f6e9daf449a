"""What is written is read back exactly; what is wrong is said with its place."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from malaria_exp.evaluation.predictions import COLUMNS, SUBSETS, Predictions, read
from malaria_exp.utils.errors import DataError

# numpy drops NUL at the end of text, and files cannot hold lone surrogates.
text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)


def make(n=3, **columns):
    base = {
        "cell_id": np.array([f"c{i}" for i in range(n)]),
        "patient": np.array(["P1"] * n),
        "slide": np.array(["S"] * n),
        "label": np.arange(n) % 2,
        "score": np.linspace(0, 1, n),
        "subset": np.array(["test"] * n),
    }
    return Predictions(**{**base, **columns})


@given(st.lists(st.tuples(text, text, text, st.integers(0, 1), st.floats(0, 1), st.sampled_from(SUBSETS)), min_size=1, max_size=8))
@settings(deadline=None)
def test_reading_what_was_written_is_exact(tmp_path_factory, rows):
    ids, patients, slides, labels, scores, subsets = (np.array(column) for column in zip(*rows, strict=True))
    ids = np.array([f"{i}{name}" for i, name in enumerate(ids)])
    written = Predictions(ids, patients, slides, labels, scores, subsets)
    path = written.write(tmp_path_factory.mktemp("predictions") / "predictions.csv")
    got = read(path)
    for name in COLUMNS:
        assert getattr(got, name).tolist() == getattr(written, name).tolist()
    assert got.score.dtype == np.float64
    assert got.label.dtype == np.int8
    assert [entry.name for entry in path.parent.iterdir()] == ["predictions.csv"]


def test_subsets_and_select_keep_the_order():
    predictions = make(4, subset=np.array(["test", "val", "test", "val"]))
    assert predictions.subsets == ("val", "test")
    assert predictions.select("test").cell_id.tolist() == ["c0", "c2"]
    with pytest.raises(DataError, match=r"'external'.*val, test"):
        predictions.select("external")


def test_one_cell_may_stand_in_two_subsets_but_not_twice_in_one():
    make(2, cell_id=np.array(["c", "c"]), subset=np.array(["val", "test"]))
    with pytest.raises(DataError, match="twice in 'test'"):
        make(2, cell_id=np.array(["c", "c"]))


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"score": np.array([0.1, np.nan, np.nan])}, "2 of 3 cells"),
        ({"score": np.array([0.1, np.inf, 0.2])}, "1 of 3 cells"),
        ({"score": np.array([0.1, 1.5, 0.2])}, "sigmoid"),
        ({"score": np.array([[0.1], [0.5], [0.2]])}, "one shape"),
        ({"label": np.array([0, 1, 2])}, "labels 0 and 1"),
        ({"label": np.array([0, 1])}, "one shape"),
        ({"subset": np.array(["test", "tset", "val"])}, "Did you mean 'test'"),
        ({"subset": np.array(["train"] * 3)}, "unknown subset 'train'"),
        ({"n": 0}, "at least one cell"),
    ],
)
def test_wrong_columns_are_refused(columns, reason):
    with pytest.raises(DataError, match=reason):
        make(**columns)


HEADER = ",".join(COLUMNS) + "\n"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "no column cell_id"),
        ("cell_id,patient,slide,label,score\n", "no column subset"),
        (HEADER, "at least one cell"),
        (HEADER + "a,P,S,1,0.5\n", "line 2: the number of fields"),
        (HEADER + "a,P,S,1,0.5,test\nb,P,S,2,0.5,test\n", "line 3: expected label 0 or 1.*'2'"),
        (HEADER + "a,P,S,1,high,test\n", "line 2: expected a score.*'high'"),
        (HEADER + "a,P,S,1,nan,test\n", "line 2: expected a score.*nan"),
        (HEADER + "a,P,S,1,1.2,test\n", "line 2: expected a score.*1.2"),
        (HEADER + "a,P,S,1,0.5,tes\n", "line 2: unknown subset 'tes'.*Did you mean 'test'"),
        (HEADER + 'a,P,"S,1,0.5,test\n', "line 2"),
        (HEADER + f"{'a' * 5000},P,S,1,0.5,test\n", "line 2: a field has more than 4,096"),
        (HEADER + "a,P,S,1,0.5,test\na,P,S,1,0.5,test\n", "twice in 'test'"),
        (b"\xff\xfe", "its columns are none"),
        (None, "No file"),
    ],
)
def test_a_malformed_file_is_refused_with_its_place(tmp_path, content, reason):
    path = tmp_path / "p.csv"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=reason) as raised:
        read(path)
    assert str(path) in str(raised.value)


def test_further_columns_are_passed_over(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("note,subset,score,label,slide,patient,cell_id\nx,val,0.25,1,S,P,a\n")
    assert read(path).score.tolist() == [0.25]
