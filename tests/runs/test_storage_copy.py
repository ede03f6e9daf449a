"""A copy holds what was asked for, and is whole or not there at all."""

import json
import shutil

import pytest

from malaria_exp.runs.storage_copy import PARTS, below, check_folder, check_place, copy_to_folder, copy_to_place, files_of
from malaria_exp.utils.errors import ConfigError, DataError, RunFolderError, UserError
from malaria_exp.utils.filesystem_kinds import FsspecFilesystem
from malaria_exp.utils.filesystems import open_filesystem

EVERYTHING = ["everything"]


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def files_at(url):
    import fsspec

    system, root = fsspec.core.url_to_fs(url)
    return sorted(name.removeprefix(f"{root}/") for name in system.find(root))


def test_everything_is_every_file_with_the_status_last(small_run):
    found = files_of(small_run, EVERYTHING)
    assert sorted(found) == files(small_run) and found[-1] == "status.json"


@pytest.mark.parametrize("part", PARTS)
def test_a_part_brings_its_files_and_what_says_what_run_it_is(small_run, part):
    found = set(files_of(small_run, [part]))
    assert {"status.json", "config.yaml", "provenance.json"} < found
    assert {name.partition("/")[0] for name in found} - {"status.json", "config.yaml", "provenance.json"} <= set(PARTS[part])
    assert "profile/own.txt" not in found


def test_all_parts_together_miss_nothing_that_a_run_writes(finished_run):
    assert sorted(files_of(finished_run, list(PARTS))) == files(finished_run)


def test_links_are_left_out(small_run, tmp_path):
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "key").write_text("secret")
    (small_run / "linked").symlink_to(tmp_path / "private")
    (small_run / "plots" / "key").symlink_to(tmp_path / "private" / "key")
    assert not [name for name in files_of(small_run, EVERYTHING) if "key" in name]


@pytest.fixture(params=["folder", "url"])
def copy(request, tmp_path, small_run):
    """(function that copies the run and returns where it is, function that lists the copy, function that reads a file of it)."""
    if request.param == "folder":
        target = tmp_path / "kept" / "run"
        return lambda: copy_to_folder(small_run, EVERYTHING, target), lambda: files(target), lambda name: (target / name).read_bytes()
    url = f"memory://{request.node.name}/kept/run"
    return (
        lambda: copy_to_place(small_run, EVERYTHING, url, "storage.url"),
        lambda: files_at(url),
        lambda name: open_filesystem(url, "k").read(name),
    )


def test_the_copy_is_the_run_and_its_status_says_where_it_is(copy, small_run):
    make, listed, read = copy
    where = make()
    assert listed() == files(small_run)
    assert read("model.keras") == (small_run / "model.keras").read_bytes()
    assert json.loads(read("status.json")) == {"task": "train", "status": "done", "stored": where}
    # The run itself is left as it was: its status is told by whoever asked for the copy.
    assert json.loads((small_run / "status.json").read_text()) == {"task": "train", "status": "done"}


def test_a_copy_never_goes_over_another_run(copy, small_run):
    make, _, read = copy
    make()
    (small_run / "model.keras").write_text("another")
    with pytest.raises(RunFolderError, match="exists already"):
        make()
    assert read("model.keras") == b"model.keras"


def test_a_copy_that_breaks_off_leaves_nothing_and_can_be_made_later(copy, monkeypatch, tmp_path):
    make, listed, _ = copy
    real, calls = shutil.copyfile, []

    def fail(*names):
        calls.append(names)
        if len(calls) == 4:
            raise OSError(28, "No space left on device")
        return real(*names)

    with monkeypatch.context() as patch:
        patch.setattr("malaria_exp.runs.storage_copy.shutil.copyfile", fail)
        with pytest.raises((UserError, OSError), match="No space left"):
            make()
    assert listed() == []
    assert not list((tmp_path / "kept").glob("*"))
    make()


def test_a_store_that_fails_is_told_without_a_password(small_run, monkeypatch):
    def fail(self, path, name):
        raise DataError(f"'{self.url}/{name}' cannot be written: no permission")

    monkeypatch.setattr(FsspecFilesystem, "put", fail)
    with pytest.raises(ConfigError) as caught:
        check_place("memory://me:hunter2@bucket/runs", "storage.url")
    assert "storage.url: runs cannot be copied to 'memory://bucket/runs'" in str(caught.value)
    assert "no permission. Nothing has been trained yet." in str(caught.value) and "hunter2" not in str(caught.value)


def test_checking_leaves_nothing_behind(tmp_path):
    check_folder(tmp_path / "new", "storage.path")
    assert list((tmp_path / "new").iterdir()) == []
    check_place("memory://checked/runs", "storage.url")
    assert files_at("memory://checked/runs") == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"storage\.path: runs cannot be copied to '.*file/runs'.*storage=none"):
        check_folder(tmp_path / "file" / "runs", "storage.path")


@pytest.mark.parametrize(
    ("url", "expected"), [("gs://b/runs", "gs://b/runs/x"), ("gs://b/", "gs://b/x"), ("az://b/runs/?sig=1", "az://b/runs/x?sig=1")]
)
def test_a_folder_below_keeps_what_stands_behind_the_question_mark(url, expected):
    assert below(url, "x") == expected
