"""Cells whose scores share a shift within their patient, with very different numbers of cells."""

import numpy as np


def clustered_cells(rng, patients=12, spread=0.5, largest=120):
    """Returns labels, scores and patients; every fourth patient is healthy, a few hold most cells."""
    sizes = np.ceil(np.exp(rng.normal(3, 1, patients))).clip(2, largest).astype(int)
    patient = np.repeat(np.arange(patients), 2 * sizes)
    labels = (rng.random(len(patient)) < 0.5) & (patient % 4 != 3)
    latent = np.where(labels, 1.9 + rng.normal(0, spread, patients)[patient], -1.9 + rng.normal(0, spread, patients)[patient])
    return labels.astype(int), 1 / (1 + np.exp(-2 * (latent + rng.normal(0, 1, len(patient))))), np.array([f"P{i}" for i in patient])
