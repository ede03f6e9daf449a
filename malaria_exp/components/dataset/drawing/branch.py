"""Random numbers that keep out of each other's way, so that a parameter changes only what it names."""

import numpy as np


def branch(rng: np.random.Generator, number: int) -> np.random.Generator:
    """Returns random numbers of their own: the same for the same `rng` and number, however much was drawn from `rng` before.

    Args:
        rng: made by `numpy.random.default_rng` from a seed, or a branch itself.
        number: of the branch, 0 or more; each its own numbers.
    """
    seed = rng.bit_generator.seed_seq
    return np.random.default_rng(np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, number)))  # type: ignore[attr-defined]
