"""Independent random numbers for each thing that is drawn, so that a parameter changes only what it names."""

import numpy as np


def branch(rng: np.random.Generator, number: int) -> np.random.Generator:
    """Returns a generator that depends only on the seed of `rng` and the number, not on how much was drawn from `rng` before.

    Args:
        rng: made by `numpy.random.default_rng` from a seed, or a branch itself.
        number: of the branch, 0 or more; each has other random numbers.
    """
    seed = rng.bit_generator.seed_seq
    return np.random.default_rng(np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, number)))  # type: ignore[attr-defined]
