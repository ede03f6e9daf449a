"""The file at the target, its folder, and several downloads of it at once."""

import io
import json
import os
import signal
import threading
import time

import pytest
from rich.console import Console
from web_server import CONTENT, DAMAGED, OTHER, SIZE, arrives, fails, go, part_of, put, serve, sha256, start_child

from malaria_exp.utils import download, progress_bars
from malaria_exp.utils.download import fetch

# A file that lies there already


def test_a_file_that_is_there_is_read_once_and_then_remembered(site, path, messages, monkeypatch):
    put(path, CONTENT)
    arrives(site.remote(), path)
    assert json.loads(path.with_name("cells.zip.ok").read_text())["sha256"] == sha256(CONTENT)
    monkeypatch.setattr(download, "file_sha256", lambda *arguments: pytest.fail("read again"))
    arrives(site.remote(), path)
    assert messages() == [f"download  checking {path} (300 kB)"]
    assert site.requests == []


def test_a_downloaded_file_is_not_read_again(site, path, monkeypatch):
    monkeypatch.setattr(download, "file_sha256", lambda *arguments: pytest.fail("read"))
    for _ in range(3):
        arrives(site.remote(), path)
    assert len(site.requests) == 1


@pytest.mark.parametrize("content", [DAMAGED, CONTENT[:-1], CONTENT + b"x", b""], ids=["a bit", "shorter", "longer", "empty"])
def test_a_file_that_was_changed_since_is_named_and_left_as_it_is(site, path, content):
    arrives(site.remote(), path)
    path.write_bytes(content)
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1_000_000))
    for _ in range(2):
        text = fails(site.remote(), path)
        assert text.startswith(f"'{path}' is not the file of {site.url}: expected 300,000 bytes with sha256 {sha256(CONTENT)}; received ")
        assert text.endswith(". Delete it and run the same command again to download it.")
    assert path.read_bytes() == content
    path.unlink()
    arrives(site.remote(), path)


def test_a_check_for_one_file_is_none_for_another(site, path):
    arrives(site.remote(), path)
    assert f"with sha256 {sha256(OTHER)}; received {sha256(CONTENT)}" in fails(site.remote(OTHER), path)
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"size": 300000}'])
def test_a_damaged_memory_of_a_check_is_none(site, path, text):
    put(path, DAMAGED)
    path.with_name("cells.zip.ok").write_text(text)
    assert "is not the file of" in fails(site.remote(), path)


# The folder


def test_a_folder_in_the_place_of_the_file_is_named(site, path):
    path.mkdir(parents=True)
    assert fails(site.remote(), path).startswith(f"'{path}' is in the way of a download") and site.requests == []


def test_a_folder_that_cannot_be_made_is_named_with_the_way_out(site, tmp_path):
    put(tmp_path / "file", b"in the way")
    text = fails(site.remote(), tmp_path / "file" / "below" / "cells.zip", setting="here.root=...")
    assert text.startswith(f"cannot store the download '{tmp_path}/file/below/cells.zip': ")
    assert "Not a directory" in text and "choose another folder: here.root=..." in text


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_named_but_a_right_file_in_it_is_taken(site, path):
    put(path, CONTENT)
    path.parent.chmod(0o500)
    assert fetch(site.remote(), path) == path
    assert "Permission denied" in fails(site.remote(), path.with_name("other.zip")) and site.requests == []
    path.parent.chmod(0o700)


def test_a_full_disk_is_told_and_costs_nothing_of_what_was_written(site, path):
    resource = pytest.importorskip("resource")
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, old[1]))
    try:
        text = fails(site.remote(), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, ignored)
    assert text.startswith(f"cannot store the download '{path}': ")
    assert "File too large. What has arrived is kept. Make room" in text
    assert part_of(path).read_bytes() == CONTENT[:100_000]
    arrives(site.remote(), path)
    assert site.ranges() == [None, "bytes=100000-"]


# Several at once


def test_processes_that_start_together_download_once(site, path):
    site.answers = [serve(cut=1000), serve()]
    children = [start_child(site, path) for _ in range(3)]
    go(children)
    results = [child.communicate(timeout=60) for child in children]
    assert [out for out, _ in results] == [f"{path}\n"] * 3, results
    assert path.read_bytes() == CONTENT
    assert sum(site.sent) == SIZE


def test_a_second_thread_waits_says_so_and_takes_the_finished_file(site, path, messages):
    waiting = f"download  waiting for another run that is downloading {path}"
    seen = threading.Event()

    def answer(handler):
        seen.wait(20)
        serve()(handler)

    site.answers = [answer]
    threads = [threading.Thread(target=fetch, args=(site.remote(), path)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(1000):
        if waiting in messages():
            break
        time.sleep(0.01)
    assert not path.exists()
    seen.set()
    for thread in threads:
        thread.join(30)
    assert messages().count(waiting) == 1
    assert site.sent == [SIZE]
    arrives(site.remote(), path)


# On a terminal


def test_the_bar_counts_bytes_and_goes_on_where_the_part_ends(site, path, monkeypatch):
    terminal = Console(file=io.StringIO(), force_terminal=True, width=120, color_system=None)
    monkeypatch.setattr(progress_bars, "console", lambda: terminal)
    put(part_of(path), CONTENT[:150_000])
    site.answers = [serve(cut=100_000, stall=True), serve()]
    arrives(site.remote(), path, patience=0.5)
    assert "250.0/300.0 kB" in terminal.file.getvalue()
