"""What is drawn after every epoch is the plot that would be drawn anew, whatever the epochs before it were like."""

import io

import numpy as np
import pytest
from PIL import Image

from malaria_exp.evaluation.plots import results
from malaria_exp.evaluation.plots.epoch import DPI, EpochPlots
from malaria_exp.evaluation.plots.style import png_bytes

RNG = np.random.default_rng(0)
LABELS = (RNG.random(400) < 0.4).astype(int)


def scores(noise):
    return np.clip(0.2 + 0.6 * LABELS + RNG.normal(0, noise, len(LABELS)), 0, 1)


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def drawn_anew(figure):
    out = io.BytesIO()
    figure.savefig(out, dpi=DPI, facecolor="white")
    return pixels(out.getvalue())


@pytest.mark.parametrize("leaky", [False, True])
def test_every_epochs_pictures_are_those_that_plots_draws(leaky):
    """Good and bad epochs by turns: an AUC near 1 has its corner enlarged, and white writing where many cells lie."""
    epoch = EpochPlots(leaky=leaky)
    for noise in (0.6, 0.2, 1.5, 0.15):
        given = LABELS, scores(noise)
        matrix, roc = pixels(epoch.confusion_matrix(*given)), pixels(epoch.roc(*given))
        expected = drawn_anew(results.confusion_matrix(*given, 0.5, leaky=leaky)), drawn_anew(results.roc(*given, leaky=leaky))
        for found, wanted in zip((matrix, roc), expected, strict=True):
            assert found.shape == wanted.shape
            # Lines that cross may lie on each other in another order.
            assert (np.abs(found - wanted).max(axis=2) > 60).mean() < 0.003


def test_validation_cells_of_one_class_are_drawn_too():
    epoch = EpochPlots(leaky=False)
    given = np.ones(5, int), np.array([0.1, 0.2, 0.6, 0.7, 0.8])
    assert (pixels(epoch.roc(*given)) == pixels(png_bytes(results.roc(*given)))).all()
    assert pixels(epoch.confusion_matrix(*given)).shape == (420, 460, 3)
