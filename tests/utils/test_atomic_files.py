"""Nobody ever sees half a file."""

import errno
import json
import os
import threading

import pytest

from malaria_exp.utils import atomic_files
from malaria_exp.utils.atomic_files import (
    human_bytes,
    write_atomically,
    write_between,
    write_bytes,
    write_json,
    write_json_on_full_disk,
    write_text,
)
from malaria_exp.utils.errors import DiskFullError, UserError


def test_a_failing_writer_leaves_the_old_file_and_nothing_else(tmp_path):
    path = write_text(tmp_path / "report.html", "old")

    def write(temporary):
        temporary.write_text("half of the n")
        raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError, match="the disk is full"):
        write_atomically(path, write)
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["report.html"]


@pytest.mark.parametrize("number,kind", [(errno.ENOSPC, UserError), (errno.EDQUOT, UserError), (errno.EIO, OSError)])
def test_a_full_disk_is_said_with_what_to_do(tmp_path, number, kind):
    def write(temporary):
        temporary.write_text("half")
        raise OSError(number, os.strerror(number))

    with pytest.raises(kind) as caught:
        write_atomically(tmp_path / "split.csv", write)
    assert isinstance(caught.value, OSError), "a cache that cannot be kept is done without"
    assert isinstance(caught.value, UserError) == (number != errno.EIO)
    if number != errno.EIO:
        assert f"'{tmp_path / 'split.csv'}' cannot be written: {os.strerror(number)}. Make room there" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_on_a_full_disk_a_status_takes_the_room_of_the_one_before(tmp_path, monkeypatch):
    def full(path, data):
        raise DiskFullError("no room")

    path = write_json(tmp_path / "status.json", {"status": "running", "overrides": ["a longer list"]})
    monkeypatch.setattr(atomic_files, "write_json", full)
    write_json_on_full_disk(path, {"status": "failed"})
    assert json.loads(path.read_text()) == {"status": "failed"}
    with pytest.raises(DiskFullError, match="no room"):
        write_json_on_full_disk(tmp_path / "new.json", {})
    assert [item.name for item in tmp_path.iterdir()] == ["status.json"]


def test_an_interrupted_writer_leaves_nothing(tmp_path):
    def write(temporary):
        temporary.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "new.csv", write)
    assert list(tmp_path.iterdir()) == []


def test_the_temporary_file_is_a_neighbor_with_the_same_ending(tmp_path):
    seen = []
    write_atomically(tmp_path / "model.weights.h5", lambda temporary: (seen.append(temporary), temporary.touch()))
    assert seen[0].parent == tmp_path
    assert seen[0].name.endswith(".weights.h5")
    assert seen[0].name != "model.weights.h5"


def test_values_that_are_no_json_leave_the_old_file(tmp_path):
    path = write_json(tmp_path / "metrics.json", {"auc": 0.5})
    for bad in ({"auc": float("nan")}, {"auc": object()}):
        with pytest.raises((ValueError, TypeError)):
            write_json(path, bad)
        assert json.loads(path.read_text()) == {"auc": 0.5}
    assert len(list(tmp_path.iterdir())) == 1


def test_json_and_text_keep_letters_of_all_languages(tmp_path):
    data = {"stain": "Giemsa – 吉姆萨", "n": [1, None, True]}
    path = write_json(tmp_path / "a" / "b" / "c.json", data)
    assert json.loads(path.read_text(encoding="utf-8")) == data
    assert "吉姆萨" in path.read_text(encoding="utf-8")


def test_concurrent_writers_and_a_reader_see_whole_files_only(tmp_path):
    path = tmp_path / "status.json"
    contents = [bytes([65 + writer]) * (20_000 + writer) for writer in range(4)]
    write_bytes(path, contents[0])
    stop = threading.Event()
    broken = []

    def read():
        while not stop.is_set():
            found = path.read_bytes()
            if found not in contents:
                broken.append(found[:20])

    def write(content):
        for _ in range(15):
            write_bytes(path, content)

    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=write, args=(content,)) for content in contents]
    reader.start()
    for thread in writers:
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    reader.join()
    assert broken == []
    assert [item.name for item in tmp_path.iterdir()] == ["status.json"]


def test_what_stands_between_marks_is_written_anew(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- table: begin -->\nold\n<!-- table: end -->\nafter\n")
    for text in ("new", "newer"):
        write_between(page, "table", text)
        assert page.read_text() == f"before\n<!-- table: begin -->\n{text}\n<!-- table: end -->\nafter\n"
    write_between(page, "other", "more")
    assert page.read_text().endswith("after\n<!-- other: begin -->\nmore\n<!-- other: end -->\n")
    write_between(tmp_path / "new.md", "table", "text")
    assert (tmp_path / "new.md").read_text() == "<!-- table: begin -->\ntext\n<!-- table: end -->\n"


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (1_500_000, "1.5 MB"), (189_000_000, "189 MB"), (2.5e9, "2.5 GB"), (3e12, "3.0 TB")],
)
def test_human_bytes(size, text):
    assert human_bytes(size) == text
