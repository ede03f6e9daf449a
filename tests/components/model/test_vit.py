import keras
import numpy as np
import pytest

from malaria_exp.config.registry import build
from malaria_exp.utils.errors import ConfigError

SMALL = {"image_size": 32, "width": 16, "depth": 2, "heads": 2}


def shuffle_patches(images, size, rng):
    """Returns the same patches in another order, one order for all pictures."""
    count, edge = len(images), images.shape[1] // size
    patches = images.reshape(count, edge, size, edge, size, 3).swapaxes(2, 3).reshape(count, edge * edge, size, size, 3)
    patches = patches[:, rng.permutation(edge * edge)]
    return patches.reshape(count, edge, edge, size, size, 3).swapaxes(2, 3).reshape(images.shape)


@pytest.mark.parametrize("ordered", [False, True])
def test_only_the_position_embedding_knows_where_a_patch_was(ordered):
    model = build("model", "vit", SMALL)
    rng = np.random.default_rng(0)
    places = model.get_layer("position").embedding
    assert places.shape == (1, 16, 16)
    places.assign(rng.normal(size=places.shape) if ordered else np.zeros(places.shape))
    images = rng.random((3, 32, 32, 3), dtype=np.float32)
    before, after = (model(pictures, training=False).numpy() for pictures in (images, shuffle_patches(images, 8, rng)))
    assert (np.abs(before - after).max() > 1e-2) == ordered


def test_patches_meet_only_in_attention():
    # Without attention's output a change of one patch moves its own token alone: the average moves by a sixteenth of it.
    model = build("model", "vit", {**SMALL, "depth": 1})
    attention = next(layer for layer in model.layers if type(layer).__name__ == "MultiHeadAttention")
    attention.set_weights([np.zeros_like(value) for value in attention.get_weights()])
    images = np.random.default_rng(1).random((1, 32, 32, 3), dtype=np.float32)
    logits = [float(model(images, training=False)[0, 0])]
    for place in (slice(0, 8), slice(24, 32)):
        other = images.copy()
        other[:, place, place] = 0
        logits.append(float(model(other, training=False)[0, 0]))
    both = images.copy()
    both[:, 0:8, 0:8] = both[:, 24:32, 24:32] = 0
    assert float(model(both, training=False)[0, 0]) - logits[0] == pytest.approx(sum(logits[1:]) - 2 * logits[0], abs=1e-4)


def test_every_block_adds_the_papers_numbers_of_weights():
    counts = [build("model", "vit", {**SMALL, "depth": depth, "mlp_ratio": 3.0}).count_params() for depth in (1, 2, 3)]
    # Attention's four projections, the MLP's two, each with its bias, and two normalizations.
    block = 4 * (16 * 16 + 16) + (16 * 48 + 48) + (48 * 16 + 16) + 2 * 2 * 16
    assert np.diff(counts).tolist() == [block, block]


def test_dropout_reaches_tokens_and_attention():
    model = build("model", "vit", {**SMALL, "dropout": 0.3})
    rates = [getattr(layer, "rate", getattr(layer, "_dropout", None)) for layer in model.layers]
    # One after the embedding; in each block attention's own, one on each branch, and one inside the MLP.
    assert [rate for rate in rates if rate is not None] == [0.3] * (1 + 2 * 4)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"image_size": 60}, r"model\.image_size: 60 is no multiple of model\.patch_size, 8\. Use model\.image_size=56 or 64"),
        ({"image_size": 16, "patch_size": 24}, r"model\.image_size: 16 is no multiple.*Use model\.image_size=24, or"),
        ({"width": 30}, r"model\.width: 30 is no multiple of model\.heads, 4"),
        ({"mlp_ratio": 0.001}, r"model\.mlp_ratio: 0\.001 of width 64"),
        ({"depth": 0}, r"model\.depth: expected a whole number >= 1"),
    ],
)
def test_numbers_that_do_not_fit_are_named(params, message):
    with pytest.raises(ConfigError, match=message):
        build("model", "vit", params)


def test_tokens_begin_at_the_scale_of_the_pixels():
    model = build("model", "vit", SMALL)
    tokens = keras.Model(model.input, model.get_layer("patches").output)(np.random.default_rng(0).random((8, 32, 32, 3), dtype=np.float32))
    # Centered pixels between -1 and 1 have a variance of a third, so a spread of 0.58; Keras' default kernel keeps less than a third of it.
    assert 0.45 < float(np.std(tokens)) < 0.75
    assert abs(float(np.mean(tokens))) < 0.1
