"""The official files are fetched once for all later runs, and the mappings among them are held against the names."""

import hashlib
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from malaria_exp.components.dataset.nih import nih
from malaria_exp.data.readers import nih_files as module
from malaria_exp.data.readers.nih_files import OFFICIAL, check_mappings, download
from malaria_exp.utils.errors import ConfigError, DataError


@pytest.fixture
def official(tmp_path, nih_files, make_nih_zip):
    return make_nih_zip(tmp_path / "cell_images.zip", nih_files)


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


def test_a_mapping_that_an_editor_saved_with_a_byte_order_mark_agrees(official, nih_files, tmp_path):
    path = write_mapping(tmp_path / "a.csv", ["\ufeff" + mapping_rows(nih_files)[0], *mapping_rows(nih_files)[1:]])
    assert len(nih(path=str(official), mappings=[path])) == len(nih_files)


def test_a_missing_mapping_is_named(official, tmp_path):
    for path, reason in (
        (tmp_path / "nowhere.csv", "no file"),
        (tmp_path, "Is a directory"),
        ("~no_such_user_here/a.csv", "cannot be read"),
    ):
        with pytest.raises(ConfigError, match=rf"dataset\.mappings: .*{reason}"):
            nih(path=str(official), mappings=[str(path)])


def test_the_official_mappings_agree_with_the_real_cells(real_zip):
    mappings = [real_zip.with_name(f"patientid_cellmapping_{name}.csv") for name in ("parasitized", "uninfected")]
    if not all(path.is_file() for path in mappings):
        pytest.skip(f"no mappings beside {real_zip}")
    for path in mappings:
        assert OFFICIAL[path.name] == (path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
    with zipfile.ZipFile(real_zip) as archive:
        slides = {Path(name).name: slide_of(Path(name).name) for name in archive.namelist() if name.endswith(".png")}
    check_mappings(slides, mappings)
    with pytest.raises(DataError, match="do not agree with the mapping"):
        check_mappings(slides, mappings[:1])


# Fetching


class Mirror:
    """A server of the three official files in small.

    Attributes:
        url: of the folder that holds them.
        asked: the names of the files that were asked for.
    """

    def __init__(self, folder):
        self.asked = asked = []

        class Handler(SimpleHTTPRequestHandler):
            def do_GET(self):
                asked.append(Path(self.path).name)
                super().do_GET()

            def log_message(self, *arguments):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        self.url = f"http://127.0.0.1:{self._server.server_port}/public"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def mirror(tmp_path, official, nih_files, monkeypatch):
    """The official files as a mirror would have them, if the set were these few cells."""
    folder = tmp_path / "mirror" / "public"
    folder.mkdir(parents=True)
    (folder / "cell_images.zip").write_bytes(official.read_bytes())
    for class_name in ("Parasitized", "Uninfected"):
        rows = mapping_rows([name for name in nih_files if name.startswith(class_name)])
        write_mapping(folder / f"patientid_cellmapping_{class_name.lower()}.csv", rows)
    facts = {path.name: (path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest()) for path in folder.iterdir()}
    assert set(facts) == set(OFFICIAL)
    monkeypatch.setattr(module, "OFFICIAL", facts)
    monkeypatch.setenv("MALARIA_EXP_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    site = Mirror(tmp_path / "mirror")
    yield site
    site.stop()


def test_it_is_fetched_once_and_serves_every_later_run(mirror, official, tmp_path):
    first = nih(url=mirror.url)
    assert first.data_hash == nih(path=str(official)).data_hash
    assert sorted(mirror.asked) == sorted(OFFICIAL) and mirror.asked[-1] == "cell_images.zip"
    mirror.stop()
    assert nih(url=mirror.url).data_hash == first.data_hash
    assert len(mirror.asked) == 3
    assert (tmp_path / "data" / "nih" / "cell_images.zip").read_bytes() == official.read_bytes()


def test_the_mappings_that_came_with_it_are_checked(mirror, tmp_path, monkeypatch):
    path = tmp_path / "mirror" / "public" / "patientid_cellmapping_uninfected.csv"
    path.write_bytes(path.read_bytes().partition(b"\r\n")[2])
    facts = {**module.OFFICIAL, path.name: (path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())}
    monkeypatch.setattr(module, "OFFICIAL", facts)
    with pytest.raises(DataError, match="do not agree with the mapping"):
        nih(url=mirror.url)


def test_the_root_counts_before_the_environment_and_that_before_home(mirror, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    archive, mappings = download(str(tmp_path / "root"), f"{mirror.url}/")
    assert archive == tmp_path / "root" / "nih" / "cell_images.zip"
    assert {path.name for path in mappings} == set(OFFICIAL) - {archive.name}
    assert not (tmp_path / "data").exists()
    assert download(None, mirror.url)[0] == tmp_path / "data" / "nih" / "cell_images.zip"
    monkeypatch.delenv("MALARIA_EXP_DATA")
    assert download(None, mirror.url)[0] == tmp_path / "home" / ".local" / "share" / "malaria_exp" / "nih" / "cell_images.zip"
    assert download("~/mine", mirror.url)[0] == tmp_path / "home" / "mine" / "nih" / "cell_images.zip"
    assert len(mirror.asked) == 12
    with pytest.raises(ConfigError, match=r"dataset\.root: '~no_such_user_here/data'"):
        download("~no_such_user_here/data", mirror.url)


def test_offline_is_one_message_with_both_ways_on(mirror, tmp_path):
    mirror.stop()
    with pytest.raises(DataError) as caught:
        nih(url=mirror.url)
    assert "dataset.path=" in str(caught.value) and "dataset=synthetic" in str(caught.value)
    assert "127.0.0.1" in str(caught.value)
    assert not list((tmp_path / "data").rglob("*.zip"))


def test_refused_or_other_files_are_the_same_message(mirror, tmp_path):
    with pytest.raises(DataError, match=r"(?s)HTTP 404.*dataset\.path=.*dataset=synthetic"):
        nih(url=f"{mirror.url}/elsewhere")
    (tmp_path / "mirror" / "public" / "cell_images.zip").write_bytes(b"<html>please log in</html>")
    with pytest.raises(DataError, match=r"(?s)another one.*dataset\.path=.*dataset=synthetic"):
        nih(url=mirror.url)


def test_a_path_is_never_fetched(mirror, official):
    nih(path=str(official), url=mirror.url)
    assert mirror.asked == []


def test_the_official_files_are_those_whose_facts_are_known():
    assert OFFICIAL["cell_images.zip"] == (353_452_851, "0a949556b2414159b5100192609805376654c4266d8d187be9b1922fad43c668")
