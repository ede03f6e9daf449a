"""The picture while it is painted: brushes for small things, and the camera's noise."""

import math
from functools import cache

import numpy as np

from malaria_exp.components.dataset.drawing.outline import BLOCK

TILE = 512
JPEG_BLOCK = 8
DARKEST = 16.0

Position = tuple[float, float]


@cache
def grain(blocks: int) -> np.ndarray:
    """Returns a fixed tile of noise, float32 (512, 512), mean 0, deviation 1, smooth over about `blocks` pixels, seamless.

    Cells take windows of it, as new normal numbers for each cell would take longer than the rest of the picture.
    """
    tile = np.random.default_rng([0, blocks]).standard_normal((TILE, TILE)).astype(np.float32)
    for _ in range(2):
        for axis in (0, 1):
            tile = np.mean([np.roll(tile, shift, axis) for shift in range(blocks)], axis=0, dtype=np.float32)
    return _unit(tile)


@cache
def camera_grain() -> np.ndarray:
    """Returns a fixed tile of a camera's noise after JPEG: float32 (3, 512, 512), deviation about 1.

    JPEG keeps brightness well and color badly: of the color noise, only the slowest waves of each 8 px block remain.
    """
    rng = np.random.default_rng([0, 0, 1])
    step = np.arange(JPEG_BLOCK)
    cosines = np.cos(math.pi / JPEG_BLOCK * (step + 0.5) * step[:3, None])
    count = TILE // JPEG_BLOCK
    amounts = rng.standard_normal((2, count, 3, count, 3)) / (1 + step[:3, None] + step[:3])[None, None, :, None, :]
    patches = np.einsum("cyixj,ia,jb->cyaxb", amounts, cosines, cosines)
    red, blue = (_unit(patch) for patch in patches.reshape(2, TILE, TILE).astype(np.float32))
    tile = _unit(grain(2) + 0.6 * grain(1)) + np.stack([0.4 * red, -0.15 * red - 0.15 * blue, 0.4 * blue])
    tile = tile.astype(np.float32)
    tile.setflags(write=False)
    return tile


def _unit(tile: np.ndarray) -> np.ndarray:
    tile = (tile - tile.mean()) / tile.std()
    tile.setflags(write=False)
    return tile


def cut_window(rng: np.random.Generator, tile: np.ndarray, height: int, width: int) -> np.ndarray:
    """Returns a random window of a tile's last two axes."""
    top, left = int(rng.random() * (TILE - height)), int(rng.random() * (TILE - width))
    return tile[..., top : top + height, left : left + width]


class Canvas:
    """A picture while it is painted: its color planes, the cell's mask in blocks, and brushes.

    Positions are (y, x) in pixels, sizes in pixels, angles in radians, alpha in [0, 1]. Brushes may reach over the border.

    Args:
        planes: float32 (3, height, width) in [0, 255]; painted in place.
        mask: bool (height / BLOCK, width / BLOCK), the blocks that belong to the cell.
        center: the cell's center, (y, x) in pixels.
        softness: width of every edge in pixels; a picture out of focus has wide edges.
    """

    def __init__(self, planes: np.ndarray, mask: np.ndarray, center: Position, softness: float) -> None:
        self.planes, self.mask, self.center, self.softness = planes, mask, center, softness

    def inside(self, at: Position) -> bool:
        """Tells whether the position belongs to the cell."""
        row, column = int(at[0] // BLOCK), int(at[1] // BLOCK)
        rows, columns = self.mask.shape
        return 0 <= row < rows and 0 <= column < columns and bool(self.mask[row, column])

    def spot(self, at: Position, half: float, color: np.ndarray, alpha: float, *, squeeze: float, angle: float) -> None:
        """Paints an ellipse: `half` its longer half axis, `squeeze` in (0, 1] the shorter one relative to it."""
        window = self._window(at, half + self.softness)
        if window is None:
            return
        view, v, u = window
        sin, cos = math.sin(angle), math.cos(angle)
        long, short = u * cos + v * sin, (v * cos - u * sin) * (1 / squeeze)
        cover = (half - np.sqrt(long * long + short * short)) * (squeeze / self.softness) + 0.5
        _blend(view, np.minimum(np.maximum(cover, 0), 1) * alpha, color)

    def ring(
        self, at: Position, radius: float, width: float, color: np.ndarray, alpha: float, *, squeeze: float, angle: float, lean: float
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
        _blend(view, cover * (alpha * (1 - lean / 2) + (alpha * lean / 2) * facing), color)

    def crescent(self, at: Position, bend: float, length: float, width: float, color: np.ndarray, alpha: float, *, angle: float) -> None:
        """Paints a crescent around a point `bend` away in direction `angle`; `length` and `width` are half of what they measure."""
        window = self._window(at, length + self.softness)
        if window is None:
            return
        view, v, u = window
        sin, cos = math.sin(angle), math.cos(angle)
        aside, along = bend - (u * cos + v * sin), v * cos - u * sin
        outwards = np.sqrt(aside * aside + along * along) - bend
        taper = np.sqrt(np.maximum(1 - (np.arctan2(along, aside) * (bend / length)) ** 2, 0))
        cover = np.minimum(np.maximum((width * taper - np.abs(outwards)) * (1 / self.softness) + 0.5, 0), 1)
        _blend(view, np.where(taper > 0, cover, 0) * alpha, color)

    def finish(self) -> np.ndarray:
        """Returns the picture as uint8 (height, width, 3): black outside the cell and nowhere inside it."""
        planes = np.clip(self.planes, DARKEST, 255, out=self.planes)
        inside = np.repeat(np.repeat(self.mask.astype(np.float32), BLOCK, axis=0), BLOCK, axis=1)
        picture = np.empty((*planes.shape[1:], 3), np.uint8)
        for channel in range(3):
            np.multiply(planes[channel], inside, out=picture[..., channel], casting="unsafe")
        return picture

    def _window(self, at: Position, reach: float) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """Returns the planes around a position and the distances from it along both axes; None if all of it is off the picture."""
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
    """Fills `thirds` (BLOCK, n, m): each of the n lines in the middle, and what is a third of the way to the lines before and after it."""
    step = (lines[1:] - lines[:-1]) * np.float32(1 / BLOCK)
    thirds[:] = lines
    thirds[0, 1:] -= step
    thirds[2, :-1] += step


def _blend(view: np.ndarray, cover: np.ndarray, color: np.ndarray) -> None:
    view += cover * (color[:, None, None] - view)
