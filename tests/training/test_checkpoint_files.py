"""Checkpoint files: written when due, the last two kept, damage noticed."""

import numpy as np

from malaria_exp.config.durations import RunLength
from malaria_exp.config.run_files import RESUME
from malaria_exp.training.checkpoint import Checkpoint, Progress
from malaria_exp.training.checkpoint_files import Checkpoints, read_last


def write(folder, steps):
    progress = Progress("float32", [{"epoch": 1.0, "val_auc": float("nan")}], steps)
    arrays = {"state/0": np.arange(1000, dtype=np.float32) + steps, "state/1": np.array(3, np.int64)}
    Checkpoints(folder, "auto", RunLength(9, 9, 9)).write(lambda: Checkpoint(progress, {}, [{"waited": 2}], arrays))
    return folder / RESUME / f"step-{steps:09d}.npz"


def test_the_last_two_are_kept_and_a_damaged_one_falls_back_to_the_one_before(tmp_path, caplog):
    paths = [write(tmp_path, steps) for steps in (5, 10, 1000)]
    assert [path.exists() for path in paths] == [False, True, True]
    last = read_last(tmp_path)
    assert (last.progress.steps, last.progress.describe(), last.callbacks) == (1000, "epoch 1", [{"waited": 2}])
    assert np.isnan(last.progress.history[0]["val_auc"])
    np.testing.assert_array_equal(last.numbered("state")[0], np.arange(1000, dtype=np.float32) + 1000)
    whole = paths[2].read_bytes()
    # One bit in each of 40 places, and cut short.
    rng = np.random.default_rng(0)
    for damaged in [_flip(whole, int(place)) for place in rng.integers(0, len(whole), 40)] + [whole[:-100], whole[:50], b""]:
        paths[2].write_bytes(damaged)
        found = read_last(tmp_path)
        assert found.progress.steps == 10 or found.facts() == last.facts()
        if found.progress.steps == 1000:
            for name, array in found.arrays.items():
                np.testing.assert_array_equal(array, last.arrays[name])
    paths[1].write_bytes(b"PK")
    paths[2].write_bytes(whole[:-100])
    assert read_last(tmp_path) is None


def _flip(content, place):
    return content[:place] + bytes([content[place] ^ 16]) + content[place + 1 :]


def test_when_checkpoints_are_due(tmp_path, monkeypatch):
    length = RunLength(10, 100, 16)
    assert not Checkpoints(tmp_path, None, length).due(100, epoch_end=True)
    every = Checkpoints(tmp_path, "30 steps", length)
    assert [step for step in range(1, 100) if every.due(step, epoch_end=False)] == [30, 60, 90]
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    auto = Checkpoints(tmp_path, "auto", length)
    now[0] = 10.0
    assert auto.due(100, epoch_end=True)
    assert not auto.due(50, epoch_end=False)
    now[0] = 61.0
    assert auto.due(50, epoch_end=False)
    # Those that took half a second are not written again before they have become a hundredth of the time.
    auto.spent = auto.last_cost = 0.5
    assert not auto.due(100, epoch_end=True)
    now[0] = 101.0
    assert auto.due(100, epoch_end=True)
