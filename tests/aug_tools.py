"""What the tests of augmentations share: batches to treat, and a way to treat them."""

import numpy as np
import tensorflow as tf

from malaria_exp.config.durations import RunLength
from malaria_exp.config.registry import build
from malaria_exp.data.augmentation_chain import Chain

LENGTH = RunLength(epochs=10, steps_per_epoch=10, batch_size=8)


def noise(count: int, size: int = 12, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Returns images in which no two pixels are alike, and soft labels."""
    rng = np.random.default_rng(seed)
    return rng.random((count, size, size, 3), np.float32), rng.random((count, 1), np.float32)


def cells(count: int, size: int = 24, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Returns pink discs with a purple spot on black, and hard labels; pixels are whole 255ths."""
    rng = np.random.default_rng(seed)
    down, right = np.mgrid[:size, :size] - (size - 1) / 2
    inside = (np.hypot(down, right) < size * 0.4)[None, :, :, None]
    color = rng.uniform((170, 120, 130), (240, 190, 200), (count, 1, 1, 3))
    images = color + rng.normal(0, 8, (count, size, size, 3))
    spot = (np.hypot(down[None] - rng.uniform(-4, 4, (count, 1, 1)), right[None] - 2) < size / 8)[..., None]
    images = np.where(spot, images * (0.6, 0.4, 0.8), images)
    return (np.clip(np.round(images), 1, 255) * inside / 255).astype(np.float32), rng.integers(0, 2, (count, 1)).astype(np.float32)


def treat(name, images, labels, *, seed=(3, 4), step=0, path=None, **params):
    """Runs one augmentation eagerly, as a chain of one."""
    chain = Chain([build("aug", name, params, path=path or f"aug.{name}")])
    return run(chain, images, labels, seed, step)


def changed(before, after):
    """Returns the fraction of the images that are not the same, bit for bit."""
    return (before != after).any(axis=(1, 2, 3)).mean()


def spread(p, count):
    """Returns four standard deviations of the fraction of `count` images to which something of probability p happens."""
    return 4 * np.sqrt(p * (1 - p) / count)


def quarter_turns(before, after):
    """Returns how many images were rotated by 0, 90, 180 and 270 degrees counterclockwise."""
    turns = [[number for number in range(4) if np.array_equal(np.rot90(a, number), b)] for a, b in zip(before, after, strict=True)]
    return np.bincount(np.concatenate(turns), minlength=4)


def run(chain, images, labels, seed=(3, 4), step=0):
    """Runs a chain; the copies take turns."""
    images, labels = tf.constant(images), tf.constant(labels)
    copy = tf.range(len(images), dtype=tf.int64) % chain.copies
    got = chain(images, labels, tf.constant(seed, tf.int32), step=tf.constant(step, tf.int64), copy=copy, length=LENGTH)
    return got[0].numpy(), got[1].numpy()
