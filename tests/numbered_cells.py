"""Cells whose pictures tell which they are, and what tests of batches share."""

import hashlib

import numpy as np
import tensorflow as tf

from malaria_exp.data.cell_table import CellTable

SIZE = 4


class Numbered:
    """Cell `i` is a picture that nobody else has: its number in two pixels, its own noise in the others."""

    def read(self, index):
        image = np.random.default_rng(index).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
        image[0, 0], image[0, 1] = index // 256, index % 256
        return image


def numbered_table(cell):
    """A table of ten cells a patient; `cell` is the number in the name of the cell of each row."""
    patient = np.asarray(cell) // 10
    return CellTable(
        name="numbered",
        cell_id=np.array([f"c{i:03d}" for i in cell]),
        label=(np.arange(len(cell)) % 3 == 0).astype(np.int8),
        patient=np.array([f"P{i}" for i in patient]),
        slide=np.array([f"S{i}" for i in patient]),
        field=np.array([f"F{i}" for i in patient]),
        content=np.array([hashlib.sha256(str(i).encode()).hexdigest() for i in range(len(cell))]),
        source=Numbered(),
    )


def numbers(images):
    """The table rows of a batch, from each picture's first two pixels."""
    pixels = np.rint(images * 255).astype(int)
    return (pixels[:, 0, 0, 0] * 256 + pixels[:, 0, 1, 0]).tolist()


def take(made, steps, start_epoch=0, start_step=0):
    return [(images.numpy(), labels.numpy()) for images, labels in made.dataset(start_epoch, start_step).take(steps)]


def same(first, second):
    return len(first) == len(second) and all(
        np.array_equal(a, c) and np.array_equal(b, d) for (a, b), (c, d) in zip(first, second, strict=True)
    )


def noise(images, labels, seed):
    return images * 0.5 + 0.5 * tf.random.stateless_uniform(tf.shape(images), seed), labels
