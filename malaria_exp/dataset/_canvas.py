"""A red blood cell without anything in it, and the brushes that paint small things onto it."""

import math
from functools import cache, lru_cache

import numpy as np

BLOCK = 3  # the real cells were cut out on a grid of 3 px blocks; drawing outline and shading on it also makes them fast
HARMONICS = 9
TILE = 512
MAX_RADIUS = 180.0  # in pixels; a larger cell would not fit into the noise tile

Position = tuple[float, float]


@cache
def grain(blocks: int) -> np.ndarray:
    """Returns a fixed noise tile, float32 (512, 512), mean 0, deviation 1, smooth over about `blocks` pixels, seamless.

    Cells cut windows out of it: drawing that many normal numbers a cell would take longer than the rest of the picture.
    """
    tile = np.random.default_rng([0, blocks]).standard_normal((TILE, TILE)).astype(np.float32)
    for _ in range(2):
        for axis in (0, 1):
            tile = np.mean([np.roll(tile, shift, axis) for shift in range(blocks)], axis=0, dtype=np.float32)
    tile -= tile.mean()
    tile /= tile.std()
    tile.setflags(write=False)
    return tile


@lru_cache(maxsize=256)
def polar_grid(reach: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns a square grid of blocks around a centre, side 2 * reach + 1.

    Returns:
        offset: float32 (side,), the blocks' distance from the centre along an axis, in blocks.
        distance: float32 (side, side), in blocks.
        waves: float32 (2 * (HARMONICS - 1), side, side), cosines then sines of 2, 3 ... times the angle, in [-1, 1].
    """
    offset = np.arange(-reach, reach + 1, dtype=np.float32)
    distance = np.sqrt(offset[:, None] ** 2 + offset**2)
    angle = (offset + 1j * offset[:, None]) / np.maximum(distance, 1)
    powers = [angle**k for k in range(2, HARMONICS + 1)]
    waves = np.array([p.real for p in powers] + [p.imag for p in powers], dtype=np.float32)
    for array in (offset, distance, waves):
        array.setflags(write=False)
    return offset, distance, waves


class Canvas:
    """A picture in the making: float32 planes (3, height, width) in [0, 255], the cell's mask in blocks, and brushes.

    Positions are (y, x) in pixels, sizes in pixels, angles in radians, alpha in [0, 1]. Brushes may reach over the border.

    Args:
        planes: float32 (3, height, width); painted in place.
        mask: bool (height / BLOCK, width / BLOCK), the blocks that belong to the cell.
        centre: the cell's centre, (y, x) in pixels.
        softness: width of every edge in pixels: how far out of focus the picture is.
    """

    def __init__(self, planes: np.ndarray, mask: np.ndarray, centre: Position, softness: float) -> None:
        self.planes, self.mask, self.centre, self.softness = planes, mask, centre, softness

    def inside(self, at: Position) -> bool:
        """Tells whether the position belongs to the cell."""
        row, column = int(at[0] // BLOCK), int(at[1] // BLOCK)
        rows, columns = self.mask.shape
        return 0 <= row < rows and 0 <= column < columns and bool(self.mask[row, column])

    def spot(self, at: Position, half: float, colour: np.ndarray, alpha: float, *, squeeze: float, angle: float) -> None:
        """Paints an ellipse: `half` its longer half axis, `squeeze` in (0, 1] the shorter one as a part of it."""
        window = self._window(at, half + self.softness)
        if window is None:
            return
        view, v, u = window
        sin, cos = math.sin(angle), math.cos(angle)
        long, short = u * cos + v * sin, (v * cos - u * sin) * (1 / squeeze)
        cover = (half - np.sqrt(long * long + short * short)) * (squeeze / self.softness) + 0.5
        _blend(view, np.minimum(np.maximum(cover, 0), 1) * alpha, colour)

    def ring(
        self, at: Position, radius: float, width: float, colour: np.ndarray, alpha: float, *, squeeze: float, angle: float, lean: float
    ) -> None:
        """Paints a ring of line width `width`, `squeeze` times as wide as high; `lean` in [0, 1] fades it opposite of `angle`."""
        window = self._window(at, radius + width)
        if window is None:
            return
        view, v, u = window
        u = u * (1 / squeeze)
        distance = np.sqrt(u * u + v * v) + np.float32(1e-3)
        cover = np.maximum(1 - np.abs(distance - radius) * (1 / width), 0)
        facing = (u * math.cos(angle) + v * math.sin(angle)) / distance
        _blend(view, cover * (alpha * (1 - lean / 2) + (alpha * lean / 2) * facing), colour)

    def finish(self) -> np.ndarray:
        """Returns the picture as uint8 (height, width, 3): black outside the cell and nowhere inside it."""
        planes = np.clip(self.planes, 16, 255, out=self.planes)
        inside = np.repeat(np.repeat(self.mask.astype(np.float32), BLOCK, axis=0), BLOCK, axis=1)
        picture = np.empty((*planes.shape[1:], 3), np.uint8)
        for channel in range(3):
            np.multiply(planes[channel], inside, out=picture[..., channel], casting="unsafe")
        return picture

    def _window(self, at: Position, reach: float) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """Returns the planes around a position and the distances from it along both axes; None if it lies off the picture."""
        y, x = at
        height, width = self.planes.shape[1:]
        top, bottom = max(0, int(y - reach)), min(height, int(y + reach) + 2)
        left, right = max(0, int(x - reach)), min(width, int(x + reach) + 2)
        if top >= bottom or left >= right:
            return None
        v = np.arange(top, bottom, dtype=np.float32)[:, None] - np.float32(y)
        u = np.arange(left, right, dtype=np.float32) - np.float32(x)
        return self.planes[:, top:bottom, left:right], v, u


def enlarge(blocks: np.ndarray) -> np.ndarray:
    """Returns a float32 map of blocks (rows, columns) as a map of pixels, BLOCK times as large each way, interpolated linearly."""
    rows, columns = blocks.shape
    tall = np.empty((rows * BLOCK, columns), np.float32)
    _between(blocks, tall.reshape(rows, BLOCK, columns).transpose(1, 0, 2))
    wide = np.empty((rows * BLOCK, columns * BLOCK), np.float32)
    _between(tall.T, wide.reshape(rows * BLOCK, columns, BLOCK).transpose(2, 1, 0))
    return wide


def _between(lines: np.ndarray, thirds: np.ndarray) -> None:
    """Fills `thirds` (BLOCK, n, m): each of the n lines in the middle, a third of the way to its neighbours before and after it."""
    step = (lines[1:] - lines[:-1]) * np.float32(1 / BLOCK)
    thirds[:] = lines
    thirds[0, 1:] -= step
    thirds[2, :-1] += step


def _blend(view: np.ndarray, cover: np.ndarray, colour: np.ndarray) -> None:
    view += cover * (colour[:, None, None] - view)
