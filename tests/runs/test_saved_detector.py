import io
import json
import zipfile

import numpy as np
import pytest

from malaria_exp.config.registry import build
from malaria_exp.evaluation.ood import Features, fit_detector
from malaria_exp.runs.saved_detector import read_detector, write_detector
from malaria_exp.utils.errors import ConfigError, RunFolderError

DRAW = np.random.default_rng(0)


def features(patients):
    return Features([DRAW.normal(size=(patients * 10, size)) for size in (5, 7)], np.repeat(np.arange(patients).astype(str), 10))


DETECTOR = fit_detector("knn", build("ood", "knn", {"cells": 30}), ("color", "last"), (4,), features(8), features(4), seed=0)


@pytest.fixture
def folder(tmp_path):
    record = json.loads(json.dumps(write_detector(tmp_path, DETECTOR)))
    (tmp_path / "record.json").write_text(json.dumps(record))
    return tmp_path


def read(folder, **changes):
    return read_detector(folder, json.loads((folder / "record.json").read_text()) | changes, "model.json: ood")


def test_it_is_read_back_to_the_last_bit(folder):
    found, images = read(folder), features(3).values
    np.testing.assert_array_equal(found.scores(images), DETECTOR.scores(images))
    assert (found.name, found.taps, found.false_warnings, found.shift) == ("knn", (4,), DETECTOR.false_warnings, DETECTOR.shift)
    first = (folder / "ood.npz").read_bytes()
    write_detector(folder, DETECTOR)
    assert (folder / "ood.npz").read_bytes() == first
    assert read_detector(folder, None, "") is None


def array(shape, kind="<f4", content=b"", version=b"\x01\x00"):
    """An array's file, whose header may say anything."""
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (63 - (10 + len(header)) % 64) + b"\n"
    return b"\x93NUMPY" + version + len(header).to_bytes(2, "little") + header + content


def with_entry(name, content, compression=zipfile.ZIP_STORED):
    def harm(path):
        with zipfile.ZipFile(path) as old:
            entries = {item: old.read(item) for item in old.namelist()}
        with zipfile.ZipFile(path, "w", compression) as new:
            for item, data in (entries | {name: content}).items():
                new.writestr(item, data)

    return harm


def pickled():
    out = io.BytesIO()
    np.save(out, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    return out.getvalue()


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda path: path.unlink(), "no ood.npz"),
        (lambda path: path.write_bytes(path.read_bytes()[:-60]), "cannot be read"),
        (with_entry("center_0.npy", pickled()), "holds object"),
        (with_entry("center_0.npy", array("(5,)", content=np.float32([1, 2, 3, 4, np.nan]).tobytes())), "not finite"),
        (with_entry("points_1.npy", array("(9000, 9000)")), "other numbers than its shape"),
        (with_entry("points_1.npy", array("(99999999999, 7)")), "shape"),
        (with_entry("points_1.npy", array("(-1, 7)")), "shape"),
        (with_entry("points_1.npy", array("(0, 7)")), "does not fit"),
        (with_entry("weights_0.npy", array("(5, 6)", content=bytes(120))), "does not fit"),
        (with_entry("points_0.npy", array("(30, 5)", content=bytes(10**7)), zipfile.ZIP_DEFLATED), "is compressed"),
        (with_entry("center_0.npy", array("(5,)", content=bytes(20), version=b"\x03\x00")), "another version"),
    ],
)
def test_a_file_that_would_do_harm_is_refused(folder, harm, said):
    harm(folder / "ood.npz")
    with pytest.raises(RunFolderError, match="ood.npz") as caught:
        read(folder)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"parts": ["color"] * 21},
        {"parts": []},
        {"taps": [-1]},
        {"taps": [1, 2]},
        {"false_warnings": 2},
        {"shift": None},
        {"module": "os"},
        {"name": 3},
    ],
)
def test_facts_that_would_do_harm_are_refused(folder, changes):
    with pytest.raises(ConfigError, match=r"model\.json: ood"):
        read(folder, **changes)
