"""The NIH cells are the same cells in whatever form they lie there, fetched or given, and what is wrong with them is all said at once."""

import contextlib
import io
import warnings
import zipfile
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from PIL import Image

from malaria_exp.components.dataset.nih import nih
from malaria_exp.config.registry import build
from malaria_exp.data.bad_images import exclude_bad_images
from malaria_exp.data.cell_table import BadImageError, CellTable
from malaria_exp.data.decode import decode
from malaria_exp.data.pixel_cache import open_pixel_cache
from malaria_exp.data.resize import ResizeRule
from malaria_exp.utils.errors import ConfigError, DataError


@pytest.fixture
def official(tmp_path, nih_files, make_nih_zip):
    return make_nih_zip(tmp_path / "cell_images.zip", nih_files)


@pytest.fixture(scope="module")
def real_table(real_zip) -> CellTable:
    return nih(path=str(real_zip))


@pytest.fixture(scope="module")
def some_real_cells(real_zip):
    """A few hundred of the real files, of many patients: {"Parasitized/....png": bytes}."""
    with zipfile.ZipFile(real_zip) as archive:
        names = [name for name in archive.namelist() if name.endswith(".png")][::47]
        return {name.removeprefix("cell_images/"): archive.read(name) for name in names}


def damage(path, data):
    """Changes one byte of a stored file inside a zip, so that the zip's checksum of it no longer holds."""
    whole = bytearray(path.read_bytes())
    whole[whole.index(data) + len(data) // 2] ^= 0xFF
    path.write_bytes(whole)


def listed(error):
    """{file: reason} of a message that lists bad images."""
    return dict(line.strip().split(": ", 1) for line in str(error).splitlines() if line.startswith("  "))


# One set of cells in every form


def with_prefix(name):
    path = PurePosixPath(name)
    return f"{path.parent}/{path.parent}{path.name}"


def by_part(files, form):
    return {form.format(part=("train", "test", "valid")[number % 3], name=name): data for number, (name, data) in enumerate(files.items())}


def below_class(files):
    parts = by_part(files, "{part}|{name}")
    return {
        f"{PurePosixPath(name.partition('|')[2]).parent}/{name.partition('|')[0]}/{Path(name).name}": data for name, data in parts.items()
    }


def of_patients(files):
    return {f"{PurePosixPath(name).name.partition('_IMG_')[0]}/{name}": data for name, data in files.items()}


FORMS = {
    "official": lambda files: {f"cell_images/{name}": data for name, data in files.items()},
    "at the top": dict,
    "deep": lambda files: {f"a/b c/{name}": data for name, data in files.items()},
    "turned": lambda files: dict(reversed(files.items())),
    "nested as Kaggle does": lambda files: {
        f"{root}{name}": data for root in ("cell_images/", "cell_images/cell_images/") for name, data in files.items()
    },
    "lower case": lambda files: {f"{name.partition('/')[0].lower()}/{name.partition('/')[2]}": data for name, data in files.items()},
    "upper case": lambda files: {f"{name.partition('/')[0].upper()}/{name.partition('/')[2]}": data for name, data in files.items()},
    "ending in capitals": lambda files: {name.replace(".png", ".PNG"): data for name, data in files.items()},
    "class in front of the names": lambda files: {with_prefix(name): data for name, data in files.items()},
    "class in the names alone": lambda files: {with_prefix(name).partition("/")[2]: data for name, data in files.items()},
    "class in names below parts": lambda files: by_part(
        {with_prefix(name).partition("/")[2]: data for name, data in files.items()}, "{part}/{name}"
    ),
    "train and test above": lambda files: by_part(files, "{part}/{name}"),
    "train and test further down": lambda files: by_part(files, "malaria/cell_images/{part}/{name}"),
    "train and test above a folder": lambda files: by_part(files, "{part}/cell_images/{name}"),
    "train and test below the classes": below_class,
    "test without a class": lambda files: {
        f"{'train' if name.startswith('Parasitized') or number % 2 else 'test'}/{name}": data
        for number, (name, data) in enumerate(files.items())
    },
    "a folder a patient": of_patients,
    "with what systems leave": lambda files: {
        **files,
        "Parasitized/Thumbs.db": b"x",
        "Uninfected/.DS_Store": b"x",
        "__MACOSX/Parasitized/._a.png": b"x",
        "Parasitized/.hidden.png": b"",
        "readme.txt": b"x",
        "overview.png": b"x",
        "Other/overview.png": b"x",
    },
}


def write_form(container, files, path):
    if container == "folder":
        for name, data in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(data)
        return path
    method = zipfile.ZIP_DEFLATED if container == "compressed zip" else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name.replace("/", "\\") if container == "Windows zip" else name, data)
    return path


def assert_same(table, reference):
    assert table.data_hash == reference.data_hash
    for column in ("cell_id", "label", "patient", "slide", "field", "content"):
        assert getattr(table, column).tolist() == getattr(reference, column).tolist()
    assert table.bad == ()


@pytest.mark.parametrize("form", FORMS)
def test_the_form_decides_nothing(form, official, nih_files, tmp_path):
    reference = nih(path=str(official))
    for container in ("folder", "zip", "compressed zip", "Windows zip"):
        table = nih(path=str(write_form(container, FORMS[form](nih_files), tmp_path / container)))
        assert_same(table, reference)
    assert len(table) == len(nih_files)
    for row in range(0, len(table), 7):
        name = f"{('Uninfected', 'Parasitized')[table.label[row]]}/{table.cell_id[row]}.png"
        assert np.array_equal(table.source.read(row), decode(nih_files[name]))


@pytest.mark.parametrize("container", ["folder", "zip", "Windows zip"])
def test_the_form_decides_nothing_for_real_cells(container, some_real_cells, real_table, tmp_path):
    rows = np.flatnonzero(np.isin(real_table.cell_id, [Path(name).stem for name in some_real_cells]))
    assert len(rows) == len(some_real_cells) > 300
    for number, form in enumerate(FORMS.values()):
        table = nih(path=str(write_form(container, form(some_real_cells), tmp_path / str(number))))
        assert_same(table, real_table.select(rows))


# The table


def test_each_file_becomes_a_row_with_the_class_of_its_folder(official, nih_files):
    table = nih(path=str(official))
    assert table.name == "nih"
    folders = [("Uninfected", "Parasitized")[label] for label in table.label]
    assert {f"{folder}/{name}.png" for folder, name in zip(folders, table.cell_id, strict=True)} == set(nih_files)
    assert {f"cell_images/{name}" for name in nih_files} == set(table.file.tolist())
    assert len(np.unique(table.patient)) == 8
    assert table.unknown_patients == 0
    assert len(np.unique(table.content)) == len(table)
    assert table.notes == ()


def test_cells_converted_to_other_formats_keep_their_patients(official, nih_files, tmp_path):
    formats, files = ("jpeg", "tiff", "bmp", "webp", "png"), {}
    for number, (name, data) in enumerate(sorted(nih_files.items())):
        out = io.BytesIO()
        Image.open(io.BytesIO(data)).save(out, formats[number % 5])
        files[str(PurePosixPath(name).with_suffix(f".{formats[number % 5]}"))] = out.getvalue()
    table, reference = nih(path=str(write_form("folder", files, tmp_path / "copy"))), nih(path=str(official))
    assert table.cell_id.tolist() == reference.cell_id.tolist()
    assert table.patient.tolist() == reference.patient.tolist()
    for row in range(len(table)):
        assert table.source.read(row).shape == reference.source.read(row).shape


# What is wrong with the place


def test_an_empty_path_a_strange_address_or_an_empty_folder_is_refused(tmp_path):
    for key, value in (("path", ""), ("url", "file:///etc/")):
        with pytest.raises(ConfigError, match=rf"dataset\.{key}"):
            build("dataset", "nih", {key: value})
    with pytest.raises(DataError, match="holds no files"):
        nih(path=str(tmp_path))


@pytest.mark.parametrize("keep", ["Parasitized", "Uninfected"])
def test_an_empty_class_is_refused_and_a_missing_one_is_not(keep, nih_files, tmp_path, make_nih_zip):
    half = {name: data for name, data in nih_files.items() if name.startswith(keep)}
    lost = {"Parasitized": "uninfected", "Uninfected": "parasitized"}[keep]
    assert len(nih(path=str(write_form("zip", half, tmp_path / "missing.zip")))) == len(half)
    # The folder is there, with Thumbs.db.
    with pytest.raises(DataError, match=rf"holds no image \({lost}: cell_images/{lost.capitalize()}\)"):
        nih(path=str(make_nih_zip(tmp_path / "empty.zip", half)))
    with pytest.raises(DataError, match=r"holds no image \(uninfected: cell_images/Uninfected; parasitized: cell_images/Parasitized\)"):
        nih(path=str(make_nih_zip(tmp_path / "none.zip", {})))


def test_other_cells_are_sent_to_folder(tmp_path):
    files = {f"{folder}/{number}.png": bytes([number]) for folder in ("Parasitized", "Uninfected") for number in range(50)}
    with pytest.raises(DataError, match=r"(?s)none of the 100 images in .* has a name of the NIH set.*and 95 more.*dataset=folder"):
        nih(path=str(write_form("folder", files, tmp_path / "cells")))


# Bad images: listed, never used


def test_names_that_tell_no_patient_or_contradict_their_folder_are_bad(nih_files, tmp_path, make_nih_zip):
    unknown = "its name does not follow the NIH grammar, so its patient is unknown"
    odd = {
        "Uninfected/cell_1.png": unknown,
        "Parasitized/C33P1thinF_IMG_20150619_114756a_cell_179 (1).png": unknown,
        "Uninfected/ParasitizedC33P1thinF_IMG_20150619_114756a_cell_179.png": "its name says parasitized, its folder uninfected",
    }
    table = nih(path=str(make_nih_zip(tmp_path / "cells.zip", nih_files | {name: name.encode() for name in odd})))
    assert dict(table.bad) == {f"cell_images/{name}": reason for name, reason in odd.items()}
    assert len(table) == len(nih_files)


def test_all_that_is_bad_stops_the_run_in_one_list(nih_files, tmp_path, make_nih_zip):
    names = sorted(nih_files)
    cut = nih_files[names[1]][:300]
    files = {**nih_files, names[0]: b"", names[1]: cut, names[2]: cut, names[5]: b"GIF89a", names[9]: nih_files[names[9]][:-100]}
    path = str(make_nih_zip(tmp_path / "cells.zip", files))
    table = nih(path=path)
    with pytest.raises(DataError, match="dataset 'nih': 5 bad images:") as caught:
        exclude_bad_images(table, open_pixel_cache(table, ResizeRule(8, "pad"), tmp_path / "cache"))
    assert set(listed(caught.value)) == {f"cell_images/{names[number]}" for number in (0, 1, 2, 5, 9)}
    assert "dataset.on_bad_image=skip" in str(caught.value)
    table = nih(path=path, on_bad_image="skip", max_bad_fraction=0.5)
    kept, pixel_cache, excluded = exclude_bad_images(table, open_pixel_cache(table, ResizeRule(8, "pad"), tmp_path / "cache"))
    assert {item.file for item in excluded} == set(listed(caught.value))
    assert len(kept) == len(nih_files) - 5
    assert pixel_cache.take(np.arange(len(kept))).shape == (len(kept), 8, 8, 3)


def test_a_file_damaged_after_the_table_was_read_is_a_bad_image(official, nih_files):
    table = nih(path=str(official))
    damage(official, next(iter(nih_files.values())))
    bad = []
    for row in range(len(table)):
        with contextlib.suppress(BadImageError):
            table.source.read(row)
            continue
        bad.append(table.file[row])
    assert bad == [f"cell_images/{next(iter(nih_files))}"]


# The real cells


def test_the_real_zip_holds_what_is_known_of_it(real_table):
    summary = real_table.summary()
    if summary["cells"] != 15_389:
        pytest.skip(f"this zip holds {summary['cells']} cells, not the 15,389 of 100 patients")
    assert (summary["parasitized"], summary["uninfected"]) == (8_451, 6_938)
    assert (summary["patients"], summary["infected_patients"], summary["healthy_patients"]) == (100, 75, 25)
    assert summary["slides"] == 101
    assert len(np.unique(real_table.content)) == 15_389
    assert (real_table.bad, real_table.notes, real_table.unknown_patients) == ((), (), 0)


def test_a_real_cell_is_rgb_and_black_outside(real_table):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for row in range(0, len(real_table), 500):
            image = real_table.source.read(row)
            assert image.dtype == np.uint8
            assert not image[0, 0].any()
            assert image.any()
