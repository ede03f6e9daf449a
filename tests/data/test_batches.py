"""Batches depend on seed, epoch and step alone, visit each cell once an epoch, and never see the test subset."""

import numpy as np
import pytest
import tensorflow as tf
from numbered_cells import SIZE, Numbered, noise, numbered_table, numbers, same, take

from malaria_exp.config.registry import build
from malaria_exp.data.augmentation_chain import Chain, Copies, Until
from malaria_exp.data.batches import TrainingBatches
from malaria_exp.data.open_batches import training_batches
from malaria_exp.data.pixel_cache import open_pixel_cache
from malaria_exp.data.resize import ResizeRule
from malaria_exp.data.sampling import Sampling
from malaria_exp.data.seeds import to_unit
from malaria_exp.data.split_manifest import Manifest
from malaria_exp.data.subsets import Data

N, BATCH = 70, 8


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Data:
    """Seven patients of ten cells each: four train, one validates, two are sealed; the rows are mixed."""
    mixed = np.random.default_rng(5).permutation(N)
    patient = mixed // 10
    table = numbered_table(mixed)
    subset = np.array(["train"] * 4 + ["val"] + ["test"] * 2)[patient]
    pixel_cache = open_pixel_cache(table, ResizeRule(SIZE, "pad"), tmp_path_factory.mktemp("cache"))
    return Data(Manifest.from_table("some_split", table, subset), pixel_cache)


def batches(data, *, batch_size=BATCH, augmentations=(), seed=0, resident_gb=1.0):
    return TrainingBatches(data.training()[0], batch_size=batch_size, chain=Chain(list(augmentations)), seed=seed, resident_gb=resident_gb)


# What a batch is


@pytest.mark.parametrize("resident_gb", [1.0, 0.0], ids=["resident", "streamed"])
def test_a_batch_holds_the_cells_own_pixels_and_labels(data, resident_gb):
    made = batches(data, resident_gb=resident_gb)
    assert made.resident == (resident_gb > 0)
    assert [(tuple(spec.shape), spec.dtype) for spec in made.dataset().element_spec] == [
        ((BATCH, SIZE, SIZE, 3), tf.float32),
        ((BATCH, 1), tf.float32),
    ]
    for images, labels in take(made, 10):
        assert images.dtype == labels.dtype == np.float32 and images.shape == (BATCH, SIZE, SIZE, 3)
        assert labels.shape == (BATCH, 1)
        for row, image, label in zip(numbers(images), images, labels[:, 0], strict=True):
            assert np.array_equal(np.rint(image * 255), Numbered().read(row))
            assert np.abs(image * 255 - Numbered().read(row)).max() < 1e-3
            assert label == data.manifest.label[row]
            assert data.manifest.subset[row] == "train"


def test_every_pixel_value_has_its_own_place_in_0_to_1():
    unit = to_unit(tf.range(256)).numpy()
    assert unit.dtype == np.float32 and unit[0] == 0 and unit[255] == 1
    assert (np.diff(unit) > 0).all()
    assert np.array_equal(np.rint(unit * 255), np.arange(256))


# Epochs


@pytest.mark.parametrize("batch_size", [8, 7, 40, 39, 1])
def test_an_epoch_visits_each_cell_at_most_once_and_leaves_out_only_the_rest(data, batch_size):
    made = batches(data, batch_size=batch_size)
    cells = data.manifest.rows("train").tolist()
    assert made.steps_per_epoch == 40 // batch_size
    seen = [row for images, _ in take(made, 3 * made.steps_per_epoch) for row in numbers(images)]
    per_epoch = made.steps_per_epoch * batch_size
    for epoch in range(3):
        visited = seen[epoch * per_epoch : (epoch + 1) * per_epoch]
        assert len(set(visited)) == per_epoch == 40 - 40 % batch_size and set(visited) <= set(cells)


def test_the_left_out_rest_differs_so_that_every_cell_is_seen(data):
    made = batches(data, batch_size=39)
    excluded = [set(data.manifest.rows("train").tolist()) - set(numbers(images)) for images, _ in take(made, 8)]
    assert len(set(map(frozenset, excluded))) > 3


def test_a_batch_larger_than_the_subset_is_the_subset(data):
    made = batches(data, batch_size=1000)
    assert (made.batch_size, made.steps_per_epoch) == (40, 1)
    assert sorted(numbers(take(made, 1)[0][0])) == data.manifest.rows("train").tolist()


def test_epochs_and_seeds_differ_in_order(data):
    made = batches(data, batch_size=40)
    orders = [numbers(images) for images, _ in take(made, 4)]
    # Seeds beyond 32 bits are streams of their own.
    orders += [numbers(take(batches(data, batch_size=40, seed=seed), 1)[0][0]) for seed in (1, 2, 2**32 - 1, 2**32, 2**40)]
    assert len(set(map(tuple, orders))) == len(orders)


@pytest.mark.parametrize(("augmentations", "resident_gb"), [((), 1.0), ((noise, noise), 1.0), ((noise,), 0.0)])
def test_a_batch_depends_on_seed_epoch_and_step_alone(data, augmentations, resident_gb):
    made = batches(data, augmentations=augmentations, seed=3, resident_gb=resident_gb)
    whole = take(made, 4 * made.steps_per_epoch)
    for epoch, step in ((1, 0), (2, 0), (3, 0), (0, 3), (1, 4)):
        assert same(take(made, 5, epoch, step), whole[epoch * made.steps_per_epoch + step :][:5])
    with pytest.raises(ValueError, match="from 0"):
        made.dataset(0, -1)
    assert same(take(batches(data, augmentations=augmentations, seed=3), 4 * made.steps_per_epoch), whole)
    assert not same(take(batches(data, augmentations=augmentations, seed=4), 1), whole[:1])


def test_streamed_and_resident_batches_are_the_same_bit_for_bit(data):
    for augmentations in ((), (noise,)):
        resident, streamed = (batches(data, augmentations=augmentations, resident_gb=size) for size in (1.0, 0.0))
        assert resident.resident
        assert not streamed.resident
        assert same(take(resident, 12), take(streamed, 12))


def test_a_streamed_set_reads_only_the_cells_of_its_batches(data, monkeypatch):
    made = batches(data, resident_gb=0.0)
    taken = []
    plain = type(made.cells.pixel_cache).take
    monkeypatch.setattr(type(made.cells.pixel_cache), "take", lambda self, index: taken.append(len(index)) or plain(self, index))
    take(made, 3)
    assert taken and set(taken) == {BATCH}


# Augmentations


def write_seed(channel):
    """Writes numbers drawn from the seed into a channel: equal numbers mean an equal seed."""

    def augment(images, labels, seed):
        drawn = tf.random.stateless_uniform(tf.shape(images)[:3], seed)
        return tf.stack([drawn if at == channel else images[..., at] for at in range(3)], axis=-1), labels

    return augment


def test_seeds_of_augmentations_differ_by_epoch_step_position_and_run(data):
    seen = []
    for seed in (0, 1):
        made = batches(data, augmentations=[write_seed(0), write_seed(1), write_seed(2)], seed=seed)
        seen += [images[..., channel].tobytes() for images, _ in take(made, 3 * made.steps_per_epoch) for channel in range(3)]
    assert len(seen) == 2 * 3 * 5 * 3 and len(set(seen)) == len(seen)


def test_an_augmentation_keeps_its_numbers_when_another_is_put_behind_it(data):
    alone = take(batches(data, augmentations=[write_seed(0)]), 6)
    followed = take(batches(data, augmentations=[write_seed(0), write_seed(2)]), 6)
    for (first, _), (second, _) in zip(alone, followed, strict=True):
        assert np.array_equal(first[..., :2], second[..., :2]) and not np.array_equal(first[..., 2], second[..., 2])


@pytest.mark.parametrize(("duration", "steps"), [("50%", 0.5), ("1 epochs", 0.25), ("3 steps", None)])
def test_an_augmentation_ends_at_its_part_of_the_run(data, duration, steps):
    black = Until(lambda images, labels, _: (images * 0, labels), duration)
    made = training_batches(data.training()[0], batch_size=BATCH, augmentations=[black], seed=1, resident_gb=1, epochs=4)
    last = 3 if steps is None else round(steps * 4 * made.steps_per_epoch)
    dark = [bool((images == 0).all()) for images, _ in take(made, 4 * made.steps_per_epoch)]
    assert dark == [step < last for step in range(4 * made.steps_per_epoch)]
    # Who goes on from the middle sees the rest of the same run.
    epoch, step = divmod(last - 1, made.steps_per_epoch)
    again = [bool((batch[0].numpy() == 0).all()) for batch in made.dataset(epoch, step).take(3)]
    assert again == [True, False, False]


def test_augmentations_run_in_the_order_given(data):
    def half(images, labels, seed):
        return images / 2, labels

    def add(images, labels, seed):
        return images + 0.25, labels

    plain, first, second = (take(batches(data, augmentations=chain), 1)[0][0] for chain in ((), (half, add), (add, half)))
    np.testing.assert_allclose(first, plain / 2 + 0.25, rtol=1e-6)
    np.testing.assert_allclose(second, (plain + 0.25) / 2, rtol=1e-6)


WRONG = {
    "smaller images": lambda images, labels, seed: (images[:, 1:], labels),
    "gray images": lambda images, labels, seed: (images[..., :1], labels),
    "half the batch": lambda images, labels, seed: (images[::2], labels[::2]),
    "flat labels": lambda images, labels, seed: (images, labels[:, 0]),
    "labels against labels": lambda images, labels, seed: (images, labels * labels[:, 0]),
    "a size known only later": lambda images, labels, seed: (images[: tf.random.stateless_uniform((), seed, 1, BATCH, tf.int32)], labels),
    "labels known only later": lambda images, labels, seed: (images, labels[: tf.random.stateless_uniform((), seed, 1, BATCH, tf.int32)]),
}


@pytest.mark.parametrize("name", WRONG)
def test_an_augmentation_that_changes_a_shape_fails(data, name):
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match=r"(?i)shape"):
        take(batches(data, augmentations=[WRONG[name]]), 1)


# The seal


def test_training_gives_train_and_val_cells_and_nothing_else(data):
    train, val = data.training()
    assert (train.subset, val.subset) == ("train", "val")
    sealed = {data.pixel_cache.take(np.array([row])).tobytes() for row in data.manifest.rows("test")}
    assert len(sealed) == 20
    for cells, size in ((train, 40), (val, 10)):
        assert len(cells) == size == len(cells.labels) == len(cells.images())
        assert set(data.manifest.subset[cells.rows].tolist()) == {cells.subset}
        # No slice of a subset reaches beyond it.
        for start, stop in ((0, None), (-5, None), (0, 10**6), (5, 9)):
            images = cells.images(start, stop)
            assert not sealed & {image.tobytes() for image in images}
            assert np.array_equal(images, data.pixel_cache.take(cells.rows)[start:stop])
    assert not set(train.rows.tolist()) & set(val.rows.tolist())
    assert data.access_log == []


def test_opening_a_subset_is_recorded_with_its_reason(data):
    fresh = Data(data.manifest, data.pixel_cache)
    cells = fresh.open("test", "final evaluation")
    fresh.open("val", "threshold")
    assert fresh.access_log == [{"subset": "test", "reason": "final evaluation"}, {"subset": "val", "reason": "threshold"}]
    assert data.access_log == []
    assert cells.subset == "test"
    assert set(data.manifest.subset[cells.rows].tolist()) == {"test"}
    assert cells.labels.tolist() == data.manifest.label[data.manifest.rows("test")].tolist()
    for row, image in zip(cells.rows, cells.images(), strict=True):
        assert np.array_equal(image, Numbered().read(int(row)))


@pytest.mark.parametrize("resident_gb", [1.0, 0.0])
def test_each_cell_carries_its_own_weight(data, resident_gb):
    cells = data.training()[0]
    weights = np.arange(len(cells), dtype=np.float32)
    made = TrainingBatches(
        cells, batch_size=BATCH, chain=Chain([noise]), seed=3, resident_gb=resident_gb, sampling=Sampling(weights=weights)
    )
    plain = batches(data, seed=3, augmentations=[noise])
    bare = TrainingBatches(cells, batch_size=BATCH, seed=3, resident_gb=resident_gb, sampling=Sampling(weights=weights))
    weight_of = dict(zip(cells.rows.tolist(), weights.tolist(), strict=True))
    for (images, labels, _), (own_images, own_labels), (pixels, _, found) in zip(
        made.dataset().take(4), plain.dataset().take(4), bare.dataset().take(4), strict=True
    ):
        # Weights change nothing else of a batch.
        np.testing.assert_array_equal(images, own_images)
        np.testing.assert_array_equal(labels, own_labels)
        assert found.shape == (BATCH,)
        assert found.numpy().tolist() == [weight_of[row] for row in numbers(pixels.numpy())]


def test_closing_the_pipeline_waits_for_no_tuner(data):
    """TensorFlow's tuner of pipelines sleeps up to a minute, and who closes its pipeline may wait for it to wake."""
    assert batches(data).dataset().options().autotune.enabled is False


# Sampled


@pytest.mark.parametrize("resident_gb", [1.0, 0.0], ids=["resident", "streamed"])
def test_balanced_epochs_hold_what_was_chosen_from_any_step_on(data, resident_gb):
    sampling = build("sampling", "class_balanced", {}, *data.training_labels())
    cells = data.training()[0]
    made = TrainingBatches(cells, batch_size=BATCH, chain=Chain([noise]), seed=3, resident_gb=resident_gb, sampling=sampling)
    whole = take(made, 3 * made.steps_per_epoch)
    orders = set()
    for epoch in range(3):
        found = whole[epoch * made.steps_per_epoch : (epoch + 1) * made.steps_per_epoch]
        bare = TrainingBatches(cells, batch_size=BATCH, seed=3, resident_gb=resident_gb, sampling=sampling)
        seen = [number for images, _ in take(bare, made.steps_per_epoch, epoch) for number in numbers(images)]
        wanted = np.repeat(cells.rows, made.epoch_cells.times(epoch)).tolist()
        # 40 cells make five whole batches.
        assert sorted(seen) == sorted(wanted)
        assert np.mean([label for _, labels in found for label in labels]) == 0.5
        orders.add(tuple(seen))
    assert len(orders) == 3
    for epoch, step in ((1, 0), (1, 3)):
        assert same(take(made, 4, epoch, step), whole[epoch * made.steps_per_epoch + step :][:4])


@pytest.mark.parametrize("copies", [1, 2])
def test_the_hardest_cells_make_a_shorter_epoch_and_come_with_their_places(data, copies):
    as_it_is = Copies((lambda images, labels, _: (images, labels),) * copies)
    sampling = build("sampling", "hard_examples", {"warm_epochs": 1, "warm_steps": 0, "fraction": 0.5, "noise": 0}, *data.training_labels())
    cells = data.training()[0]
    made = TrainingBatches(cells, batch_size=BATCH, chain=Chain([as_it_is]), seed=1, resident_gb=1, sampling=sampling, epochs=3)
    assert [made.length.steps_in(epoch) for epoch in range(3)] == [5 * copies, int(2.5 * copies), int(2.5 * copies)]
    at = [0, 0]
    left = made.epoch_under_way(lambda: tuple(at))
    assert sorted(row for *_, places in left for row in places.numpy()) == sorted([*range(40)] * copies)
    made.epoch_cells.losses[:] = np.random.default_rng(0).permutation(40)
    at[:] = 1, 0
    batches = list(left)
    assert len(batches) == int(2.5 * copies)
    hardest = set(np.flatnonzero(made.epoch_cells.losses >= 20).tolist())
    seen = [int(place) for *_, places in batches for place in places]
    assert set(seen) <= hardest and len(set(seen)) > 20 - BATCH and max(np.bincount(seen)) <= copies
    for images, labels, weights, places in batches:
        assert numbers(images.numpy()) == cells.rows[places].tolist()
        assert labels.numpy()[:, 0].tolist() == cells.labels[places].tolist()
        assert weights.numpy().tolist() == [1] * BATCH
    at[:] = 1, 1
    assert [same([one[:2]], [two[:2]]) for one, two in zip(_arrays(left), _arrays(batches[1:]), strict=True)] == [True] * (len(batches) - 1)
    # What does not train sees the run's first batch.
    assert len(next(iter(made.dataset()))) == 2


def test_of_few_cells_more_epochs_are_whole(data):
    sampling = build("sampling", "hard_examples", {"warm_epochs": 1, "warm_steps": 6, "fraction": 0.5}, *data.training_labels())
    made = TrainingBatches(data.training()[0], batch_size=BATCH, seed=1, resident_gb=1, sampling=sampling, epochs=3)
    assert [made.length.steps_in(epoch) for epoch in range(3)] == [5, 5, 2]
    made.epoch_cells.losses[:] = 1
    assert [made.epoch_cells.times(epoch).sum() for epoch in range(3)] == [40, 40, 20]


def _arrays(batches):
    return [tuple(column.numpy() for column in batch) for batch in batches]


def test_an_epoch_has_at_least_one_batch(data):
    sampling = build("sampling", "hard_examples", {"fraction": 0.01, "warm_epochs": 0, "warm_steps": 0}, *data.training_labels())
    made = TrainingBatches(data.training()[0], batch_size=BATCH, seed=1, resident_gb=1, sampling=sampling, epochs=3)
    assert made.length.steps == 3
    assert len(list(made.epoch_under_way(lambda: (0, 0)))) == 1
