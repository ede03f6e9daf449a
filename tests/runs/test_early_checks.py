"""What is known before the data is read is said before; tests/test_main.py has the messages."""

import pytest
import tensorflow as tf

from malaria_exp.data.augmentation_chain import Copies, Until
from malaria_exp.runs.early_checks import stateful_operations


def drawn(images, labels, seed):
    return images * tf.random.uniform(()), labels


def from_the_seed(images, labels, seed):
    return images * tf.random.stateless_uniform((), seed), labels


def hidden(images, labels, seed):
    return tf.map_fn(lambda image: image + tf.random.normal(()), images), labels


@pytest.mark.parametrize(
    ("augmentation", "found"),
    [
        (from_the_seed, []),
        (drawn, ["RandomUniform"]),
        (hidden, ["RandomStandardNormal"]),
        (Until(drawn, "50%"), ["RandomUniform"]),
        (Copies((from_the_seed, drawn)), ["RandomUniform"]),
    ],
)
def test_operations_that_keep_a_state_are_found(augmentation, found):
    tf.random.set_seed(0)
    assert stateful_operations(augmentation) == found
