"""Every image is decoded once: one pixel cache for equal contents, whoever asks at the same time, and none that is not whole."""

import dataclasses
import errno
import hashlib
import json
import logging
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from conftest import ROOT
from filelock import FileLock
from web_server import go

from malaria_exp.data.cache_contents import cache_contents, delete_cached
from malaria_exp.data.cache_folders import TAG
from malaria_exp.data.cell_table import STOP, BadImageError, BadImagePolicy, CellTable
from malaria_exp.data.fingerprints import fingerprint
from malaria_exp.data.image_files import new_images
from malaria_exp.data.pixel_cache import open_pixel_cache
from malaria_exp.data.resize import ResizeRule, resize
from malaria_exp.utils.errors import DataError, DiskFullError

RULE = ResizeRule(6, "pad")


class Plain:
    """Cell `i` is a picture of its own number; `bad` ones cannot be read; every read is counted."""

    def __init__(self, numbers, bad=()):
        self.numbers, self.bad, self.reads = numbers, bad, []

    def read(self, index):
        self.reads.append(index)
        if index in self.bad:
            raise BadImageError(f"bad number {self.numbers[index]}")
        return picture(self.numbers[index])


def picture(number):
    return np.random.default_rng(number).integers(0, 256, (5 + number % 4, 9, 3), dtype=np.uint8)


def make(numbers=range(20), bad=(), policy=STOP):
    numbers = list(numbers)
    n = len(numbers)
    return CellTable(
        name="pictures",
        cell_id=np.array([f"c{i:02d}" for i in range(n)]),
        label=(np.arange(n) % 2).astype(np.int8),
        patient=np.array(["P1"] * n),
        slide=np.array(["S1"] * n),
        field=np.array(["F1"] * n),
        content=np.array([hashlib.sha256(str(number).encode()).hexdigest() for number in numbers]),
        source=Plain(numbers, bad),
        policy=policy,
    )


def expected(numbers, rule=RULE):
    return np.stack([resize(picture(number), rule) for number in numbers])


def names(root):
    return sorted(path.name for path in root.iterdir() if not path.name.endswith(".lock"))


# What a pixel cache holds


def test_a_cache_holds_each_rows_image(tmp_path):
    table = make()
    pixel_cache = open_pixel_cache(table, RULE, tmp_path)
    assert np.array_equal(pixel_cache.take(np.arange(20)), expected(range(20)))
    assert np.array_equal(pixel_cache.take(np.array([7, 3, 3])), expected([7, 3, 3]))
    assert pixel_cache.images.dtype == np.uint8
    assert not pixel_cache.images.flags.writeable
    assert sorted(table.source.reads) == list(range(20))
    assert pixel_cache.pixels.tolist() == [fingerprint(picture(number)) for number in range(20)]
    marker = json.loads((pixel_cache.folder / "pixel_cache.json").read_text())
    assert (marker["images"], marker["bad"], marker["resize"]) == (20, 0, RULE.to_dict())
    assert names(tmp_path) == [pixel_cache.folder.name]
    assert pixel_cache.bad == {}
    assert not (pixel_cache.folder / "bad.json").exists()


def test_order_labels_patients_and_names_make_no_second_cache(tmp_path):
    first = open_pixel_cache(make(), RULE, tmp_path)
    order = np.random.default_rng(0).permutation(20).tolist()
    other = {"label": np.ones(20, np.int8), "patient": np.array(["P2"] * 20), "cell_id": np.array([f"x{i}" for i in range(20)])}
    table = dataclasses.replace(make(order), **other)
    second = open_pixel_cache(table, RULE, tmp_path)
    assert second.folder == first.folder
    assert table.source.reads == []
    assert np.array_equal(second.take(np.arange(20)), expected(order))


@pytest.mark.parametrize(
    "rule", [ResizeRule(7, "pad"), ResizeRule(6, "stretch"), ResizeRule(6, "pad", version=2)], ids=["size", "mode", "version"]
)
def test_another_rule_is_another_cache(tmp_path, rule):
    first, second = open_pixel_cache(make(), RULE, tmp_path), open_pixel_cache(make(), rule, tmp_path)
    assert first.folder != second.folder
    assert np.array_equal(second.take(np.arange(20)), expected(range(20), rule))
    assert np.array_equal(first.take(np.arange(20)), expected(range(20)))


def test_another_content_or_one_less_is_another_cache(tmp_path):
    folders = {open_pixel_cache(make(numbers), RULE, tmp_path).folder for numbers in (range(20), range(19), range(1, 21))}
    assert len(folders) == 3
    assert len(cache_contents(tmp_path)) == 3


def test_equal_contents_are_stored_once_and_read_from_every_row(tmp_path):
    numbers = [4, 8, 4, 4, 2]
    table = make(numbers)
    pixel_cache = open_pixel_cache(table, RULE, tmp_path)
    assert len(pixel_cache.images) == 3
    assert sorted(table.source.reads) == [0, 1, 4]
    assert np.array_equal(pixel_cache.take(np.arange(5)), expected(numbers))


# Runs that start together, runs that were killed

CHILD = """
import os, signal, sys
from pathlib import Path
import numpy as np
from malaria_exp.data.resize import ResizeRule
from malaria_exp.data.pixel_cache import open_pixel_cache
from malaria_exp.data.cell_table import CellTable

root, counter, die_at, seed = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
N = 40
order = np.random.default_rng(seed).permutation(N)

class Counted:
    def read(self, index):
        descriptor = os.open(counter, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, b"x")
        if os.fstat(descriptor).st_size >= die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        os.close(descriptor)
        return np.full((6, 6, 3), order[index], np.uint8)

same = np.array(["x"] * N)
table = CellTable("pictures", np.array([f"c{i}" for i in range(N)]), np.zeros(N, np.int8), same, same, same,
                  np.array([f"{i:064x}" for i in order]), Counted())
print("ready", flush=True)
sys.stdin.readline()
pixel_cache = open_pixel_cache(table, ResizeRule(6, "pad"), root, 4)
assert (pixel_cache.take(np.arange(N)) == order[:, None, None, None]).all()
print(pixel_cache.folder, flush=True)
"""


def start(root, counter, die_at=10**9, seed=0):
    command = [sys.executable, "-c", CHILD, str(root), str(counter), str(die_at), str(seed)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)


def finish(children):
    """Lets the children go at the same moment and returns their output."""
    go(children)
    return [child.communicate(timeout=60) for child in children]


def test_runs_that_start_together_decode_once_and_read_the_same(tmp_path):
    counter = tmp_path / "reads"
    children = [start(tmp_path / "cache", counter, seed=seed) for seed in range(3)]
    results = finish(children)
    assert [child.returncode for child in children] == [0] * 3, [stderr for _, stderr in results]
    assert counter.stat().st_size == 40
    assert len({stdout for stdout, _ in results}) == 1
    assert len(names(tmp_path / "cache")) == 1


def test_a_killed_decode_leaves_nothing_that_is_read_and_the_next_run_starts_anew(tmp_path):
    root, counter = tmp_path / "cache", tmp_path / "reads"
    child = start(root, counter, die_at=20)
    finish([child])
    assert child.returncode == -signal.SIGKILL
    assert [".partial-" in path.name for path, _ in cache_contents(root)] == [".partial-" in name for name in names(root)] == [True]
    done = counter.stat().st_size
    child = start(root, counter, seed=1)
    results = finish([child])
    assert child.returncode == 0, results
    assert counter.stat().st_size == done + 40
    assert len(names(root)) == 1
    assert ".partial-" not in names(root)[0]


def test_a_run_that_finds_the_lock_taken_says_so_and_waits(tmp_path, monkeypatch, caplog):
    folder = open_pixel_cache(make(), RULE, tmp_path).folder
    assert delete_cached(folder)
    caplog.set_level(logging.INFO, logger="malaria_exp")
    monkeypatch.setattr(logging.getLogger("malaria_exp"), "propagate", True)
    got = []
    with FileLock(tmp_path / f".{folder.name}.lock"):
        waiting = threading.Thread(target=lambda: got.append(open_pixel_cache(make(), RULE, tmp_path)))
        waiting.start()
        for _ in range(600):
            waiting.join(0.05)
            if "waiting for another run" in caplog.text:
                break
        assert "waiting for another run" in caplog.text
        assert waiting.is_alive()
        assert not folder.exists()
    waiting.join(30)
    assert np.array_equal(got[0].take(np.arange(20)), expected(range(20)))


# Damage


def change(name, to):
    return lambda folder: (folder / name).write_bytes(to((folder / name).read_bytes()))


def delete(name):
    return lambda folder: (folder / name).unlink()


def as_json(to):
    return lambda data: json.dumps(to(json.loads(data))).encode()


HARM = {
    **{f"images[:{end}]": change("images.npy", lambda data, end=end: data[:end]) for end in (0, 5, 100, 500, -200, -1)},
    "pixels zeroed": change("images.npy", lambda data: data[:-50] + bytes(50)),
    "a bit": change("images.npy", lambda data: data[:-1] + bytes([data[-1] ^ 1])),
    "from before checksums": change("pixel_cache.json", as_json(lambda marker: {key: marker[key] for key in ("images", "bad", "resize")})),
    "another fingerprint": change("pixels.txt", lambda data: b"0" * 16 + data[16:]),
    "no fingerprints": delete("pixels.txt"),
    "no images": delete("images.npy"),
    "zeros": change("images.npy", lambda data: bytes(len(data))),
    "another shape": lambda folder: np.save(folder / "images.npy", np.zeros((20, 6, 6, 4), np.uint8)),
    "no marker": delete("pixel_cache.json"),
    "half a marker": change("pixel_cache.json", lambda data: data[: len(data) // 2]),
    "another rule": change("pixel_cache.json", as_json(lambda marker: marker | {"resize": {**RULE.to_dict(), "version": 0}})),
}


@pytest.mark.parametrize("name", HARM)
def test_a_cache_that_is_not_whole_is_decoded_again(tmp_path, name):
    folder = open_pixel_cache(make(), RULE, tmp_path).folder
    before = (folder / "images.npy").read_bytes()
    HARM[name](folder)
    table = make()
    assert np.array_equal(open_pixel_cache(table, RULE, tmp_path).take(np.arange(20)), expected(range(20)))
    assert len(table.source.reads) == 20
    assert (folder / "images.npy").read_bytes() == before
    assert names(tmp_path) == [folder.name]


# Images that cannot be decoded

SKIP = BadImagePolicy("skip", 1.0)


def test_with_skip_the_good_images_stand_in_the_right_rows_and_the_reasons_beside_them(tmp_path):
    pixel_cache = open_pixel_cache(make(bad=(0, 3, 11, 19), policy=SKIP), RULE, tmp_path)
    assert pixel_cache.bad == {row: f"bad number {row}" for row in (0, 3, 11, 19)}
    good = np.setdiff1d(np.arange(20), [0, 3, 11, 19])
    assert np.array_equal(pixel_cache.take(good), expected(good))
    assert len(pixel_cache.images) == 16
    for row in (0, 3, 19):
        with pytest.raises(ValueError, match=rf"could be decoded. Received: \[{row}\]"):
            pixel_cache.take(np.array([5, row, 6]))
    assert names(tmp_path) == [pixel_cache.folder.name]
    assert {path.name for path in pixel_cache.folder.iterdir()} == {"images.npy", "pixels.txt", TAG, "pixel_cache.json", "bad.json"}
    assert pixel_cache.pixels.tolist() == ["" if row in pixel_cache.bad else fingerprint(picture(row)) for row in range(20)]


def test_the_reasons_are_remembered_and_nothing_is_decoded_again(tmp_path):
    first = open_pixel_cache(make(bad=(3, 11), policy=SKIP), RULE, tmp_path)
    order = np.random.default_rng(0).permutation(20).tolist()
    # As no image is read, nothing can be found to be bad anew.
    table = make(order, policy=SKIP)
    second = open_pixel_cache(table, RULE, tmp_path)
    assert table.source.reads == []
    assert second.folder == first.folder
    assert second.bad == {order.index(number): f"bad number {number}" for number in (3, 11)}
    good = np.array([row for row, number in enumerate(order) if number not in (3, 11)])
    assert np.array_equal(second.take(good), expected([order[row] for row in good]))


def test_a_run_that_stops_for_bad_images_finds_those_that_an_earlier_one_skipped(tmp_path):
    open_pixel_cache(make(bad=(3,), policy=SKIP), RULE, tmp_path)
    table = make(bad=(3,))
    assert open_pixel_cache(table, RULE, tmp_path).bad == {3: "bad number 3"}
    assert table.source.reads == []


def test_all_cells_of_one_bad_content_are_bad_and_it_is_read_once(tmp_path):
    table = make([1, 5, 2, 5, 5], bad=(1,), policy=SKIP)
    pixel_cache = open_pixel_cache(table, RULE, tmp_path)
    assert pixel_cache.bad == dict.fromkeys((1, 3, 4), "bad number 5")
    assert sorted(table.source.reads) == [0, 1, 2]
    assert np.array_equal(pixel_cache.take(np.array([2, 0])), expected([2, 1]))


@pytest.mark.parametrize("policy", [STOP, SKIP])
def test_if_nothing_can_be_decoded_every_row_says_why_and_nothing_is_stored(tmp_path, policy):
    assert open_pixel_cache(make(range(3), bad=(0, 1, 2), policy=policy), RULE, tmp_path).bad == {
        row: f"bad number {row}" for row in range(3)
    }
    assert names(tmp_path) == []


def test_with_error_all_bad_images_are_found_and_nothing_is_left_behind(tmp_path):
    assert open_pixel_cache(make(bad=(3, 11, 12)), RULE, tmp_path).bad == {row: f"bad number {row}" for row in (3, 11, 12)}
    assert names(tmp_path) == []
    assert cache_contents(tmp_path) == []
    # The lock is free again.
    assert open_pixel_cache(make(), RULE, tmp_path).images.shape == (20, 6, 6, 3)


HARM_TO_REASONS = {
    "none": delete("bad.json"),
    "half": change("bad.json", lambda data: data[: len(data) // 2]),
    "no mapping": change("bad.json", lambda _: b"[1, 2]"),
    "no text": change("bad.json", lambda _: b"\xff\xfe\x00"),
    "one less": change("bad.json", as_json(lambda reasons: dict(list(reasons.items())[1:]))),
    "another reason": change("bad.json", as_json(lambda reasons: dict.fromkeys(reasons, "nonsense"))),
    "other contents": change("bad.json", as_json(lambda reasons: {key[::-1]: value for key, value in reasons.items()})),
}


@pytest.mark.parametrize("name", HARM_TO_REASONS)
def test_with_damaged_reasons_everything_is_decoded_again(tmp_path, name):
    HARM_TO_REASONS[name](open_pixel_cache(make(bad=(3, 11), policy=SKIP), RULE, tmp_path).folder)
    table = make(bad=(3, 11), policy=SKIP)
    pixel_cache = open_pixel_cache(table, RULE, tmp_path)
    assert len(table.source.reads) == 20
    assert pixel_cache.bad == {3: "bad number 3", 11: "bad number 11"}
    assert np.array_equal(pixel_cache.take(np.array([2, 4, 12])), expected([2, 4, 12]))


def test_more_images_than_are_moved_at_once_are_all_moved(tmp_path):
    n = 2100
    pixel_cache = open_pixel_cache(make(range(n), bad=(0, 700, n - 1), policy=SKIP), ResizeRule(2, "pad"), tmp_path)
    good = np.setdiff1d(np.arange(n), [0, 700, n - 1])
    assert np.array_equal(pixel_cache.take(good), expected(good, ResizeRule(2, "pad")))


# Some rows only


def test_a_selection_of_a_cache_is_the_cache_of_the_selected_table(tmp_path):
    table = make(bad=(3, 11), policy=SKIP)
    rows = np.array([19, 3, 0, 7])
    part, own = open_pixel_cache(table, RULE, tmp_path).select(rows), open_pixel_cache(table.select(rows), RULE, tmp_path)
    assert part.bad == own.bad == {1: "bad number 3"}
    assert part.rule == own.rule
    good = np.array([0, 2, 3])
    assert np.array_equal(part.take(good), own.take(good))
    assert np.array_equal(part.take(good), expected([19, 0, 7]))
    assert part.pixels.tolist() == own.pixels.tolist()
    with pytest.raises(ValueError, match=r"Received: \[1\]"):
        part.take(np.array([1]))
    # And once more, in the rows of the first selection.
    again = part.select(np.array([3, 1]))
    assert again.bad == {1: "bad number 3"}
    assert np.array_equal(again.take(np.array([0])), expected([7]))


def test_a_source_that_holds_decoded_images_opens_its_own_cache(tmp_path):
    table = make()
    asked = []

    def own(rule, root):
        asked.append((rule, root))
        return "its own"

    table.source.open_pixel_cache = own
    assert open_pixel_cache(table, RULE, tmp_path) == "its own"
    assert asked == [(RULE, tmp_path)]
    assert table.source.reads == []
    assert names(tmp_path) == []


# Failures


def test_images_that_do_not_fit_on_the_disk_are_told_before_the_first(tmp_path):
    table = make()
    with pytest.raises(
        DiskFullError, match=r"cache\.root: 20 images of 1000000 x 1000000 px take 60\.0 TB, but .* free\. Choose another folder"
    ):
        open_pixel_cache(table, ResizeRule(1_000_000, "pad"), tmp_path)
    assert table.source.reads == []
    assert not [path for path in tmp_path.rglob("*") if path.suffix == ".npy"]


def test_a_disk_that_others_fill_meanwhile_is_told_before_anything_is_mapped(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "posix_fallocate", full)
    table = make()
    with pytest.raises(DiskFullError, match=r"cache\.root: cannot write the decoded images"):
        open_pixel_cache(table, RULE, tmp_path)
    assert table.source.reads == []
    assert names(tmp_path) == []


@pytest.mark.parametrize("able", [True, False])
def test_the_room_of_a_file_is_taken_before_it_is_mapped(tmp_path, monkeypatch, able):
    if not able:
        monkeypatch.delattr(os, "posix_fallocate")
    images = new_images(tmp_path / "images.npy", (300, 40, 40, 3))
    assert (tmp_path / "images.npy").stat().st_blocks * 512 >= images.nbytes
    assert not images.any()


def test_a_failure_of_the_program_leaves_nothing_behind_either(tmp_path):
    table = make()

    def fail(index):
        raise ZeroDivisionError(index)

    table.source.read = fail
    with pytest.raises(ZeroDivisionError):
        open_pixel_cache(table, RULE, tmp_path)
    assert names(tmp_path) == []


# The cache folder


def test_a_folder_that_cannot_be_written_is_named_with_the_way_out(tmp_path):
    (tmp_path / "file").write_text("in the way")
    for root in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(
            DataError, match=r"cache\.root: cannot write the decoded images to '.*file.*Choose another folder: cache\.root="
        ):
            open_pixel_cache(make(), RULE, root)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(DataError, match=r"cache\.root"):
        open_pixel_cache(make(), RULE, tmp_path)


def test_a_cache_that_exists_is_read_without_writing_or_locking(tmp_path):
    folder = open_pixel_cache(make(), RULE, tmp_path).folder
    before = sorted((path, path.stat().st_mtime_ns) for path in folder.iterdir())
    with FileLock(tmp_path / f".{folder.name}.lock"):
        pixel_cache = open_pixel_cache(make(), RULE, tmp_path)
    assert np.array_equal(pixel_cache.take(np.arange(20)), expected(range(20)))
    assert sorted((path, path.stat().st_mtime_ns) for path in folder.iterdir()) == before


def test_cleaning_up_lists_sizes_and_deletes(tmp_path):
    folders = [open_pixel_cache(make(), ResizeRule(size, "pad"), tmp_path).folder for size in (4, 6)]
    found = cache_contents(tmp_path)
    assert [folder for folder, _ in found] == sorted(folders)
    assert dict(found)[folders[1]] == sum(file.stat().st_size for file in folders[1].iterdir())
    assert dict(found)[folders[1]] > 20 * 6 * 6 * 3
    assert delete_cached(folders[0])
    assert names(tmp_path) == [folders[1].name]
    assert cache_contents(tmp_path) == [item for item in found if item[0] == folders[1]]
    table = make()
    open_pixel_cache(table, ResizeRule(4, "pad"), tmp_path)
    assert len(table.source.reads) == 20


def test_a_cache_that_is_being_written_is_not_deleted(tmp_path):
    folder = open_pixel_cache(make(), RULE, tmp_path).folder
    with FileLock(tmp_path / f".{folder.name}.lock"):
        assert not delete_cached(folder)
        assert len(cache_contents(tmp_path)) == 1
    assert delete_cached(folder)
    assert cache_contents(tmp_path) == []


def test_an_empty_or_missing_cache_holds_no_caches(tmp_path):
    assert cache_contents(tmp_path) == []
    assert cache_contents(tmp_path / "nothing") == []
