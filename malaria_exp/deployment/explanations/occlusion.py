"""Which places of a cell a prediction depends on: occlusion maps, for any model that gives scores.

A patch is moved over the cell, what lies below it is replaced by the cell's mean color, and the change of the prediction is noted
(Zeiler & Fergus 2014, https://arxiv.org/abs/1311.2901). A black patch would look like a bite out of the cell, which changes predictions
by itself; benchmarks/explanations.py --occlusion measures patches and fills on synthetic cells, whose parasites are known.
"""

import io
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from malaria_exp.deployment.explanations.explained_model import inside
from malaria_exp.deployment.explanations.overlay import overlay

# The option of the group `explanation` that needs scores alone, and so works with a bundle.
OCCLUSION = "occlusion"
# Fractions of the image's edge: the best of those that benchmarks/explanations.py --occlusion tries.
PATCH, STRIDE = 1 / 6, 1 / 16
# Scores are kept this far from 0 and 1, so that their log-odds are finite.
NEAREST = 1e-6
# Change of the log-odds that is drawn in full color, or the largest of the map if that is larger: without a floor,
# the noise in the map of a cell in which nothing counts would be in full color.
FULL = 2.0
# The pictures' edge in pixels, about.
EDGE = 192
MEANING = (
    "Orange places speak for parasitized: hiding them lowers the score. Blue places speak against it: hiding them raises the score."
    " The stronger the color, the larger the change; gray places hardly count."
)


def occlusion_map(
    score: Callable[[np.ndarray], np.ndarray],
    image: np.ndarray,
    *,
    patch: float = PATCH,
    stride: float = STRIDE,
    fill: Sequence[int] | None = None,
    batch_size: int = 256,
) -> np.ndarray:
    """Computes how much each place of a cell speaks for parasitized.

    Args:
        score: images, uint8 (N, size, size, 3), N free, to scores (N,) in [0, 1]: `lambda images: model(images).score`.
        image: the cell as the model takes it, RGB, uint8 (size, size, 3).
        patch: edge of the patch, as a fraction of the image's.
        stride: step from a patch to the next, as a fraction of the image's edge; about 1 / stride**2 images are scored.
        fill: color of the patch, RGB; None for the mean color of the cell.
        batch_size: images scored in one call.

    Returns:
        float64 (size, size): by how much hiding a place lowers the log-odds of parasitized, the mean over the patches that cover it.
        Above 0 it speaks for parasitized. 0 outside of the cell.
    """
    own = inside(image)
    places = [(rows, columns) for rows, columns in _patches(len(image), patch, stride) if own[rows, columns].any()]
    if not places:
        return np.zeros(own.shape)
    color = np.rint(image[own].mean(axis=0) if fill is None else fill).astype(np.uint8)
    before = _log_odds(score(image[None]))[0]
    total, covered = np.zeros(own.shape), np.zeros(own.shape)
    for start in range(0, len(places), batch_size):
        batch = places[start : start + batch_size]
        hidden = np.repeat(image[None], len(batch), axis=0)
        for one, (rows, columns) in zip(hidden, batch, strict=True):
            # What is black stays so: a patch that reaches out of the cell must not change its outline.
            one[rows, columns][own[rows, columns]] = color
        for drop, (rows, columns) in zip(before - _log_odds(score(hidden)), batch, strict=True):
            total[rows, columns] += drop
            covered[rows, columns] += 1
    return np.where(own, total / np.maximum(covered, 1), 0.0)


def _patches(size: int, patch: float, stride: float) -> Iterator[tuple[slice, slice]]:
    """Yields rows and columns of each patch in an image of `size` pixels; together they cover it."""
    step = max(1, round(size * stride))
    edge = max(step, round(size * patch))
    # Those at the edges lie partly outside, so that border pixels are covered as often as others.
    starts = range(step - edge, size, step)
    for top in starts:
        for left in starts:
            yield slice(max(0, top), top + edge), slice(max(0, left), left + edge)


def _log_odds(scores: np.ndarray) -> np.ndarray:
    scores = np.clip(np.asarray(scores, np.float64), NEAREST, 1 - NEAREST)
    return np.log(scores) - np.log1p(-scores)


def draw_map(image: np.ndarray, values: np.ndarray, *, least: float = FULL) -> bytes:
    """Draws a map over its cell; `MEANING` says in words what it shows.

    Args:
        image: the cell, RGB, uint8 (size, size, 3).
        values: its map, (size, size).
        least: value in full color, or the largest of the map if that is larger.

    Returns:
        A PNG, each pixel of the cell repeated a whole number of times, to an edge of about 192 pixels.
    """
    from PIL import Image  # imported late: every start of the program reads this file

    pixels = overlay(image, values / max(least, float(np.abs(values).max())))
    factor = max(1, round(EDGE / len(image)))
    out = io.BytesIO()
    Image.fromarray(pixels.repeat(factor, axis=0).repeat(factor, axis=1)).save(out, "PNG")
    return out.getvalue()
