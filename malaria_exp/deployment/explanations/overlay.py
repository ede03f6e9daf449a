"""A map over its cell: brought to the cell's own size, and drawn in colors."""

import numpy as np

from malaria_exp.data.resize import ResizeRule
from malaria_exp.deployment.explanations.explained_model import inside

# Grays of the darkest and the lightest pixels of a cell.
GRAYS = (90, 230)
FOR, AGAINST = (213, 94, 0), (0, 114, 178)  # vermillion and blue of Okabe and Ito 2008, as in all plots
OPACITY = 0.8


def to_cell(values: np.ndarray, shape: tuple[int, ...], rule: ResizeRule) -> np.ndarray:
    """Brings a map of the square that the model takes to the cell's own size, bilinear between its places.

    Args:
        values: (m, m), m free.
        shape: height and width of the cell.
        rule: how the cell became the square.

    Returns:
        float64 (height, width).
    """
    from PIL import Image

    height, width = shape
    edge = max(shape)
    size = (edge, edge) if rule.mode == "pad" else (width, height)
    whole = np.asarray(Image.fromarray(values.astype(np.float32)).resize(size, Image.Resampling.BILINEAR), np.float64)
    if rule.mode != "pad":
        return whole
    top, left = (edge - height) // 2, (edge - width) // 2
    return whole[top : top + height, left : left + width]


def overlay(image: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """Draws a map over its cell.

    The cell is gray, so that its stain is not taken for the map's colors; they are its orange and blue for color-blind people, too.

    Args:
        image: the cell, RGB, uint8 (height, width, 3).
        strength: its map, (height, width), in [-1, 1]: 1 is full orange, -1 full blue.

    Returns:
        RGB, uint8 (height, width, 3).
    """
    own = inside(image)
    gray = image @ np.array([0.299, 0.587, 0.114])
    if own.any():
        # Dark stains are lightened, or no color could be seen over them.
        gray = np.where(own, np.interp(gray, np.percentile(gray[own], (1, 99)), GRAYS), gray)
    return blend(gray, strength)


def blend(gray: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """Returns grays (..., ) with the colors of a map's strengths (...,) over them, uint8 (..., 3)."""
    opacity = OPACITY * np.abs(strength)[..., None]
    return np.rint(gray[..., None] * (1 - opacity) + np.where(strength[..., None] > 0, FOR, AGAINST) * opacity).astype(np.uint8)
