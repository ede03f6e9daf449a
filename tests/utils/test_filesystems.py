"""Places of every kind behave alike: what is written is whole or not there, and what cannot be opened says what to install."""

import sys

import pytest

from malaria_exp.utils.atomic_files import new_folder
from malaria_exp.utils.errors import ConfigError, DataError
from malaria_exp.utils.filesystem_kinds import FsspecFilesystem, GfileFilesystem, LocalFilesystem
from malaria_exp.utils.filesystems import file_sha256, local_copy, new_file, open_filesystem, scheme_of, write_bytes

KINDS = {"local": LocalFilesystem, "gfile": GfileFilesystem, "fsspec": FsspecFilesystem}


@pytest.fixture(params=KINDS)
def filesystem(request, tmp_path):
    """A filesystem that does not exist yet."""
    name = f"{tmp_path.parent.name}-{tmp_path.name}/cells"
    url = {"local": str(tmp_path / "cells"), "gfile": f"ram://{name}", "fsspec": f"memory://{name}"}[request.param]
    found = open_filesystem(url + "/", "task.to")
    assert type(found) is KINDS[request.param]
    return found


def test_what_is_written_is_read(filesystem, tmp_path):
    assert filesystem.sizes() == {}
    write_bytes(filesystem, "a.bin", bytes(range(100)))
    write_bytes(filesystem, "b.bin", b"b")
    assert filesystem.sizes() == {"a.bin": 100, "b.bin": 1} and filesystem.read("a.bin") == bytes(range(100))
    assert filesystem.read("a.bin", 10, 20) == bytes(range(10, 20))
    assert filesystem.read("a.bin", 90) == bytes(range(90, 100))
    filesystem.fetch("a.bin", tmp_path / "mine")
    assert (tmp_path / "mine").read_bytes() == bytes(range(100))
    write_bytes(filesystem, "a.bin", b"new")
    assert filesystem.read("a.bin") == b"new"
    assert open_filesystem(filesystem.url, "task.to").sizes() == {"a.bin": 3, "b.bin": 1}


def test_a_tree_is_listed_by_paths_below_its_folder(filesystem):
    assert filesystem.tree() == {}
    write_bytes(filesystem, "a.bin", b"a")
    write_bytes(open_filesystem(f"{filesystem.url}/deep/er", "task.to"), "b.bin", b"bb")
    assert filesystem.tree() == {"a.bin": 1, "deep/er/b.bin": 2} and filesystem.read("deep/er/b.bin") == b"bb"


def test_what_fails_half_way_leaves_nothing(filesystem):
    write_bytes(filesystem, "a.bin", b"old")
    with pytest.raises(RuntimeError), new_file(filesystem, "a.bin") as path:
        path.write_bytes(b"half")
        raise RuntimeError
    assert filesystem.sizes() == {"a.bin": 3} and filesystem.read("a.bin") == b"old"


def test_what_is_removed_is_gone_and_what_is_not_there_cannot_be(filesystem):
    write_bytes(filesystem, "a.bin", b"a")
    write_bytes(filesystem, "b.bin", b"b")
    filesystem.remove("a.bin")
    assert filesystem.sizes() == {"b.bin": 1}
    with pytest.raises(DataError, match=r"cells/a\.bin' cannot be deleted"):
        filesystem.remove("a.bin")


def test_a_folder_appears_whole_or_not_at_all_and_never_over_another(tmp_path):
    with pytest.raises(RuntimeError), new_folder(tmp_path / "run") as folder:
        (folder / "half").write_bytes(b"")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with new_folder(tmp_path / "run") as folder:
        (folder / "file").write_bytes(b"first")
        assert not (tmp_path / "run").exists()
    with pytest.raises(FileExistsError), new_folder(tmp_path / "run") as folder:
        (folder / "file").write_bytes(b"second")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert (tmp_path / "run" / "file").read_bytes() == b"first"


def test_a_missing_file_is_a_data_error_that_names_it(filesystem):
    write_bytes(filesystem, "a.bin", b"a")
    with pytest.raises(DataError, match=r"cells/b\.bin' cannot be read"):
        filesystem.read("b.bin")


def test_a_copy_is_checked(filesystem, tmp_path):
    write_bytes(filesystem, "a.bin", b"cells")
    (tmp_path / "right").write_bytes(b"cells")
    copy = local_copy(filesystem, "a.bin", tmp_path, file_sha256(tmp_path / "right"))
    assert copy.read_bytes() == b"cells"
    copy.unlink()
    with pytest.raises(DataError, match=r"a\.bin' is damaged: its SHA-256 is .*, expected 0000"):
        local_copy(filesystem, "a.bin", tmp_path, "0" * 64)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["right"]


def test_a_folder_that_cannot_be_written_is_a_data_error(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match="file/cells' cannot be"):
        write_bytes(open_filesystem(str(tmp_path / "file" / "cells"), "task.to"), "a.bin", b"a")


def test_tf_data_streams_what_gfile_knows(tmp_path):
    assert open_filesystem(str(tmp_path), "p").streams
    assert open_filesystem(f"file://{tmp_path}", "p").url == str(tmp_path)
    assert open_filesystem("gs://bucket/cells", "p").streams
    assert not open_filesystem("memory://cells", "p").streams


@pytest.mark.parametrize(
    ("url", "scheme"),
    [("/a/b", ""), ("a/b", ""), ("~/a", ""), ("C:/a", ""), ("file:///a", "file"), ("S3://b/k", "s3"), ("gs://b", "gs"), ("a:b//c", "")],
)
def test_a_scheme_is_what_stands_before_the_slashes(url, scheme):
    assert scheme_of(url) == scheme


def test_without_fsspec_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(ConfigError, match=r"task\.to: 's3://' needs fsspec, .*pip install 'malaria_exp\[remote\]'"):
        open_filesystem("s3://bucket/cells", "task.to")


def test_without_the_file_systems_package_fsspec_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(ConfigError, match="dataset.path: 's3://' needs a package that is not installed: Install s3fs.* pip install s3fs"):
        open_filesystem("s3://bucket/cells", "dataset.path")


def test_an_unknown_scheme_is_answered_with_the_known_ones_and_without_passwords():
    with pytest.raises(ConfigError) as caught:
        open_filesystem("nonsense://me:hunter2@host/x?token=hunter2", "task.to")
    assert "hunter2" not in str(caught.value)
    with pytest.raises(ConfigError, match=r"task\.to: 'nonsense://x' cannot be opened: .*Schemes that are known: .*gs, .*s3, "):
        open_filesystem("nonsense://x", "task.to")


def test_a_server_that_does_not_answer_is_a_message(monkeypatch):
    def fail(*_, **__):
        raise OSError(-2, "Name or service not known")

    monkeypatch.setattr("socket.create_connection", fail)
    with pytest.raises(DataError, match=r"^task\.to: 'ftp://nowhere/x' cannot be reached: .*Name or service not known"):
        open_filesystem("ftp://nowhere/x", "task.to")
