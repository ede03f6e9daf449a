"""Folders and zips are read by name and never beyond; whatever is wrong with a file is a reason, never a hang or a crash."""

import hashlib
import os
import random
import socket
import struct
import tracemalloc
import unicodedata
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from malaria_exp.data.cell_table import BadImageError
from malaria_exp.data.readers.files import MAX_BYTES, clean_name, hash_files, is_image, open_files, split_ending
from malaria_exp.utils.errors import DataError

CENTRAL, LOCAL = b"PK\x01\x02", b"PK\x03\x04"
TREE = {"Parasitized/a.png": b"first", "Parasitized/b.png": b"second", "Uninfected/deep/er/c.png": b"third", "note.txt": b"words"}


def write_zip(path, files, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files.items() if isinstance(files, dict) else files:
            archive.writestr(name, data)
    return path


def write_folder(path, files):
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def change_headers(path, name, at_local, at_central, code, value):
    """Overwrites a field in both headers of an entry."""
    whole = bytearray(path.read_bytes())
    for signature, length, offset in ((LOCAL, 30, at_local), (CENTRAL, 46, at_central)):
        start = whole.index(signature, 0)
        while whole[start + length : start + length + len(name)] != name.encode():
            start = whole.index(signature, start + 1)
        struct.pack_into(code, whole, start + offset, value)
    path.write_bytes(whole)


def encrypt(path, name):
    change_headers(path, name, 6, 8, "<H", 1)


def contents(files):
    return {name: files.read(index) for index, name in enumerate(files.names)}


def reason(files, name):
    with pytest.raises(BadImageError) as caught:
        files.read(files.names.index(name))
    return str(caught.value)


@pytest.fixture(params=["folder", "stored", "deflated"])
def write(request, tmp_path):
    """Writes the same files in each container, and returns its path."""
    methods = {"stored": zipfile.ZIP_STORED, "deflated": zipfile.ZIP_DEFLATED}

    def make(files):
        if request.param == "folder":
            return write_folder(tmp_path / "cells", files)
        return write_zip(tmp_path / "cells.zip", files, methods[request.param])

    return make


# What lies there


def test_every_file_is_listed_and_read_with_its_folders(write):
    files = open_files(str(write(TREE)), "nih")
    assert contents(files) == TREE
    assert set(files.folders) == {".", "Parasitized", "Uninfected", "Uninfected/deep", "Uninfected/deep/er"}
    assert files.unsafe == []


def test_what_systems_leave_behind_is_not_listed(write):
    junk = {".hidden.png": b"x", "Parasitized/._a.png": b"x", "__MACOSX/Parasitized/a.png": b"x", ".git/objects/x.png": b"x"}
    assert contents(open_files(str(write({**TREE, **junk})), "nih")) == TREE


def test_files_are_read_by_many_threads(write):
    many = {f"{number}.png": os.urandom(number * 50) for number in range(1, 60)}
    files = open_files(str(write(many)), "nih")
    numbers = [number for _ in range(8) for number in range(len(many))]
    with ThreadPoolExecutor(8) as pool:
        for number, data in zip(numbers, pool.map(files.read, numbers), strict=True):
            assert data == many[files.names[number]]


def test_hashes_are_those_of_the_bytes_and_what_cannot_be_read_is_listed(write):
    files = open_files(str(write({**TREE, "empty.png": b""})), "nih")
    hashes, bad = hash_files(files, range(len(files.names)))
    assert {files.names[index]: value for index, value in hashes.items()} == {
        name: hashlib.sha256(data).hexdigest() for name, data in TREE.items()
    }
    assert bad == [("empty.png", "empty file (0 bytes)")]


def test_images_are_known_by_their_ending():
    assert all(is_image(f"folder/{name}") for name in ("a.png", "A.PNG", "x.y.JPeG", "b.jpg", "c.tif", "d.TIFF", "e.bmp", "f.webp"))
    assert not any(is_image(name) for name in ("Thumbs.db", "png", ".png", "a.png.part", "a.gif", "png/readme"))


# Paths that are wrong


@pytest.mark.parametrize("path", ["nowhere.zip", "~no_such_user_here/cells", "nul\0l", "long" * 2000])
def test_nothing_at_the_path_says_what_to_type(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"dataset\.path: there is no file or folder .*dataset=nih dataset\.path=.*dataset=synthetic"):
        open_files(path, "nih")


def test_home_is_known(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write_zip(tmp_path / "cells.zip", TREE)
    assert contents(open_files("~/cells.zip", "nih")) == TREE


def test_a_folder_that_cannot_be_listed_stops_it(tmp_path, monkeypatch):
    write_folder(tmp_path, TREE)
    scandir = os.scandir

    def refuse(path):
        if Path(path).name == "Uninfected":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError, match=r"the folder '.*Uninfected' cannot be read: Permission denied"):
        open_files(str(tmp_path), "nih")


# Links and what else a folder may hold


def test_links_to_folders_above_or_beside_add_nothing(tmp_path):
    folder = write_folder(tmp_path / "above" / "cells", TREE)
    write_folder(tmp_path / "above", {"other.png": b"x"})
    for link, target in {
        "Parasitized/up": "..",
        "Parasitized/self": ".",
        "out": "../..",
        "root": "/",
        # Sorted before the folder itself, which has to keep its own name.
        "A": "Parasitized",
        "Uninfected/deep/around": "../../Parasitized",
    }.items():
        (folder / link).symlink_to(target, target_is_directory=True)
    (tmp_path / "link").symlink_to(folder)
    for path in (folder, tmp_path / "link"):
        assert contents(open_files(str(path), "nih")) == TREE


def test_links_to_files_and_to_folders_elsewhere_are_followed(tmp_path):
    write_folder(tmp_path / "elsewhere", {"one.png": b"one", "inner/two.png": b"two"})
    folder = write_folder(tmp_path / "cells", {".store/three.png": b"three"})
    (folder / "Parasitized").symlink_to(tmp_path / "elsewhere")
    (folder / "Uninfected").symlink_to(".store")
    (folder / "same.png").symlink_to(tmp_path / "elsewhere" / "one.png")
    # A way back, through a link of a link.
    (tmp_path / "elsewhere" / "back").symlink_to(folder)
    assert contents(open_files(str(folder), "nih")) == {
        "Parasitized/one.png": b"one",
        "Parasitized/inner/two.png": b"two",
        "Uninfected/three.png": b"three",
        "same.png": b"one",
    }


def test_what_is_no_file_is_a_bad_image_and_nobody_waits_for_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe.png")
    Path("gone.png").symlink_to("nowhere")
    Path("loop.png").symlink_to("loop.png")
    Path("endless.png").symlink_to("/dev/zero")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("socket.png")
    Path("folder.png").mkdir()
    files = open_files(".", "nih")
    listener.close()
    assert set(files.names) == {"pipe.png", "gone.png", "loop.png", "endless.png", "socket.png"}
    assert reason(files, "pipe.png") == reason(files, "endless.png") == "is no ordinary file"
    assert reason(files, "gone.png") == "cannot be read: No such file or directory"
    assert "cannot be read: " in reason(files, "loop.png") and "cannot be read: " in reason(files, "socket.png")


def test_an_image_that_vanished_or_is_huge_is_a_bad_image(tmp_path):
    write_folder(tmp_path, TREE)
    with (tmp_path / "huge.png").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    files = open_files(str(tmp_path), "nih")
    (tmp_path / "Parasitized" / "a.png").unlink()
    assert reason(files, "Parasitized/a.png") == "cannot be read: No such file or directory"
    assert "far less than 67 MB" in reason(files, "huge.png")


# Names


def test_odd_names_are_read_and_shown_on_one_line(write):
    shown = {"two\nlines": "two\\nlines", "esc\x1b[31m": "esc\\x1b[31m", "tab\t": "tab\\t", "sep\u2028": "sep\\u2028"}
    shown |= {name: name for name in ("ünïcödé 细胞", "a'b\"c")}
    files = open_files(str(write({f"{name}.png": name.encode() for name in shown})), "folder")
    assert contents(files) == {f"{seen}.png": name.encode() for name, seen in shown.items()}


def test_names_that_are_no_unicode_are_read(tmp_path):
    (tmp_path / "Gr\udcf6\udcdfe.png").write_bytes(b"x")
    files = open_files(str(tmp_path), "folder")
    assert contents(files) == {"Gr\\udcf6\\udcdfe.png": b"x"}


def test_accents_of_a_mac_are_the_same_names(tmp_path):
    apart = unicodedata.normalize("NFD", "Übergröße")
    files = open_files(str(write_zip(tmp_path / "cells.zip", {f"{apart}/{apart}.png": b"x"})), "folder")
    assert files.names == ["Übergröße/Übergröße.png"] and files.folders == [".", "Übergröße"]


@given(st.text(st.characters(codec=None), min_size=1))
def test_every_name_can_be_written_on_one_line(name):
    shown = clean_name(name)
    assert len(shown.encode().decode().splitlines()) <= 1 and clean_name(shown) == shown


def test_backslashes_of_windows_are_folders(tmp_path):
    path = write_zip(tmp_path / "cells.zip", {name.replace("/", "\\"): data for name, data in TREE.items()})
    files = open_files(str(path), "nih")
    assert contents(files) == TREE and "Uninfected/deep" in files.folders


def test_empty_folders_of_a_zip_are_known(tmp_path):
    files = open_files(str(write_zip(tmp_path / "cells.zip", {**TREE, "Empty/": b"", "./Dotted/": b""})), "nih")
    assert {"Empty", "Dotted"} <= set(files.folders)
    assert contents(files) == TREE


# Zips: hostile, damaged, encrypted


def test_entries_that_point_outside_are_listed_and_never_read(tmp_path):
    rooted = ["/etc/evil.png", "C:/evil.png", "C:\\evil.png", "c:evil.png", "\\\\host\\share\\evil.png"]
    outside = ["../evil.png", "Parasitized/../../evil.png", "..\\evil.png", *rooted]
    files = open_files(str(write_zip(tmp_path / "cells.zip", {**TREE, **dict.fromkeys(outside, b"evil")})), "nih")
    assert files.unsafe == [name.replace("\\", "/") for name in outside]
    assert contents(files) == TREE
    assert not any("evil" in folder or ".." in folder for folder in files.folders)


def test_two_dots_inside_of_a_name_point_nowhere(tmp_path):
    files = open_files(str(write_zip(tmp_path / "cells.zip", {"a..b/c..png": b"x"})), "nih")
    assert contents(files) == {"a..b/c..png": b"x"} and files.unsafe == []


def test_one_encrypted_entry_is_a_bad_image_and_all_of_them_are_an_error(tmp_path):
    images = {name: data for name, data in TREE.items() if is_image(name)}
    path = write_zip(tmp_path / "cells.zip", TREE)
    encrypt(path, "Parasitized/a.png")
    files = open_files(str(path), "nih")
    assert reason(files, "Parasitized/a.png") == "is encrypted in the zip"
    assert files.read(files.names.index("Parasitized/b.png")) == b"second"
    for name in set(images) - {"Parasitized/a.png"}:
        encrypt(path, name)
    with pytest.raises(DataError, match="cells.zip' is encrypted. Unpack it with its password"):
        open_files(str(path), "nih")


def test_a_changed_byte_is_found_by_the_checksum(tmp_path):
    path = write_zip(tmp_path / "cells.zip", TREE)
    path.write_bytes(path.read_bytes().replace(b"second", b"sacond"))
    files = open_files(str(path), "nih")
    assert "CRC" in reason(files, "Parasitized/b.png")
    assert files.read(files.names.index("Parasitized/a.png")) == b"first"


def test_an_unknown_compression_of_one_entry_is_a_reason(tmp_path):
    path = write_zip(tmp_path / "cells.zip", TREE)
    change_headers(path, "Parasitized/a.png", 8, 10, "<H", 99)
    assert "is compressed by method 99" in reason(open_files(str(path), "nih"), "Parasitized/a.png")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_of_another_compression_says_that_it_must_be_unpacked(method, tmp_path):
    path = write_zip(tmp_path / "cells.zip", TREE, method)
    with pytest.raises(DataError, match=rf"is compressed by method {method} of the zip format.*Unpack it and give the folder"):
        open_files(str(path), "nih")


def test_damaged_compressed_data_is_a_reason(tmp_path):
    data = random.Random(0).randbytes(500) * 3
    path = write_zip(tmp_path / "cells.zip", {"a.png": data}, zipfile.ZIP_DEFLATED)
    whole = path.read_bytes()
    start, size = 30 + len("a.png"), whole.index(CENTRAL) - 30 - len("a.png")
    for offset in range(0, size, 7):
        changed = bytearray(whole)
        changed[start + offset] ^= 0xFF
        path.write_bytes(changed)
        files = open_files(str(path), "nih")
        assert reason(files, "a.png").startswith(("cannot be read from the zip: ", "damaged in the zip: "))


def test_a_zip_that_claims_a_huge_image_is_not_unpacked(tmp_path):
    path = write_zip(tmp_path / "cells.zip", {"bomb.png": bytes(MAX_BYTES + 1)}, zipfile.ZIP_DEFLATED)
    assert "far less than 67 MB" in reason(open_files(str(path), "nih"), "bomb.png")


def test_a_zip_that_lies_about_a_huge_image_cannot_fill_the_memory(tmp_path):
    path = write_zip(tmp_path / "cells.zip", {"bomb.png": bytes(MAX_BYTES)}, zipfile.ZIP_DEFLATED)
    for value, local, central in ((1000, 22, 24), (zlib.crc32(bytes(1000)), 14, 16)):
        change_headers(path, "bomb.png", local, central, "<I", value)
    files = open_files(str(path), "nih")
    tracemalloc.start()
    try:
        # As long as it claims to be, and whole by its checksum: what lies beyond is simply not part of it.
        assert files.read(0) == bytes(1000)
        assert tracemalloc.get_traced_memory()[1] < MAX_BYTES / 8
    finally:
        tracemalloc.stop()


def test_a_zip_cut_at_any_place_is_an_error(tmp_path):
    whole = write_zip(tmp_path / "cells.zip", TREE).read_bytes()
    for length in range(len(whole)):
        (tmp_path / "cut.zip").write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"cut\.zip' cannot be read as a zip: .*Was the download cut off"):
            open_files(str(tmp_path / "cut.zip"), "nih")


@pytest.mark.parametrize("data", [b"no zip at all", b"\x89PNG\r\n\x1a\n", b"PK\x05\x06", bytes(100)])
def test_what_is_no_zip_is_refused(data, tmp_path):
    (tmp_path / "cells.zip").write_bytes(data)
    with pytest.raises(DataError, match="cannot be read as a zip"):
        open_files(str(tmp_path / "cells.zip"), "nih")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<!doctype html><title>Log in", r"is a web page \(HTML or XML\)"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 353452851\n", "is a Git LFS pointer.*git lfs pull"),
        (b"7z\xbc\xaf\x27\x1c....", "is a 7z archive.*Unpack it"),
    ],
)
def test_what_lies_in_place_of_a_zip_is_named(content, message, tmp_path):
    (tmp_path / "cells.zip").write_bytes(content)
    with pytest.raises(DataError, match=rf"cells\.zip' {message}"):
        open_files(str(tmp_path / "cells.zip"), "folder")


def test_a_zip_with_any_byte_changed_is_read_or_refused_and_nothing_else(tmp_path):
    whole = write_zip(tmp_path / "cells.zip", {name: data * 9 for name, data in TREE.items()}, zipfile.ZIP_DEFLATED).read_bytes()
    path = tmp_path / "changed.zip"
    for offset in range(len(whole)):
        for value in (0, 255):
            path.write_bytes(whole[:offset] + bytes([value]) + whole[offset + 1 :])
            try:
                files = open_files(str(path), "nih")
            except DataError:
                continue
            for index in range(len(files.names)):
                try:
                    assert len(files.read(index)) <= MAX_BYTES
                except BadImageError as error:
                    assert len(str(error).splitlines()) == 1


def test_two_entries_of_one_name_are_two_files(tmp_path):
    path = tmp_path / "cells.zip"
    with pytest.warns(UserWarning, match="Duplicate name"):
        write_zip(path, [("a.png", b"one"), ("a.png", b"two")])
    files = open_files(str(path), "nih")
    assert files.names == ["a.png", "a.png"]
    assert [files.read(0), files.read(1)] == [b"one", b"two"]


@given(st.text("ab./é ", max_size=9))
def test_paths_are_what_pathlib_takes_them_for(name):
    path = PurePosixPath(name)
    tidy = path.as_posix()
    assert clean_name(name) == unicodedata.normalize("NFC", tidy)
    if path.name not in ("", ".."):
        assert split_ending(tidy) == (path.with_suffix("").as_posix(), path.suffix)
