"""Streamed batches: a function of seed, epoch and step alone, each cell once an epoch, from any step on, by any number of workers."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from numbered_cells import SIZE, Numbered, noise, numbered_table, numbers, same, take

from malaria_exp.components.dataset.shards import shards
from malaria_exp.config.registry import build
from malaria_exp.data.augmentation_chain import Chain, Copies
from malaria_exp.data.batches import TrainingBatches
from malaria_exp.data.open_batches import training_batches
from malaria_exp.data.pixel_cache import open_pixel_cache
from malaria_exp.data.resize import ResizeRule
from malaria_exp.data.sampling import Sampling
from malaria_exp.data.shards.write_shards import write_shards
from malaria_exp.data.split_manifest import Manifest
from malaria_exp.data.streamed_batches import StreamedBatches
from malaria_exp.data.subsets import Cells, Data
from malaria_exp.utils.errors import ConfigError, DataError
from malaria_exp.utils.filesystems import open_filesystem

N, SHARDS = 300, 10
TRAIN, BATCH = 200, 16
RULE = ResizeRule(SIZE, "pad")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Thirty patients of ten cells each, in ten shards."""
    table = numbered_table(np.arange(N))
    root = tmp_path_factory.mktemp("shards")
    write_shards(
        table, open_filesystem(str(root / "set"), "task.to"), RULE, shard_mb=N * 348e-6 / SHARDS, seed=0, workers=2, root=root / "cache"
    )
    return root


def open_data(path, cache, window) -> Data:
    table = shards(path=str(path), window=window)
    number = np.array([int(name[1:]) for name in table.cell_id])
    subset = np.array(["train"] * 20 + ["val"] * 4 + ["test"] * 6)[number // 10]
    return Data(Manifest.from_table("some_split", table, subset), open_pixel_cache(table, RULE, cache))


@pytest.fixture(scope="module")
def open_window(written):
    """open_window(3): the data, read three shards at once."""
    opened = {}

    def get(window=3):
        if window not in opened:
            opened[window] = open_data(written / "set", written / "cache", window)
        return opened[window]

    return get


def streamed(data, *, batch_size=BATCH, augmentations=(), seed=0) -> StreamedBatches:
    made = training_batches(data.training()[0], batch_size=batch_size, augmentations=list(augmentations), seed=seed, resident_gb=1)
    assert isinstance(made, StreamedBatches)
    return made


# What a batch is


def test_a_batch_holds_the_cells_own_pixels_and_labels(open_window):
    made = streamed(open_window())
    assert made.dataset().options().autotune.enabled is False, "see test_batches.py"
    images, labels = made.dataset().element_spec
    assert (images.shape, images.dtype) == ((BATCH, SIZE, SIZE, 3), tf.float32)
    assert (labels.shape, labels.dtype) == ((BATCH, 1), tf.float32)
    for images, labels in take(made, 2 * made.steps_per_epoch):
        for number, image, label in zip(numbers(images), images, labels[:, 0], strict=True):
            assert np.array_equal(np.rint(image * 255), Numbered().read(number))
            assert label == (number % 3 == 0)
            assert number < TRAIN, "a training cell"


@pytest.mark.parametrize(("window", "batch_size"), [(1, 16), (3, 7), (4, 150), (99, 1000)])
def test_an_epoch_visits_each_cell_once_and_leaves_out_only_the_rest(open_window, window, batch_size):
    made = streamed(open_window(window), batch_size=batch_size)
    size = min(batch_size, TRAIN)
    assert (made.batch_size, made.steps_per_epoch) == (size, TRAIN // size)
    seen = [number for images, _ in take(made, 3 * made.steps_per_epoch) for number in numbers(images)]
    per_epoch = size * made.steps_per_epoch
    for epoch in range(3):
        visited = seen[epoch * per_epoch : (epoch + 1) * per_epoch]
        assert len(set(visited)) == len(visited) == TRAIN - TRAIN % size


def test_chunks_without_a_wanted_cell_are_no_obstacle(written, tmp_path, monkeypatch):
    monkeypatch.setattr("malaria_exp.data.shards.shard_cache.CHUNK", 2)
    data = open_data(written / "set", tmp_path, 3)
    for cells in (data.training()[1], data.open("test", "a test")):
        number = [int(name[1:]) for name in data.manifest.cell_id[cells.rows]]
        assert np.array_equal(cells.images(), np.stack([Numbered().read(one) for one in number]))
    images, _ = next(iter(streamed(data).dataset()))
    assert images.shape == (BATCH, SIZE, SIZE, 3)


def test_epochs_and_seeds_differ_in_order_and_in_the_rest(open_window):
    made = streamed(open_window(), batch_size=150)
    orders = [numbers(images) for images, _ in take(made, 4)]
    orders += [numbers(take(streamed(open_window(), batch_size=150, seed=seed), 1)[0][0]) for seed in (1, 2**32)]
    assert len(set(map(tuple, orders))) == len(set(map(frozenset, orders))) == len(orders)


def test_a_window_is_shuffled_as_a_whole(open_window):
    data = open_window(5)
    made = streamed(data, batch_size=25)
    shard_of = {
        int(data.manifest.cell_id[row][1:]): shard
        for shard in range(SHARDS)
        for row in range(data.pixel_cache.cells.first[shard], data.pixel_cache.cells.first[shard + 1])
    }
    batches = [{shard_of[number] for number in numbers(images)} for images, _ in take(made, 3)]
    # A batch of 25 from about 100 cells of five shards misses one of them in less than one of a hundred draws.
    assert all(len(found) == 5 for found in batches)
    assert batches[0] == batches[1] == batches[2]
    later = [frozenset({shard_of[number] for number in numbers(images)}) for images, _ in take(made, 1 + 4 * made.steps_per_epoch)]
    assert len(set(later[:: made.steps_per_epoch])) > 2, "which shards share a window is drawn anew"


# Where it starts


@pytest.mark.parametrize(
    ("window", "augmentations", "starts"),
    [(1, (), [(0, 7)]), (3, (noise, noise), [(0, 11), (1, 0), (0, 20)]), (10, (), [(1, 5)])],
)
def test_from_any_step_on_it_is_the_rest_of_the_whole_stream(open_window, window, augmentations, starts):
    made = streamed(open_window(window), augmentations=augmentations, seed=3)
    whole = take(made, 3 * made.steps_per_epoch)
    for epoch, step in starts:
        start = epoch * made.steps_per_epoch + step
        assert same(take(made, 15, epoch, step)[: len(whole) - start], whole[start : start + 15]), (epoch, step)


def test_augmentations_draw_what_they_draw_on_resident_batches(open_window):
    def drawn(images, labels, seed):
        return images, tf.random.stateless_uniform(tf.shape(labels), seed)

    data = open_window()
    rows = data.manifest.rows("train")
    cells = Cells("train", rows, data.manifest.label[rows], data.pixel_cache.copy_out(rows, "train"))
    resident = TrainingBatches(cells, batch_size=BATCH, chain=Chain([drawn, drawn]), seed=5, resident_gb=1)
    ours = take(streamed(data, augmentations=[drawn, drawn], seed=5), 30)
    assert [labels.tolist() for _, labels in ours] == [labels.tolist() for _, labels in take(resident, 30)]


def test_copies_are_streamed_too(open_window):
    def marked(copy):
        return lambda images, labels, _: (images, labels * 0 + copy / 4)

    made = streamed(open_window(), augmentations=[Copies((marked(0), marked(1), marked(2)))], seed=3)
    assert made.steps_per_epoch == TRAIN * 3 // BATCH
    whole = take(made, 2 * made.steps_per_epoch)
    for epoch in (0, 1):
        batches = whole[epoch * made.steps_per_epoch : (epoch + 1) * made.steps_per_epoch]
        seen = {(number, float(mark)) for images, marks in batches for number, mark in zip(numbers(images), marks[:, 0], strict=True)}
        # No copy of a cell twice; those that are missing are the rest that fills no batch.
        assert len(seen) == made.steps_per_epoch * BATCH
        assert {mark for _, mark in seen} == {0, 0.25, 0.5}
    assert same(take(made, 4, 1, 2), whole[made.steps_per_epoch + 2 : made.steps_per_epoch + 6])


def test_a_later_start_reads_no_window_before_it(written, tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    for path in (written / "set").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    made = streamed(open_data(folder, tmp_path / "cache", 1))
    whole = take(made, made.steps_per_epoch)
    first = numbers(whole[0][0])[0]
    record = int(np.flatnonzero(shards(path=str(folder)).cell_id == f"c{first:03d}")[0])
    shard = int(np.searchsorted(made.pixel_cache.cells.first, record, side="right") - 1)
    path = Path(made.pixel_cache.files[shard])
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert same(take(made, 4, 0, made.steps_per_epoch - 4), whole[-4:])
    with pytest.raises(DataError, match=rf"1 damaged files:\n  {path.name}: its SHA-256 is .*, expected") as caught, made.reading():
        take(made, 1)
    assert "task=prepare that wrote the set keeps the good ones" in str(caught.value)
    with pytest.raises(tf.errors.DataLossError):
        take(made, 1)


@pytest.mark.parametrize("copies", [1, 3])
def test_each_cell_carries_its_own_weight(open_window, copies):
    cells = open_window().training()[0]
    weights = np.random.default_rng(0).random(len(cells)).astype(np.float32)
    as_it_is = Copies((lambda images, labels, _: (images, labels),) * copies)
    made = StreamedBatches(cells, batch_size=BATCH, chain=Chain([as_it_is]), seed=2, sampling=Sampling(weights=weights))
    plain = streamed(open_window(), augmentations=[as_it_is], seed=2)
    weight_of = {
        int(cells.images(at, at + 1)[0, 0, 0, 0]) * 256 + int(cells.images(at, at + 1)[0, 0, 1, 0]): weights[at] for at in range(len(cells))
    }
    for (images, labels, found), (own_images, own_labels) in zip(made.dataset().take(15), plain.dataset().take(15), strict=True):
        np.testing.assert_array_equal(images, own_images)
        np.testing.assert_array_equal(labels, own_labels)
        np.testing.assert_array_equal(found, [weight_of[number] for number in numbers(images.numpy())])


def test_errors_that_are_not_the_shards_stay_what_they_are(open_window):
    for error in (tf.errors.DataLossError(None, None, "nonsense"), ValueError("nonsense")):
        with pytest.raises(type(error), match="nonsense"), streamed(open_window()).reading():
            raise error


# Sampled


@pytest.mark.long
@pytest.mark.parametrize("name", ["class_balanced", "patient_balanced"])
def test_balanced_epochs_hold_what_was_chosen_from_any_step_on(open_window, name):
    data = open_window(3)
    cells, sampling = data.training()[0], build("sampling", name, {}, *data.training_labels())
    made = StreamedBatches(cells, batch_size=20, chain=Chain([noise]), seed=3, sampling=sampling)
    bare = StreamedBatches(cells, batch_size=20, seed=3, sampling=sampling)
    whole = take(made, 2 * made.steps_per_epoch)
    for epoch in range(2):
        seen = [number for images, _ in take(bare, made.steps_per_epoch, epoch) for number in numbers(images)]
        wanted = np.repeat([int(cell[1:]) for cell in data.manifest.cell_id[cells.rows]], made.epoch_cells.times(epoch))
        assert sorted(seen) == sorted(wanted.tolist())
    assert same(take(made, 7, 1, 3), whole[made.steps_per_epoch + 3 :])


@pytest.mark.parametrize("workers", [1, 3])
def test_the_hardest_cells_make_a_shorter_epoch_and_come_with_their_places(open_window, workers):
    data = open_window(2)
    cells, given_keys = data.training()[0], {"warm_epochs": 1, "warm_steps": 0, "fraction": 0.5, "noise": 0}
    sampling = build("sampling", "hard_examples", given_keys, *data.training_labels())
    everything = StreamedBatches(cells, batch_size=10, chain=Chain([noise]), seed=3, sampling=sampling, epochs=3)
    number_of = np.array([int(cell[1:]) for cell in data.manifest.cell_id[cells.rows]])
    losses = np.random.default_rng(0).permutation(TRAIN)
    everything.epoch_cells.losses[:] = losses
    lengths = set()
    for index in range(workers):
        made = everything.for_worker(index, workers, 10)
        own = made.epoch_cells.candidates
        lengths.add(made.length)
        bare = StreamedBatches(cells, batch_size=10, seed=3, sampling=sampling, epochs=3).for_worker(index, workers, 10)
        bare.epoch_cells.losses[:] = losses
        batches = list(bare.epoch_under_way(lambda: (1, 0)))
        assert len(batches) == made.length.steps_in(1) == made.length.later_steps
        seen = [int(place) for *_, places in batches for place in places]
        assert len(set(seen)) == len(seen) and set(seen) <= set(own.tolist())
        hardest = own[np.argsort(-losses[own])][: len(own) // 2]
        assert set(seen) <= set(hardest.tolist()) and len(seen) > len(hardest) - 10 * workers
        for images, labels, _, places in batches:
            assert numbers(images.numpy()) == number_of[places].tolist()
            assert labels.numpy()[:, 0].tolist() == cells.labels[places].tolist()
        rest, whole = ([batch[0].numpy() for batch in made.epoch_under_way(lambda step=step: (2, step))] for step in (2, 0))
        assert np.array_equal(rest, whole[2:])
    assert len(lengths) == 1, "all workers take the same steps"


# Workers


def test_workers_share_an_epoch_without_sharing_a_cell(open_window):
    count = 3
    whole = streamed(open_window(2))
    workers = [whole.for_worker(index, count, 8) for index in range(count)]
    assert len({worker.steps_per_epoch for worker in workers}) == 1
    steps = workers[0].steps_per_epoch
    streams = [take(worker, 2 * steps) for worker in workers]
    epochs = [[[number for images, _ in part for number in numbers(images)] for part in (s[:steps], s[steps:])] for s in streams]
    for epoch in range(2):
        everything = [number for of_worker in epochs for number in of_worker[epoch]]
        assert len(set(everything)) == len(everything) == count * steps * 8
    # What is cut off is less than a batch of the worker with the fewest cells, and for the others what makes steps unequal.
    fewest = min(int(worker._count[worker.shards].sum()) for worker in workers)
    assert steps == fewest // 8
    assert sorted(number for worker in workers for number in worker.shards.tolist()) == whole.shards.tolist()
    assert all(first != second for first, second in epochs)


def test_workers_draw_different_augmentations(open_window):
    def drawn(images, labels, seed):
        return images, tf.random.stateless_uniform(tf.shape(labels), seed)

    whole = streamed(open_window(), augmentations=[drawn])
    first, second = (take(whole.for_worker(index, 2, BATCH), 1)[0][1] for index in range(2))
    assert not np.array_equal(first, second)


def test_too_many_workers_are_refused(open_window):
    with pytest.raises(ConfigError, match=r"10 shards give the 11 workers 0 to .* Write more, smaller shards"):
        streamed(open_window()).for_worker(0, 11, 8)
