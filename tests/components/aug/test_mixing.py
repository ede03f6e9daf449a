"""MixUp, CutMix and mix: labels follow the pixels, fractions follow their distribution, and mixing ends when it is told to."""

import numpy as np
import pytest
from aug_tools import LENGTH, noise, treat
from hypothesis import given, settings
from hypothesis import strategies as st

from malaria_exp.utils.errors import ConfigError


def flat(count, size=16):
    """Returns images of one value each, the number of the image, and a label that tells the image: its number over the count."""
    values = np.arange(count, dtype=np.float32) / count
    images = np.broadcast_to(values[:, None, None, None], (count, size, size, 3)).copy()
    return images, values[:, None]


def two_classes(count, size=16):
    """Returns black images with label 0 and white ones with label 1, in turns: a pixel says whose it is."""
    labels = (np.arange(count) % 2).astype(np.float32)[:, None]
    return np.broadcast_to(labels[:, :, None, None], (count, size, size, 3)).copy(), labels


@given(count=st.integers(2, 9), size=st.integers(2, 17), alpha=st.floats(0.05, 5), seed=st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_the_label_is_the_fraction_of_the_pixels(count, size, alpha, seed):
    images, labels = two_classes(count, size)
    for name in ("mixup", "cutmix"):
        got, mixed = treat(name, images, labels, alpha=alpha, beta=1.0, seed=(seed, 1))
        np.testing.assert_allclose(got.mean(axis=(1, 2, 3)), mixed[:, 0], atol=1e-6)
    got, mixed = treat("mix", images, labels, mixup_alpha=alpha, cutmix_alpha=alpha, seed=(seed, 1))
    np.testing.assert_allclose(got.mean(axis=(1, 2, 3)), mixed[:, 0], atol=1e-6)


def test_cutmix_takes_whole_pixels_of_one_box():
    images, labels = noise(200, 10)
    got, mixed = treat("cutmix", images, labels, alpha=1.0, beta=1.0)
    for number in range(200):
        changed = (got[number] != images[number]).any(axis=-1)
        if changed.any():
            partners = [other for other in range(200) if np.array_equal(got[number][changed], images[other][changed])]
            assert len(partners) == 1
            rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
            assert changed.sum() == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
            part = np.float32(changed.sum() / 100)
            expected = (1 - part) * labels[number, 0] + part * labels[partners[0], 0]
            assert mixed[number, 0] == pytest.approx(expected, abs=1e-7)


def test_every_image_has_one_partner_and_none_is_its_own():
    for seed in range(8):
        images, labels = flat(15, 8)
        # All of the partner, all over: its own fraction is almost 0.
        got, _ = treat("mixup", images, labels, alpha=1e-3, beta=50.0, seed=(seed, 0))
        middle = np.round(got[:, 4, 4, 0] * 15).astype(int)
        assert sorted(middle.tolist()) == list(range(15))
        assert (middle != np.arange(15)).all()


@pytest.mark.parametrize(("alpha", "beta"), [(0.2, 0.2), (1.0, 1.0), (2.0, 5.0)])
def test_fractions_have_the_moments_of_their_distribution(alpha, beta):
    images, labels = two_classes(4000, 2)
    fractions = []
    for seed in range(5):
        mixed = treat("mixup", images, labels, alpha=alpha, beta=beta, seed=(seed, 7))[1][:, 0]
        partner_differs = np.where(labels[:, 0] == 1, mixed < 1, mixed > 0)
        fractions.append(np.where(labels[:, 0] == 1, mixed, 1 - mixed)[partner_differs])
    fractions = np.concatenate(fractions)
    mean, variance = alpha / (alpha + beta), alpha * beta / ((alpha + beta) ** 2 * (alpha + beta + 1))
    # Pairs of one class do not show their fraction; those with a fraction of exactly 1 do not either, but they are next to none.
    assert fractions.mean() == pytest.approx(mean, abs=0.03) and fractions.var() == pytest.approx(variance, rel=0.06)


@pytest.mark.parametrize(("alpha", "beta"), [(0.2, 0.2), (1.0, 1.0)])
def test_the_area_that_cutmix_pastes_is_that_of_a_box_cut_off_at_the_edges(alpha, beta):
    images, labels = two_classes(3000, 50)
    mixed = treat("cutmix", images, labels, alpha=alpha, beta=beta)[1][:, 0]
    part = np.abs(mixed - labels[:, 0])
    rng = np.random.default_rng(0)
    side = np.sqrt(1 - rng.beta(alpha, beta, 200_000))
    middle = rng.random((2, 200_000))
    lengths = np.minimum(middle + side / 2, 1) - np.maximum(middle - side / 2, 0)
    theory = lengths.prod(axis=0)
    # Half of the pairs are of one class and look unmixed.
    other = part[part > 0]
    assert other.mean() == pytest.approx(theory[theory > 2e-4].mean(), abs=0.02)
    assert np.quantile(other, [0.25, 0.5, 0.75]) == pytest.approx(np.quantile(theory[theory > 2e-4], [0.25, 0.5, 0.75]), abs=0.035)
    if alpha == 0.2:
        assert theory.mean() == pytest.approx(0.296, abs=0.005)


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_per_batch_all_have_one_fraction_and_one_box(name):
    images, labels = flat(24, 20)
    mixed_batches = 0
    for seed in range(20):
        got, mixed = treat(name, images, labels, alpha=1.0, beta=1.0, p=0.5, per="batch", seed=(seed, 2))
        changed = (got != images).any(axis=(1, 2, 3))
        assert changed.all() or not changed.any()
        if changed.all():
            mixed_batches += 1
            if name == "cutmix":
                boxes = (got != images).any(axis=-1)
                assert (boxes == boxes[0]).all()
            # Whoever the partner is, the difference of the labels is that part of theirs: all lines through one fraction.
            parts = {round(float(part), 4) for part in np.abs(mixed - labels)[:, 0] * 24}
            assert len(parts) > 1
    assert 4 <= mixed_batches <= 16


def test_mix_does_each_as_often_as_configured():
    images, labels = noise(3000, 8)
    got = treat("mix", images, labels, mixup=0.5, cutmix=0.2, mixup_alpha=5.0, mixup_beta=5.0, cutmix_alpha=5.0, cutmix_beta=5.0)[0]
    changed = (got != images).any(axis=-1).mean(axis=(1, 2))
    untouched, everywhere = (changed == 0).mean(), (changed == 1).mean()
    # A box with equal fractions never covers the whole image.
    assert everywhere == pytest.approx(0.5, abs=0.04)
    assert untouched == pytest.approx(0.3, abs=0.04)


def test_mix_refuses_more_than_everything():
    with pytest.raises(ConfigError, match=r"aug.mix: expected mixup \+ cutmix of at most 1, received 0.7 \+ 0.6 = 1.3"):
        treat("mix", *noise(2), mixup=0.7, cutmix=0.6)


@pytest.mark.parametrize("name", ["mixup", "cutmix", "mix"])
@pytest.mark.parametrize(("until", "last"), [("30%", 30), ("2 epochs", 20), ("7 steps", 7), ("160 examples", 20)])
def test_mixing_ends_when_it_is_told_to(name, until, last):
    images, labels = noise(8, 8)
    assert LENGTH.steps == 100
    for step, mixes in ((0, True), (last - 1, True), (last, False), (99, False)):
        got, mixed = treat(name, images, labels, until=until, step=step)
        assert np.array_equal(got, images) != mixes and np.array_equal(mixed, labels) != mixes


@pytest.mark.parametrize("name", ["mixup", "cutmix", "mix"])
def test_a_batch_of_one_stays_as_it_is(name):
    images, labels = noise(1)
    got, mixed = treat(name, images, labels)
    np.testing.assert_allclose(got, images, atol=1e-6)
    np.testing.assert_allclose(mixed, labels, atol=1e-6)
