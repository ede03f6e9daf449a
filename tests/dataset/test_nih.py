"""The official zip, read as it is: what lies in it beside cells is not looked at, and what is wrong in it is all said at once."""

import contextlib
import warnings
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from malaria_exp.dataset.nih import ZipCells, nih
from malaria_exp.errors import ConfigError, DataError
from malaria_exp.images import ResizeRule, decode_png
from malaria_exp.registry import build
from malaria_exp.store import open_store
from malaria_exp.table import BadImageError, CellTable


@pytest.fixture(scope="session")
def write_zip(pytestconfig):
    """The helper of tests/conftest.py: a zip in the official layout, Thumbs.db in it."""
    return pytestconfig.pluginmanager.get_plugin(str(pytestconfig.rootpath / "tests" / "conftest.py")).write_nih_zip


@pytest.fixture
def official(tmp_path, nih_files, write_zip):
    return write_zip(tmp_path / "cell_images.zip", nih_files)


@pytest.fixture(scope="module")
def real_table(real_zip) -> CellTable:
    return nih(path=str(real_zip))


def slide_of(name):
    return name.partition("_IMG_")[0]


def mapping_rows(files):
    """Rows of a mapping in the official form: no header, CRLF, the list unquoted."""
    slides = {}
    for name in sorted(files):
        slides.setdefault(slide_of(Path(name).name), []).append(Path(name).name)
    return [f"{slide},{names},,,," for slide, names in slides.items()]


def write_mapping(path, rows):
    path.write_bytes("".join(f"{row}\r\n" for row in rows).encode())
    return str(path)


def damage(path, data):
    """Changes one byte of a stored file inside a zip, so that the zip's checksum of it no longer holds."""
    whole = bytearray(path.read_bytes())
    whole[whole.index(data) + len(data) // 2] ^= 0xFF
    path.write_bytes(whole)


# The table


def test_each_file_becomes_a_row_with_the_class_of_its_folder(official, nih_files):
    table = nih(path=str(official))
    assert table.name == "nih"
    assert {f"{('Uninfected', 'Parasitized')[label]}/{name}.png" for label, name in zip(table.label, table.cell_id, strict=True)} == set(
        nih_files
    )
    assert len(table) == len(nih_files)
    assert len(np.unique(table.patient)) == 8
    assert len(np.unique(table.content)) == len(table)
    for row in range(0, len(table), 7):
        folder = ("Uninfected", "Parasitized")[table.label[row]]
        assert np.array_equal(table.source.read(row), decode_png(nih_files[f"{folder}/{table.cell_id[row]}.png"]))


def test_the_order_inside_the_zip_decides_nothing(official, nih_files, tmp_path, write_zip):
    turned = write_zip(tmp_path / "turned.zip", dict(reversed(nih_files.items())))
    first, second = nih(path=str(official)), nih(path=str(turned))
    assert first.cell_id.tolist() == second.cell_id.tolist()
    assert first.data_hash == second.data_hash


def test_what_is_no_cell_is_not_looked_at(official, nih_files, tmp_path, write_zip):
    name = next(iter(nih_files))
    junk = {
        **{f"cell_images/{file}": data for file, data in nih_files.items()},
        f"__MACOSX/cell_images/{Path(name).parent}/._{Path(name).name}": b"resource fork",
        f"{Path(name).parent}/.hidden.png": b"",
        "readme.txt": b"",
        "overview.png": b"",
        "Other/overview.png": b"",
    }
    path = write_zip(tmp_path / "junk.zip", {**nih_files, **junk})
    table = nih(path=str(path))
    assert table.data_hash == nih(path=str(official)).data_hash
    # Of a nested copy, the outer one is read.
    assert set(table.source.entries) == {f"cell_images/{name}" for name in nih_files}


@pytest.mark.parametrize("root", ["", "cell_images/", "a/b/c/"])
def test_the_class_folders_may_lie_at_any_depth(root, nih_files, tmp_path, write_zip):
    path = write_zip(tmp_path / "cells.zip", nih_files, root=root)
    assert len(nih(path=str(path))) == len(nih_files)


def test_a_png_ending_in_capitals_is_a_cell(nih_files, tmp_path, write_zip):
    path = write_zip(tmp_path / "cells.zip", {name.replace(".png", ".PNG"): data for name, data in nih_files.items()})
    assert len(nih(path=str(path))) == len(nih_files)


def test_one_name_in_both_classes_is_refused(nih_files, tmp_path, write_zip):
    name = next(file for file in nih_files if file.startswith("Uninfected"))
    other = name.replace("Uninfected", "Parasitized")
    path = write_zip(tmp_path / "cells.zip", {**nih_files, other: nih_files[name] + b"\0"})
    with pytest.raises(DataError, match=f"(?s)1 cell names more than once.*{Path(name).stem}"):
        nih(path=str(path))


def test_unknown_names_are_listed(nih_files, tmp_path, write_zip):
    odd = {f"Uninfected/ParasitizedC33P1thinF_IMG_20150619_114756a_cell_{i}.png": b"x" for i in range(25)}
    path = write_zip(tmp_path / "cells.zip", {**nih_files, **odd})
    with pytest.raises(DataError) as caught:
        nih(path=str(path))
    text = str(caught.value)
    assert "25 file names do not follow the NIH grammar" in text
    assert "cell_images/Uninfected/ParasitizedC33P1thinF" in text
    assert "and 5 more" in text


# What is no official zip


def test_no_file_names_the_drawn_cells_as_a_way_on(tmp_path):
    with pytest.raises(DataError, match=r"no file '.*nothing\.zip'.*dataset=synthetic"):
        nih(path=str(tmp_path / "nothing.zip"))
    with pytest.raises(DataError, match="no file"):
        nih(path=str(tmp_path))


def test_the_path_is_needed():
    with pytest.raises(ConfigError, match=r"dataset\.path"):
        build("dataset", "nih", {})
    with pytest.raises(ConfigError, match=r"dataset\.path"):
        build("dataset", "nih", {"path": ""})


def test_what_is_not_a_zip_is_refused(tmp_path, official):
    bad = tmp_path / "bad.zip"
    whole = official.read_bytes()
    for data in (b"", b"no zip", whole[: len(whole) // 2], whole[:-1000]):
        bad.write_bytes(data)
        with pytest.raises(DataError, match=r"bad\.zip' cannot be read as a zip"):
            nih(path=str(bad))


def test_a_damaged_directory_of_the_zip_is_a_data_error_or_does_no_harm(tmp_path, official, nih_files):
    whole = official.read_bytes()
    # The last entry is a cell; the first ones are folders' Thumbs.db.
    start = whole.rindex(b"PK\x01\x02")
    for offset in range(46):
        for value in (0, 255):
            bad = bytearray(whole)
            bad[start + offset] = value
            (tmp_path / "bad.zip").write_bytes(bad)
            # Times and such may change without harm; whatever does harm is a DataError, and nothing else.
            with contextlib.suppress(DataError):
                assert len(ZipCells(tmp_path / "bad.zip").entries) == len(nih_files)


@pytest.mark.parametrize("keep", ["Parasitized", "Uninfected", "nothing"])
def test_a_missing_class_is_refused(keep, nih_files, tmp_path, write_zip):
    path = write_zip(tmp_path / "cells.zip", {name: data for name, data in nih_files.items() if name.startswith(keep)})
    with pytest.raises(DataError, match="no folder that holds both Parasitized and Uninfected"):
        nih(path=str(path))


# Bad images


def test_images_the_zip_cannot_give_stop_the_run_with_all_bad_ones_listed(nih_files, tmp_path, write_zip):
    names = sorted(nih_files)
    files = {
        **nih_files,
        names[0]: b"",
        names[1]: b"",
        names[2]: nih_files[names[2]][:200],
        names[3]: b"not a png",
    }
    path = write_zip(tmp_path / "cells.zip", files)
    damage(path, nih_files[names[4]])
    damage(path, nih_files[names[5]])
    with pytest.raises(DataError) as caught:
        nih(path=str(path))
    listed = dict(line.strip().split(": ", 1) for line in str(caught.value).splitlines() if line.startswith("  "))
    assert set(listed) == {f"cell_images/{name}" for name in names[:6]}
    reasons = [listed[f"cell_images/{name}"] for name in names[:6]]
    assert reasons[0] == reasons[1] == "empty file (0 bytes)"
    assert "damaged PNG" in reasons[2]
    assert "not a PNG image" in reasons[3]
    assert "CRC" in reasons[4]
    assert "CRC" in reasons[5]
    assert "6 bad images" in str(caught.value)


def test_a_single_empty_file_is_enough(nih_files, tmp_path, write_zip):
    name = next(iter(nih_files))
    path = write_zip(tmp_path / "cells.zip", {**nih_files, name: b""})
    with pytest.raises(DataError, match=r"1 bad images:\n  cell_images/.*empty file"):
        nih(path=str(path))


def test_images_that_only_decoding_finds_bad_stop_it_before_training(nih_files, tmp_path, write_zip):
    names = sorted(nih_files)
    cut = nih_files[names[0]][:300]
    files = {**nih_files, names[0]: cut, names[1]: cut, names[5]: b"GIF89a", names[9]: nih_files[names[9]][:-100]}
    table = nih(path=str(write_zip(tmp_path / "cells.zip", files)))
    with pytest.raises(DataError) as caught:
        open_store(table, ResizeRule(8, "pad"), tmp_path / "cache")
    listed = {line.strip().split(": ", 1)[0] for line in str(caught.value).splitlines() if line.startswith("  ")}
    # Two files of one content are two bad files.
    assert listed == {Path(names[i]).stem for i in (0, 1, 5, 9)}


def test_a_file_damaged_after_the_table_was_read_is_a_bad_image(official, nih_files):
    table = nih(path=str(official))
    damage(official, next(iter(nih_files.values())))
    bad = []
    for row in range(len(table)):
        try:
            table.source.read(row)
        except BadImageError as error:
            bad.append(str(error))
    assert len(bad) == 1
    assert "CRC" in bad[0]


def test_compressed_files_are_read_too(nih_files, tmp_path):
    path = tmp_path / "cells.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in nih_files.items():
            archive.writestr(f"cell_images/{name}", data)
    assert len(nih(path=str(path))) == len(nih_files)
    name, data = next(iter(nih_files.items()))
    with zipfile.ZipFile(path) as archive:
        at = archive.getinfo(f"cell_images/{name}").header_offset + 30 + len(f"cell_images/{name}") + 40
    whole = bytearray(path.read_bytes())
    whole[at : at + 20] = bytes(20)
    path.write_bytes(whole)
    with pytest.raises(DataError, match="1 bad images"):
        nih(path=str(path))


def test_many_threads_read_the_same_source(official):
    table = nih(path=str(official))
    alone = [table.source.read(row) for row in range(len(table))]
    rows = [row for _ in range(20) for row in range(len(table))]
    with ThreadPoolExecutor(8) as pool:
        for row, got in zip(rows, pool.map(table.source.read, rows), strict=True):
            assert np.array_equal(got, alone[row])


# Mappings


def test_mappings_that_agree_change_nothing(official, nih_files, tmp_path):
    rows = mapping_rows(nih_files)
    both = [write_mapping(tmp_path / "a.csv", rows[::2]), write_mapping(tmp_path / "b.csv", rows[1::2])]
    assert nih(path=str(official), mappings=both).data_hash == nih(path=str(official)).data_hash


def test_the_first_row_of_a_mapping_is_no_header(official, nih_files, tmp_path):
    rows = mapping_rows(nih_files)
    with pytest.raises(DataError) as caught:
        nih(path=str(official), mappings=[write_mapping(tmp_path / "a.csv", rows[1:])])
    lost = {Path(name).name for name in nih_files if slide_of(Path(name).name) == rows[0].split(",")[0]}
    assert f"{len(lost)} of {len(nih_files)} files do not agree" in str(caught.value)
    assert f"{min(lost)}: name says {slide_of(min(lost))}, mapping says nothing" in str(caught.value)


def test_a_file_under_another_slide_is_named_with_both(official, nih_files, tmp_path):
    rows = mapping_rows(nih_files)
    name = min(Path(file).name for file in nih_files)
    other = next(row for row in rows if not row.startswith(slide_of(name)))
    rows = [row.replace(f"'{name}'", "'x.png'") for row in rows if row != other] + [other.replace("[", f"['{name}', ", 1)]
    with pytest.raises(DataError) as caught:
        nih(path=str(official), mappings=[write_mapping(tmp_path / "a.csv", rows)])
    assert f"1 of {len(nih_files)} files do not agree" in str(caught.value)
    assert f"{name}: name says {slide_of(name)}, mapping says {other.partition(',')[0]}" in str(caught.value)


@pytest.mark.parametrize("broken", ["C1P1ThinF", "slide,files", "C1P1ThinF,'a.png'", "C1P1ThinF,['a.png'", ",['a.png']", "\ufffd\0"])
def test_a_malformed_mapping_row_is_named_by_its_line(broken, official, nih_files, tmp_path):
    rows = mapping_rows(nih_files)
    rows.insert(2, broken)
    with pytest.raises(DataError, match=r"a\.csv, line 3: expected slide"):
        nih(path=str(official), mappings=[write_mapping(tmp_path / "a.csv", rows)])


def test_a_mapping_that_is_no_text_is_refused(official, tmp_path):
    (tmp_path / "a.csv").write_bytes(bytes(range(128, 256)))
    with pytest.raises(DataError, match=r"a\.csv, line 1"):
        nih(path=str(official), mappings=[str(tmp_path / "a.csv")])


def test_a_missing_mapping_is_named(official, tmp_path):
    with pytest.raises(ConfigError, match=r"dataset\.mappings: no file '.*nowhere\.csv'"):
        nih(path=str(official), mappings=[str(tmp_path / "nowhere.csv")])


# The real cells


def test_the_real_zip_holds_what_is_known_of_it(real_table):
    summary = real_table.summary()
    if summary["cells"] != 15_389:
        pytest.skip(f"this zip holds {summary['cells']} cells, not the 15,389 of shared/nih")
    assert (summary["parasitized"], summary["uninfected"]) == (8_451, 6_938)
    assert (summary["patients"], summary["infected_patients"], summary["healthy_patients"]) == (100, 75, 25)
    assert summary["slides"] == 101
    assert len(np.unique(real_table.content)) == 15_389


def test_both_slides_of_patient_8_belong_to_one_patient(real_table):
    slides = {slide for slide in np.unique(real_table.slide).tolist() if slide.startswith("C47P8")}
    assert slides == {"C47P8thinOriginalOlympusCX21", "C47P8thin_Original_Motic"}
    for slide in slides:
        assert np.unique(real_table.patient[real_table.slide == slide]).tolist() == ["P008"]
    assert set(real_table.slide[real_table.patient == "P008"].tolist()) == slides


def test_the_official_mappings_agree_with_the_real_zip(real_zip, real_table, monkeypatch):
    mappings = [real_zip.with_name(f"patientid_cellmapping_{name}.csv") for name in ("parasitized", "uninfected")]
    if not all(path.is_file() for path in mappings):
        pytest.skip(f"no mappings beside {real_zip}")
    # The pixels are hashed already; here only the names matter.
    monkeypatch.setattr(ZipCells, "hash_contents", lambda self: real_table.content)
    assert nih(path=str(real_zip), mappings=[str(path) for path in mappings]).data_hash == real_table.data_hash
    with pytest.raises(DataError, match="do not agree with the mapping"):
        nih(path=str(real_zip), mappings=[str(mappings[0])])


def test_a_real_cell_is_rgb_and_black_outside(real_table):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for row in range(0, len(real_table), 500):
            image = real_table.source.read(row)
            assert image.dtype == np.uint8
            assert not image[0, 0].any()
            assert image.any()
