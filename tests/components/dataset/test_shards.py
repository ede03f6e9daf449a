"""A sharded set is the set it was written from, wherever it lies; and whatever is wrong with it is said before or while it is read."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from malaria_exp.components.dataset.shards import shards
from malaria_exp.config.registry import build
from malaria_exp.data.cache_contents import cache_contents, delete_cached
from malaria_exp.data.cell_table import BadImageError
from malaria_exp.data.open_batches import training_batches
from malaria_exp.data.pixel_cache import MappedPixelCache, open_pixel_cache
from malaria_exp.data.resize import ResizeRule, resize
from malaria_exp.data.shards.format import MARKER
from malaria_exp.data.shards.write_shards import write_shards
from malaria_exp.data.subsets import Data
from malaria_exp.utils.errors import ConfigError, DataError
from malaria_exp.utils.filesystems import open_filesystem

RULE = ResizeRule(16, "pad")
COLUMNS = ("cell_id", "label", "patient", "slide", "field", "content")


@pytest.fixture(scope="module")
def table():
    return build("dataset", "synthetic", {"infected_patients": 8, "healthy_patients": 4, "cells_per_patient": 12, "cell_size": 24})


def write(table, url, cache):
    write_shards(table, open_filesystem(str(url), "task.to"), RULE, shard_mb=0.02, seed=0, workers=2, root=Path(cache))
    return str(url)


@pytest.fixture(scope="module")
def written(table, tmp_path_factory):
    root = tmp_path_factory.mktemp("shards")
    return write(table, root / "set", root / "cache")


@pytest.fixture
def copied(written, tmp_path):
    """A copy that a test may damage."""
    return Path(shutil.copytree(written, tmp_path / "set"))


def original_rows(table, found):
    """The row of the original table for each row of the sharded one."""
    order = np.argsort(table.cell_id)
    return order[np.searchsorted(table.cell_id[order], found.cell_id)]


def flip(path, at=None):
    data = bytearray(path.read_bytes())
    data[len(data) // 2 if at is None else at] ^= 1
    path.write_bytes(data)


# The same cells


def test_the_table_is_the_one_that_was_written(table, written):
    found = shards(path=written)
    rows = original_rows(table, found)
    assert len(found.source.set.shards) > 5
    assert sorted(rows.tolist()) == list(range(len(table)))
    for name in COLUMNS:
        assert np.array_equal(getattr(found, name), getattr(table, name)[rows]), name
        assert getattr(found, name).dtype == getattr(table, name).dtype, name
    assert found.name == "synthetic"
    assert found.data_hash == table.data_hash == found.source.set.data_hash
    assert found.truth is None


def test_the_pixels_are_those_of_the_one_resize_rule(table, written):
    found = shards(path=written)
    rows = original_rows(table, found)
    pixel_cache = open_pixel_cache(found, RULE, Path("unused"))
    index = np.random.default_rng(0).permutation(len(found))
    expected = np.stack([resize(table.source.read(int(row)), RULE) for row in rows])
    assert np.array_equal(pixel_cache.take(index), expected[index])
    assert np.array_equal(pixel_cache.take(np.arange(len(found))), expected)
    assert pixel_cache.take(index[:0]).shape == (0, 16, 16, 3)
    assert np.array_equal(found.source.read(int(index[0])), expected[index[0]])
    assert np.array_equal(pixel_cache.select(index[:20]).take(np.arange(3, 9)), expected[index[3:9]])
    assert pixel_cache.bad == {}
    assert pixel_cache.rule == RULE


@pytest.mark.parametrize("scheme", ["ram", "memory"])
def test_a_set_lies_on_any_filesystem(scheme, table, written, tmp_path):
    url = write(table, f"{scheme}://{tmp_path.name}/set", tmp_path / "cache")
    found, local = shards(path=url), shards(path=written)
    assert open_filesystem(url, "p").sizes() == open_filesystem(written, "p").sizes()
    assert found.source.set.identity == local.source.set.identity
    rows = np.array([5, 0, 77])
    assert np.array_equal(found.source.read(5), local.source.read(5))
    pixel_cache = open_pixel_cache(found, RULE, tmp_path / "cache")
    assert np.array_equal(pixel_cache.copy_out(np.sort(rows), "val").take(rows), local.source.take(rows))


def test_shards_that_tf_data_cannot_read_are_fetched_once_and_checked(table, tmp_path):
    url = write(table, f"memory://{tmp_path.name}/set", tmp_path / "cache")
    found = shards(path=url)
    pixel_cache = open_pixel_cache(found, RULE, tmp_path / "cache")
    folder = Path(pixel_cache.files[0]).parent
    assert [path for path, _ in cache_contents(tmp_path / "cache")] == [folder], "task=clean_cache finds them"
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*.tfrecord")}
    assert len(before) == len(found.source.set.shards)
    (folder / found.source.set.shards[0].records).unlink()
    open_pixel_cache(found, RULE, tmp_path / "cache")
    after = {path: path.stat().st_mtime_ns for path in folder.glob("*.tfrecord")}
    assert set(after) == set(before)
    assert sum(after[path] != before[path] for path in before) == 1
    delete_cached(folder)
    shard = found.source.set.shards[2]
    data = bytearray(found.source.filesystem.read(shard.records))
    data[100] ^= 1
    found.source.filesystem._files.pipe_file(f"{found.source.filesystem._path}/{shard.records}", bytes(data))
    with pytest.raises(DataError, match=rf"{shard.records}' is damaged: its SHA-256 is"):
        open_pixel_cache(found, RULE, tmp_path / "cache")


# Validation and test cells


def test_validation_cells_are_copied_out_once_and_then_found(table, copied, tmp_path):
    found = shards(path=str(copied))
    manifest = build("split", "patient_holdout", {}, found)
    data = Data(manifest, open_pixel_cache(found, RULE, tmp_path / "cache"))
    train, val = data.training()
    assert train.pixel_cache is data.pixel_cache, "streamed"
    assert isinstance(val.pixel_cache, MappedPixelCache)
    expected = data.pixel_cache.take(val.rows)
    assert np.array_equal(val.images(), expected)
    assert np.array_equal(val.images(3, 9), expected[3:9])
    with pytest.raises(ValueError, match="could be decoded"):
        val.pixel_cache.take(manifest.rows("test")[:1])
    assert [path for path, _ in cache_contents(tmp_path / "cache")] == [val.pixel_cache.folder], "task=clean_cache finds it"
    flip(val.pixel_cache.folder / "images.npy")
    assert np.array_equal(Data(manifest, data.pixel_cache).training()[1].images(), expected), "a damaged copy is made again"
    for path in copied.glob("*.tfrecord"):
        flip(path)
    assert np.array_equal(Data(manifest, data.pixel_cache).training()[1].images(), expected), "not read again"
    with pytest.raises(DataError, match=r"damaged files:\n  cells-0000"):
        data.open("test", "final evaluation")
    assert [path for path, _ in cache_contents(tmp_path / "cache")] == [val.pixel_cache.folder], "nothing half-written"
    assert not list((tmp_path / "cache").glob("*.partial-*"))


def test_cells_that_are_scored_once_are_not_copied(written, tmp_path):
    found = shards(path=written)
    manifest = build("split", "patient_holdout", {}, found)
    data = Data(manifest, open_pixel_cache(found, RULE, tmp_path / "cache"))
    assert data._cells("external").pixel_cache is data.pixel_cache


# What is wrong


def test_another_size_is_answered_with_both_and_what_to_type(written, tmp_path):
    found = shards(path=written)
    with pytest.raises(ConfigError, match=r"images of 16 px, .*the run needs 64 px.*Type model\.image_size=16, or write .*task\.size=64"):
        open_pixel_cache(found, ResizeRule(64, "pad"), tmp_path)
    with pytest.raises(ConfigError, match=r"resized with 'pad' .*needs 16 px, 'stretch'.*Type cache\.resize=pad, or"):
        open_pixel_cache(found, ResizeRule(16, "stretch"), tmp_path)


def test_no_set_says_how_to_write_one(tmp_path):
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(DataError, match=rf"holds no finished set of shards.*task=prepare task\.to={path}"):
            shards(path=str(path))


def test_an_unfinished_set_is_not_read(copied):
    (copied / MARKER).unlink()
    with pytest.raises(DataError, match="Writing was cut off; the same command of task=prepare goes on"):
        shards(path=str(copied))


def test_missing_and_cut_off_shards_are_all_named_on_opening(copied):
    first, second, third = sorted(copied.glob("*.tfrecord"))[:3]
    first.unlink()
    os.truncate(second, 1000)
    third.with_suffix(".csv").unlink()
    with pytest.raises(DataError) as caught:
        shards(path=str(copied))
    text = str(caught.value)
    assert "3 damaged files" in text
    assert f"{first.name}: missing, expected" in text
    assert f"{second.name}: 1,000 bytes, expected" in text
    assert f"{third.stem}.csv: missing" in text


def test_a_changed_table_is_refused(copied):
    flip(sorted(copied.glob("*.csv"))[1])
    with pytest.raises(DataError, match=r"cells-00001-of-\d+\.csv: its SHA-256"):
        shards(path=str(copied))


def test_flipped_bits_are_found_by_verify_and_by_reading(copied, tmp_path):
    path = sorted(copied.glob("*.tfrecord"))[3]
    flip(path)
    found = shards(path=str(copied))
    with pytest.raises(DataError, match=rf"1 damaged files:\n  {path.name}"):
        shards(path=str(copied), verify=True)
    first, last = found.source.first[3:5]
    bad = []
    for row in range(first, last):
        try:
            found.source.read(row)
        except BadImageError as error:
            bad.append(str(error))
    assert len(bad) == 1
    assert path.name in bad[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda values: values["plan"].update(format_version=9), "format version 9, this program reads 1"),
        (lambda values: values.update(class_names=["parasitized", "uninfected"]), r"classes \['parasitized', 'uninfected'\]"),
        (lambda values: values.update(cells=1), "is damaged: counts do not add up"),
        (lambda values: values.pop("plan"), "is damaged"),
    ],
)
def test_a_marker_that_is_not_this_programs_is_refused(change, message, copied):
    values = json.loads((copied / MARKER).read_text())
    change(values)
    (copied / MARKER).write_text(json.dumps(values))
    with pytest.raises(DataError, match=message):
        shards(path=str(copied))
    (copied / MARKER).write_text("{")
    with pytest.raises(DataError, match="is damaged"):
        shards(path=str(copied))


# Whole runs


def test_a_run_on_shards(table, tiny_cellnet, run_task, tmp_path):
    own = [item for item in tiny_cellnet if not item.startswith("dataset.")]
    folder = tmp_path / "set"
    run_task(["task=prepare", f"task.to={folder}", *tiny_cellnet], tmp_path)
    overrides = ["dataset=shards", f"dataset.path={folder}", *own]
    status = json.loads((run_task(overrides, tmp_path / "run") / "status.json").read_text())
    assert status["status"] == "done"
    again = run_task(["task=evaluate", f"run={tmp_path / 'run'}", *own], tmp_path / "again")
    first, second = ((path / "predictions.csv").read_text() for path in (tmp_path / "run", again))
    assert first == second
    other = run_task(["task=evaluate", f"run={tmp_path / 'run'}", *overrides, "allow_leak=true"], tmp_path / "other")
    assert json.loads((other / "status.json").read_text())["status"] == "done"


def test_damage_while_training_ends_the_run_with_its_name(written, cache_root, tmp_path):
    found = shards(path=written)
    data = Data(build("split", "patient_holdout", {}, found), open_pixel_cache(found, RULE, cache_root))
    folder = Path(shutil.copytree(written, tmp_path / "set"))
    damaged = shards(path=str(folder))
    train = Data(data.manifest, open_pixel_cache(damaged, RULE, cache_root)).training()[0]
    batches = training_batches(train, batch_size=8, augmentations=[], seed=0, resident_gb=1)
    flip(sorted(folder.glob("*.tfrecord"))[2])
    with pytest.raises(DataError, match=r"damaged files:\n  cells-00002"), batches.reading():
        list(batches.dataset().take(batches.steps_per_epoch))
