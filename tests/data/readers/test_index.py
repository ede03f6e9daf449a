"""The packaged index is that of the NIH set, and knows its files by their bytes."""

import hashlib
import lzma
import zipfile
from collections import Counter
from pathlib import PurePosixPath

import pytest

from malaria_exp.data.readers.index import DIGITS, PATH, look_up, read_index
from malaria_exp.data.readers.names import parse_name


@pytest.fixture(scope="module")
def known():
    return list(read_index().values())


def test_all_files_patients_and_slides_of_the_set_are_in_it_once(known):
    assert len(known) == 27_558
    assert Counter(item.class_name for item in known) == {"parasitized": 13_779, "uninfected": 13_779}
    # The digits kept are enough to tell all files apart, and so are the names.
    assert len({item.digits for item in known}) == len({item.cell_id for item in known}) == 27_558
    assert {len(item.digits) for item in known} == {DIGITS}
    assert all(parse_name(item.cell_id) for item in known)
    assert len({item.parts.patient for item in known}) == 200
    assert len({item.parts.slide for item in known}) == 201
    assert len({item.parts.field for item in known}) == 1_408
    assert len({item.parts.patient for item in known if item.class_name == "parasitized"}) == 150


def test_a_content_that_is_not_in_it_is_nobodys():
    assert look_up(hashlib.sha256(b"").hexdigest()) is None
    assert look_up("") is None
    assert look_up("f" * 64) is None


def test_the_real_cells_are_known_by_their_bytes(real_zip):
    with zipfile.ZipFile(real_zip) as archive:
        names = [name for name in archive.namelist() if name.endswith(".png")][::37]
        for name in names:
            data = archive.read(name)
            found = look_up(hashlib.sha256(data).hexdigest())
            assert found.cell_id == PurePosixPath(name).stem
            assert found.class_name == PurePosixPath(name).parent.name.lower()
            assert look_up(hashlib.sha256(data + b"\0").hexdigest()) is None
    assert len(names) > 100


def test_the_packaged_file_is_sorted_by_class_and_name(known):
    text = lzma.decompress(PATH.read_bytes()).decode("ascii")
    lines = [
        f"{item.cell_id}\t{item.class_name[0]}\t{item.digits}\n" for item in sorted(known, key=lambda item: (item.class_name, item.cell_id))
    ]
    assert text == "".join(lines)
