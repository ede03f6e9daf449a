"""What is written is the same whoever writes it, goes on where it stopped, and never replaces what is not its own."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from fallible_cells import contents, draw
from filelock import FileLock

from malaria_exp.components.dataset.shards import shards
from malaria_exp.data.cell_table import BadImageError, BadImagePolicy
from malaria_exp.data.resize import ResizeRule, resize
from malaria_exp.data.shards.format import MARKER
from malaria_exp.data.shards.write_shards import WHOLE, write_shards
from malaria_exp.utils.errors import DataError
from malaria_exp.utils.filesystems import open_filesystem

RULE = ResizeRule(8, "pad")


def write(table, path, *, seed=0, shard_mb=0.005, workers=2, rule=RULE, part=WHOLE):
    filesystem, root = open_filesystem(str(path), "task.to"), Path(path).parent / "cache"
    write_shards(table, filesystem, rule, shard_mb=shard_mb, seed=seed, workers=workers, root=root, part=part)


def test_the_same_cells_give_the_same_bytes(tmp_path):
    table = draw()
    write(table, tmp_path / "one", workers=1)
    write(draw(order=np.random.default_rng(0).permutation(len(table))), tmp_path / "two", workers=4)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    write(table, tmp_path / "three", seed=1)
    first, other = (shards(path=str(tmp_path / name)) for name in ("one", "three"))
    assert first.data_hash == other.data_hash and first.cell_id.tolist() != other.cell_id.tolist()


def test_shards_are_even_random_and_all_there_is(tmp_path):
    table = draw()
    write(table, tmp_path / "set")
    values = json.loads((tmp_path / "set" / MARKER).read_text())
    cells = [item["cells"] for item in values["shards"]]
    assert values["cells"] == sum(cells) == len(table)
    assert max(cells) - min(cells) <= 1 and len(cells) == pytest.approx(len(table) * (8 * 8 * 3 + 300) / 5000, abs=1)
    expected = {MARKER, *(f"cells-{i:05d}-of-{len(cells):05d}.{end}" for i in range(len(cells)) for end in ("csv", "tfrecord"))}
    assert set(contents(tmp_path / "set")) == expected
    found = shards(path=str(tmp_path / "set"))
    per_shard = np.split(found.patient, found.source.first[1:-1])
    assert min(len(np.unique(patients)) for patients in per_shard) > 3, "every shard mixes patients"


def test_records_are_examples_that_any_reader_understands(tmp_path):
    table = draw()
    write(table, tmp_path / "set")
    row_of = {name: row for row, name in enumerate(table.cell_id.tolist())}
    text, number = tf.io.FixedLenFeature([], tf.string), tf.io.FixedLenFeature([], tf.int64)
    features = {"image": text, "label": number} | dict.fromkeys(("cell_id", "patient", "slide", "field", "content"), text)
    seen = set()
    for record in tf.data.TFRecordDataset(sorted(map(str, (tmp_path / "set").glob("*.tfrecord")))):
        cell = {name: value.numpy() for name, value in tf.io.parse_single_example(record, features).items()}
        row = row_of[cell["cell_id"].decode()]
        assert cell["label"] == table.label[row]
        for name in ("patient", "slide", "field", "content"):
            assert cell[name].decode() == getattr(table, name)[row]
        assert np.array_equal(np.frombuffer(cell["image"], np.uint8).reshape(8, 8, 3), resize(table.source.source.read(row), RULE))
        seen.add(row)
    assert seen == set(range(len(table)))


def test_true_labels_go_along(tmp_path):
    table = draw()
    truth = table.label.copy()
    truth[:5] = 1 - truth[:5]
    write(draw(truth=truth), tmp_path / "set")
    found = shards(path=str(tmp_path / "set"))
    order = np.argsort(table.cell_id)
    assert np.array_equal(found.truth, truth[order[np.searchsorted(table.cell_id[order], found.cell_id)]])
    assert (found.truth != found.label).sum() == 5


def test_weights_are_refused_as_shards_hold_none(tmp_path):
    table = draw()
    with pytest.raises(DataError, match=r"^dataset\.csv: shards hold no weights"):
        write(replace(table, weight=np.full(len(table), 0.5, np.float32)), tmp_path / "set")
    assert not (tmp_path / "set").exists()


def test_a_run_that_was_cut_off_goes_on_where_it_stopped(tmp_path):
    table = draw()
    write(table, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        write(draw({40: KeyboardInterrupt()}), tmp_path / "set", workers=1)
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "set").glob("*.csv")}
    assert 0 < len(before) < len(list((tmp_path / "whole").glob("*.csv")))
    assert not (tmp_path / "set" / MARKER).exists() and not list((tmp_path / "set").glob(".*"))
    (tmp_path / "set" / ".0123abcd.cells-00000-of-00009.tfrecord").write_bytes(b"left by a process that was killed")
    again = draw()
    write(again, tmp_path / "set")
    assert contents(tmp_path / "set") == contents(tmp_path / "whole")
    assert len(again.source.reads) < len(table), "shards that were whole were not written again"
    assert {name: (tmp_path / "set" / name).stat().st_mtime_ns for name in before} == before


def test_jobs_that_share_the_shards_write_those_of_one(tmp_path):
    table, bad = draw(), {7: BadImageError("broken"), 60: BadImageError("broken")}
    lenient = replace(draw(bad), policy=BadImagePolicy("skip", 0.5))
    for name, cells in (("good", table), ("bad", lenient)):
        write(cells, tmp_path / f"{name}_whole")
        own = []
        for part in (2, 0, 1):
            # What another job is writing meanwhile stays.
            (tmp_path / name).mkdir(exist_ok=True)
            other = tmp_path / name / f".0123abcd.cells-{(part + 1) % 3:05d}-of-00007.tfrecord"
            other.write_bytes(b"half of it")
            before = set(contents(tmp_path / name))
            write(cells, tmp_path / name, part=(part, 3))
            assert other.read_bytes() == b"half of it" and not (tmp_path / name / MARKER).exists()
            other.unlink()
            own.append({file.partition(".")[0] for file in set(contents(tmp_path / name)) - before})
        assert sum(map(len, own)) == len(set.union(*own)) == 7
        reads = len(cells.source.reads)
        write(cells, tmp_path / name)
        assert contents(tmp_path / name) == contents(tmp_path / f"{name}_whole")
        # Only the shards without their bad images are written once more, to know the reasons.
        assert len(cells.source.reads) - reads <= (0 if name == "good" else 2 * -(-len(table) // 7))


def test_damaged_shards_are_written_again_and_the_others_kept(tmp_path):
    write(draw(), tmp_path / "set")
    whole = contents(tmp_path / "set")
    first, second, third = sorted((tmp_path / "set").glob("*.tfrecord"))[:3]
    data = bytearray(first.read_bytes())
    data[50] ^= 1
    first.write_bytes(data)
    second.unlink()
    third.with_suffix(".csv").write_bytes(b"# {")
    again = draw()
    write(again, tmp_path / "set")
    assert contents(tmp_path / "set") == whole
    assert len(again.source.reads) == sum(item["cells"] for item in json.loads(whole[MARKER])["shards"][:3])


@pytest.mark.parametrize(
    ("change", "words"),
    [({"seed": 1}, "seed 0 there, 1 here"), ({"rule": ResizeRule(16, "pad")}, "size 8 there, 16 here"), ({"shard_mb": 1}, "there, 1 here")],
)
def test_another_set_is_never_overwritten(change, words, tmp_path):
    table = draw()
    write(table, tmp_path / "set")
    before = contents(tmp_path / "set")
    with pytest.raises(DataError, match=f"holds another finished set, which is never overwritten: .*{words}"):
        write(table, tmp_path / "set", **change)
    assert contents(tmp_path / "set") == before
    (tmp_path / "set" / MARKER).unlink()
    with pytest.raises(DataError, match=f"holds the beginning of another set: .*{words}.*Finish it with its own settings"):
        write(table, tmp_path / "set", **change)


def test_two_processes_do_not_write_one_set(tmp_path, monkeypatch):
    table = draw()
    locks = []
    monkeypatch.setattr("malaria_exp.data.shards.write_shards.FileLock", lambda path: locks.append(path) or FileLock(path))
    write(table, tmp_path / "set")
    with FileLock(locks[0]), pytest.raises(DataError, match="another process is writing to"):
        write(table, tmp_path / "set")


def test_bad_images_are_all_listed_and_nothing_is_finished(tmp_path):
    errors = {3: BadImageError("not an image"), 30: BadImageError("empty"), 50: BadImageError("cut off")}
    table = draw(errors)
    with pytest.raises(DataError) as caught:
        write(table, tmp_path / "set")
    for row, error in errors.items():
        assert f"{table.cell_id[row]}: {error}" in str(caught.value)
    assert not (tmp_path / "set" / MARKER).exists()


def test_bad_images_that_may_be_excluded_are(tmp_path):
    errors = {3: BadImageError("not an image"), 30: BadImageError("empty")}
    table = draw(errors, policy=BadImagePolicy("skip", 0.1))
    for _ in range(2):
        write(table, tmp_path / "set")
        found = shards(path=str(tmp_path / "set"))
        kept = np.setdiff1d(np.arange(len(table)), list(errors))
        assert sorted(found.cell_id.tolist()) == sorted(table.cell_id[kept].tolist())
        assert found.data_hash == found.source.set.data_hash == table.select(kept).data_hash
        assert any("2 of " in note and "were bad and excluded" in note for note in found.notes)
    with pytest.raises(DataError, match="excludes at most"):
        write(draw(errors, policy=BadImagePolicy("skip", 0.001)), tmp_path / "other")


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    for path, cache, words in [("file/set", "cache", "file/set' cannot be"), ("set", "file", "cache.root: cannot write to")]:
        with pytest.raises(DataError, match=words):
            write_shards(
                draw(), open_filesystem(str(tmp_path / path), "task.to"), RULE, shard_mb=1, seed=0, workers=1, root=tmp_path / cache
            )
