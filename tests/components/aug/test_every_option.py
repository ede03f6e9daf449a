"""What holds for every augmentation, alone and in a chain."""

from importlib.util import find_spec
from typing import Annotated, Literal, get_args, get_origin

import numpy as np
import pytest
import tensorflow as tf
from aug_tools import LENGTH, cells, changed, noise, run, spread, treat
from hypothesis import given, settings
from hypothesis import strategies as st

from malaria_exp.config.registry import build, component, options
from malaria_exp.data.augmentation_chain import Chain
from malaria_exp.utils.errors import ConfigError

MIXING = {"mixup", "cutmix", "mix"}
NEEDS_EXTRA = {"albumentations": "albumentations"}
# Parameters with which every image is changed in color.
COLOR = {
    "color": {"brightness": 0.9, "contrast": 0.9, "saturation": 0.9, "hue": 0.5, "p": 1.0},
    "stain": {"scale": 0.5, "shift": 0.3, "p": 1.0},
    "tf_image": {"operations": ["adjust_saturation", "random_brightness", "random_contrast"], "p": 1.0},
    "repeat5": {"copies": [["adjust_saturation"], ["random_brightness"], ["random_contrast"]]},
    "keras_layers": {"layers": [{"RandomContrast": {"factor": 0.5}}, {"RandomBrightness": {"factor": 0.5}}, {"RandomInvert": {}}]},
    "rand_augment": {
        "operations": ["brightness", "contrast", "saturation", "sharpness", "posterize", "solarize", "autocontrast", "equalize"],
        "strength": 0.9,
        "count": 3,
    },
    "augmix": {"operations": ["posterize", "solarize", "autocontrast", "equalize"], "strength": 0.9},
}
OFF = {name: {"p": 0.0} for name in options("aug") if name not in ("none", "mix")} | {"mix": {"mixup": 0.0, "cutmix": 0.0}}
ALL = sorted(OFF)


EVERY = [
    pytest.param(name, marks=pytest.mark.skipif(find_spec(NEEDS_EXTRA.get(name, "numpy")) is None, reason=f"aug={name} needs its extra"))
    for name in ALL
]


def values(annotation, default):
    """Returns a strategy of values that the annotation allows; the default where it is a list or a length."""
    base, rules = annotation, ()
    if get_origin(annotation) is Annotated:
        base, *rules = get_args(annotation)
    if get_origin(base) is Literal:
        return st.sampled_from(get_args(base))
    if base is bool:
        return st.booleans()
    if base not in (int, float):
        return st.just(default)
    (rule,) = rules
    low = rule.low if rule.low is not None else rule.above + 0.05
    high = rule.high if rule.high is not None else (rule.below - 0.05 if rule.below is not None else low + 3)
    # A bound may be far above what anybody uses.
    return st.integers(int(low), int(min(high, low + 4))) if base is int else st.floats(low, high)


@pytest.mark.parametrize("name", EVERY)
@given(data=st.data())
@settings(max_examples=4, deadline=None)
def test_any_allowed_parameters_keep_shape_type_and_range(name, data):
    drawn = {key: data.draw(values(one.annotation, one.default), key) for key, one in component("aug", name).parameters.items()}
    if name == "erasing":
        drawn["min_area"] = min(drawn["min_area"], drawn["max_area"])
    if name == "mix":
        drawn["cutmix"] = min(drawn["cutmix"], 1 - drawn["mixup"])
    if data.draw(st.booleans(), "the defaults"):
        drawn = {}
    batch = data.draw(st.sampled_from((noise, cells)))
    images, labels = batch(data.draw(st.integers(1, 7)), data.draw(st.integers(8, 20)), data.draw(st.integers(0, 9)))
    got, mixed = treat(name, images, labels, seed=data.draw(st.tuples(*[st.integers(-(2**31), 2**31 - 1)] * 2)), **drawn)
    assert (got.shape, mixed.shape) == (images.shape, labels.shape)
    assert got.dtype == mixed.dtype == np.float32
    # A sum of two weighted pixels may round up.
    assert 0 <= got.min() <= got.max() <= 1 + 1e-6
    if name in MIXING:
        assert labels.min() - 1e-6 <= mixed.min() <= mixed.max() <= labels.max() + 1e-6
    else:
        assert np.array_equal(mixed, labels)


@pytest.mark.parametrize("name", [*EVERY, "none"])
def test_no_probability_is_the_identity_bit_for_bit(name):
    for images, labels in (noise(9), cells(9)):
        got, kept = treat(name, images, labels, **OFF.get(name, {}))
        assert got.tobytes() == images.tobytes()
        assert kept.tobytes() == labels.tobytes()


@pytest.mark.parametrize("name", EVERY)
def test_the_same_seed_gives_the_same_eagerly_and_in_the_graphs_of_tf_data_which_have_no_state(name):
    """TensorFlow silently takes parallel maps and prefetching out of a repeatable pipeline in which any operation has a state."""
    images, labels = cells(10, 16)
    # Fewer operations for the one whose graph has many of them, several times over; rand_augment has them all.
    chain = Chain([build("aug", name, {"depth": 1, "operations": ["rotate", "equalize"]} if name == "augmix" else {})])

    @tf.function
    def once(seed):
        copy = tf.range(10, dtype=tf.int64) % chain.copies
        return chain(tf.constant(images), tf.constant(labels), seed, step=tf.constant(0, tf.int64), copy=copy, length=LENGTH)

    traced = once.get_concrete_function(tf.TensorSpec((2,), tf.int32))
    inner = [traced.graph, *(function.graph for function in traced.graph._functions.values() if hasattr(function, "graph"))]
    assert [op.type for one in inner for op in one.get_operations() if op.op_def.is_stateful and op.type != "Placeholder"] == []

    eager = run(chain, images, labels, (5, 6))
    other = run(chain, images, labels, (5, 7))
    # Graphs may add numbers up in another order.
    same = {"atol": 2e-6, "rtol": 0}
    seeds = tf.data.Dataset.from_tensor_slices(np.array([[5, 6], [5, 7], [5, 6]], np.int32))
    alone, several = (list(seeds.map(traced, num_parallel_calls=number)) for number in (1, 3))
    for one, another in zip(alone, several, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, another, strict=True))
    for (got, mixed), want in zip(several, (eager, other, eager), strict=True):
        np.testing.assert_allclose(got.numpy(), want[0], **same)
        np.testing.assert_allclose(mixed.numpy(), want[1], **same)
    assert not np.array_equal(eager[0], other[0])


@pytest.mark.parametrize("name", EVERY)
def test_images_of_a_batch_are_treated_each_in_its_own_way(name):
    one = cells(1, 16)[0]
    images = np.repeat(one, 40, axis=0)
    if name in MIXING:
        # Mixed with themselves they would stay as they are.
        images = images * np.linspace(0.2, 1, 40, dtype=np.float32)[:, None, None, None]
    got = treat(name, images, np.zeros((40, 1), np.float32))[0]
    changes = got - images if name in MIXING else got
    different = {image.tobytes() for image in np.round(changes, 4)}
    assert len(different) >= 5, f"{len(different)} different results of 40"


# Parameters with which an image that is treated is not the same, but for the fraction of its probability that is given.
VISIBLE = {
    "albumentations": {"transforms": [{"HorizontalFlip": {"p": 1.0}}]},
    "augmix": {"operations": ["solarize"], "strength": 1.0},
    "cutmix": {"alpha": 5.0, "beta": 5.0},
    "keras_layers": {"layers": [{"RandomGrayscale": {"factor": 1.0}}]},
    "mixup": {"alpha": 5.0, "beta": 5.0},
    "rand_augment": {"operations": ["solarize"], "strength": 1.0, "count": 1},
    "repeat5": {"copies": [["flip_left_right"]]},
    "tf_image": {"operations": ["flip_left_right"]},
}


@pytest.mark.parametrize("name", [one for one in EVERY if one.values != ("mix",)])
def test_p_is_the_fraction_of_images_that_are_treated(name):
    images, labels = noise(1000, 4)
    got = treat(name, images, labels, p=0.3, **VISIBLE.get(name, {}))[0]
    # One of dihedral's eight symmetries is the identity.
    expected = 0.3 * 7 / 8 if name == "dihedral" else 0.3
    assert abs(changed(images, got) - expected) < spread(expected, 1000)


@pytest.mark.parametrize("name", sorted(COLOR))
def test_the_outside_of_a_cell_stays_black_under_changes_of_color(name):
    images, labels = cells(30)
    got = treat(name, images, labels, **COLOR[name])[0]
    outside = images.max(axis=-1) == 0
    assert outside.any()
    assert np.abs(got - images)[~outside].max() > 0.1
    assert (got[outside] == 0).all()


def test_every_option_that_changes_colors_is_tested_for_it():
    moving = {"dihedral", "resized_crop", "erasing"}
    assert set(ALL) - set(COLOR) - moving - MIXING == {"albumentations"} & set(ALL)


def test_a_chain_runs_them_in_order_each_on_a_seed_of_its_own():
    images, labels = cells(12, 16)
    turn, color = (build("aug", name, {"p": 1.0}) for name in ("dihedral", "color"))
    both = run(Chain([turn, color]), images, labels)[0]
    assert not np.allclose(both, run(Chain([color, turn]), images, labels)[0])
    twice = run(Chain([turn, turn]), images, labels)[0]
    seed = tf.constant([3, 4], tf.int32)
    by_hand = turn(*turn(tf.constant(images), tf.constant(labels), tf.random.fold_in(seed, 0)), tf.random.fold_in(seed, 1))[0]
    assert np.array_equal(twice, by_hand.numpy())


@pytest.mark.parametrize("name", EVERY)
def test_every_probability_is_refused_above_1(name):
    key = next(key for key in component("aug", name).parameters if key in ("p", "mixup"))
    with pytest.raises(ConfigError, match=f"aug.{name}.{key}: expected a number"):
        treat(name, *noise(1), **{key: 1.5})
