"""One resize rule for every image: in training, in evaluation, and wherever a finished model is used."""

from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from malaria_exp.config.run_config import Resize


@dataclass(frozen=True)
class ResizeRule:
    """How an image of any size becomes a square of `size` pixels.

    Attributes:
        size: edge of the result in pixels.
        mode: "pad" centers the image on a black square first and so keeps the cell's shape; "stretch" does not.
        version: number of the rule's definition; results of different versions are never mixed.
    """

    size: int
    mode: Resize
    version: int = 1

    def to_dict(self) -> dict[str, Any]:
        """Returns the rule as plain values, to be saved beside a model."""
        return asdict(self)


def resize(image: np.ndarray, rule: ResizeRule) -> np.ndarray:
    """Brings an image to the rule's square.

    Shrinking averages over exactly the area that each new pixel covers, parts of pixels by their parts, so that nothing
    aliases; enlarging is bilinear between pixel centers. Each axis is treated on its own, as "stretch" may shrink one and
    enlarge the other. These are tf.image.resize's methods "area" and "bilinear", rounded.

    Args:
        image: RGB, uint8 (height, width, 3).
        rule: size and mode.

    Returns:
        RGB, uint8 (size, size, 3).
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"Expected RGB uint8 (height, width, 3). Received: {image.dtype} {image.shape}")
    pixels = pad_to_square(image) if rule.mode == "pad" else image
    (height, width), size = pixels.shape[:2], rule.size
    rows = _weights(height, size) @ pixels.reshape(height, width * 3).astype(np.float32)
    columns = rows.reshape(size, width, 3).transpose(1, 0, 2).reshape(width, size * 3)
    result = (_weights(width, size) @ columns).reshape(size, size, 3).transpose(1, 0, 2)
    return np.rint(result).astype(np.uint8)


@lru_cache(maxsize=1024)
def _weights(length: int, size: int) -> np.ndarray:
    """Returns (size, length) float32: how much each of `length` pixels counts in each of `size` new ones; rows sum to 1."""
    if size < length:
        edges = np.arange(size + 1)[:, None] * (length / size)
        pixels = np.arange(length)
        covered = np.minimum(edges[1:], pixels + 1) - np.maximum(edges[:-1], pixels)
        return (np.clip(covered, 0, None) * (size / length)).astype(np.float32)
    centers = (np.arange(size) + 0.5) * (length / size) - 0.5
    distance = np.abs(np.clip(centers, 0, length - 1)[:, None] - np.arange(length))
    return np.clip(1 - distance, 0, None).astype(np.float32)


def pad_to_square(image: np.ndarray) -> np.ndarray:
    """Centers an image (height, width, 3) on a black square of its longer edge; an odd rest goes below and to the right."""
    height, width = image.shape[:2]
    if height == width:
        return image
    edge = max(height, width)
    square = np.zeros((edge, edge, 3), image.dtype)
    top, left = (edge - height) // 2, (edge - width) // 2
    square[top : top + height, left : left + width] = image
    return square
