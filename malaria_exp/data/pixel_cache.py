"""The decoded pixel cache: every image decoded and resized once, shared by all runs of a machine.

A pixel cache is a folder `<root>/<key>/` with images.npy (uint8, memory-mapped), pixels.txt (the fingerprint of each row's
image) and pixel_cache.json. Its key is a hash of the contents, the resize rule and the size, so nothing stale is ever read, and
rows are sorted by content, so the order in which a dataset lists its cells makes no second pixel cache. Images that cannot be
decoded are listed in bad.json with the reason; the dataset's policy decides what becomes of them (`bad_images`).
"""

import hashlib
import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, Self

import numpy as np
from filelock import FileLock, Timeout
from threadpoolctl import threadpool_limits

from malaria_exp.data.cache_contents import cache_contents
from malaria_exp.data.cache_folders import BAD, IMAGES, PIXELS, is_whole, lock_path, new_cache_folder, write_marker
from malaria_exp.data.cell_table import BadImageError, CellTable
from malaria_exp.data.fingerprints import fingerprint
from malaria_exp.data.image_files import new_images
from malaria_exp.data.resize import ResizeRule, resize
from malaria_exp.utils.atomic_files import human_bytes, write_json, write_text
from malaria_exp.utils.errors import DiskFullError, cannot_write
from malaria_exp.utils.progress_bars import track
from malaria_exp.utils.terminal_log import log

# Raise it whenever the decoder gives other pixels, or accepts or refuses other files.
DECODER_VERSION = 3


# Images (memory-mapped), their fingerprints, and the reasons of the contents that could not be decoded.
_Found = tuple[np.ndarray, np.ndarray, dict[str, str]]


class PixelCache(Protocol):
    """Where the decoded images of a table are.

    Attributes:
        rule: how they were resized.
        bad: rows of the table that could not be decoded, with the reason.
        pixels: fingerprints of the images at their own size, str (N,), "" for bad ones; None where nothing was decoded here.
    """

    @property
    def rule(self) -> ResizeRule:
        """How the images were resized."""
        ...

    @property
    def bad(self) -> dict[int, str]:
        """Rows of the table that could not be decoded, with the reason."""
        ...

    @property
    def pixels(self) -> np.ndarray | None:
        """Fingerprints of the images at their own size."""
        ...

    def take(self, index: np.ndarray) -> np.ndarray:
        """Returns the images of these table rows, uint8 (len(index), size, size, 3)."""
        ...

    def select(self, rows: np.ndarray) -> Self:
        """Returns the pixel cache of `table.select(rows)`."""
        ...


@dataclass(frozen=True, eq=False)
class MappedPixelCache:
    """Decoded images of a table.

    Attributes:
        folder: where they lie.
        rule: how they were resized.
        images: uint8 (stored, size, size, 3), memory-mapped, read-only.
        rows: int64 (N,): row of `images` for each row of the table; -1 for those that could not be decoded.
        bad: those, with the reason.
        pixels: str (N,), fingerprints of the images at their own size, "" for bad ones; None where they are not known.
    """

    folder: Path
    rule: ResizeRule
    images: np.ndarray
    rows: np.ndarray
    bad: dict[int, str] = field(default_factory=dict)
    pixels: np.ndarray | None = None

    def take(self, index: np.ndarray) -> np.ndarray:
        """Returns the images of these table rows, uint8 (len(index), size, size, 3)."""
        rows = self.rows[index]
        if rows.size and rows.min() < 0:
            raise ValueError(f"Expected rows that could be decoded. Received: {np.asarray(index)[rows < 0]}")
        return self.images[rows]

    def select(self, rows: np.ndarray) -> Self:
        """Returns the pixel cache of `table.select(rows)`."""
        kept = {int(row): new for new, row in enumerate(rows)}
        bad = {kept[row]: reason for row, reason in self.bad.items() if row in kept}
        return replace(self, rows=self.rows[rows], bad=bad, pixels=None if self.pixels is None else self.pixels[rows])


def open_pixel_cache(table: CellTable, rule: ResizeRule, root: Path, workers: int = 0) -> PixelCache:
    """Returns the table's pixel cache, decoding it first if no run has yet; runs that start together decode once.

    A source that holds its images decoded already opens a pixel cache of its own.

    Args:
        table: the cells.
        rule: size and resize mode.
        root: the cache folder.
        workers: decoding threads; 0 takes one a core.

    Raises:
        DataError: the cache folder cannot be written.
        DiskFullError: there is no room in it.
    """
    open_own = getattr(table.source, "open_pixel_cache", None)
    if open_own is not None:
        own: PixelCache = open_own(rule, root)
        return own
    contents, first, inverse = np.unique(table.content, return_index=True, return_inverse=True)
    identity = "\n".join([f"{rule.mode} {rule.size} {rule.version} {DECODER_VERSION}", *contents.tolist()])
    folder = root / f"{table.name}-{rule.size}px-{hashlib.sha256(identity.encode()).hexdigest()[:20]}"
    try:
        root.mkdir(parents=True, exist_ok=True)
        found = _load(folder, contents, rule)
        if found is None:
            lock = FileLock(lock_path(folder))
            try:
                lock.acquire(timeout=0)
            except Timeout:
                log.info("cache     waiting for another run that is decoding the same images")
                lock.acquire()
            try:
                found = _load(folder, contents, rule) or _decode(table, contents, first, rule, folder, workers)
            finally:
                lock.release()
    except OSError as error:
        raise cannot_write(
            error, f"cache.root: cannot write the decoded images to '{root}': {error}. Choose another folder: cache.root=..."
        ) from None
    images, pixels, reasons = found
    good = np.array([content not in reasons for content in contents.tolist()])
    position = np.where(good, np.cumsum(good) - 1, -1).astype(np.int64)
    inverse = inverse.reshape(-1)
    bad = {row: reasons[str(contents[inverse[row]])] for row in np.flatnonzero(~good[inverse]).tolist()}
    # Position -1, of those that could not be decoded, is that of the "" at the end.
    return MappedPixelCache(folder, rule, images, position[inverse], bad, np.append(pixels, "")[position[inverse]])


def _load(folder: Path, contents: np.ndarray, rule: ResizeRule) -> _Found | None:
    """Returns what a pixel cache holds; None if there is no such pixel cache, or it is not whole."""
    try:
        reasons = {}
        if (folder / BAD).exists():
            reasons = {str(content): str(reason) for content, reason in json.loads((folder / BAD).read_text(encoding="utf-8")).items()}
        if not is_whole(folder, len(contents) - len(reasons), len(reasons), rule):
            return None
        images: np.ndarray = np.load(folder / IMAGES, mmap_mode="r", allow_pickle=False)
        pixels = np.array((folder / PIXELS).read_text(encoding="ascii").split(), dtype=str)
    except (OSError, ValueError, EOFError, AttributeError):
        return None
    whole = images.dtype == np.uint8 and images.shape == (len(contents) - len(reasons), rule.size, rule.size, 3)
    return (images, pixels, reasons) if whole and len(pixels) == len(images) and set(reasons) <= set(contents.tolist()) else None


def _decode(table: CellTable, contents: np.ndarray, first: np.ndarray, rule: ResizeRule, folder: Path, workers: int) -> _Found:
    """Decodes into a new pixel cache and returns what `_load` would; called under the lock."""
    _check_space(folder.parent, len(contents), rule)
    with new_cache_folder(folder) as partial:
        pixels, bad = _fill(partial / IMAGES, table, first, rule, workers)
        reasons = {str(contents[position]): reason for position, reason in bad.items()}
        if reasons and (table.policy.on_bad_image == "error" or len(bad) == len(contents)):
            # The run ends here, and mended files are other contents: nobody would read what was decoded.
            return np.empty((0, rule.size, rule.size, 3), np.uint8), pixels, reasons
        if reasons:
            write_json(partial / BAD, reasons)
        write_text(partial / PIXELS, "\n".join(pixels.tolist()) + "\n")
        write_marker(partial, len(contents) - len(bad), len(bad), rule)
    total = sum(size for _, size in cache_contents(folder.parent))
    log.info(
        f"cache     decoded {len(contents) - len(bad):,} images to {folder} (cache: {human_bytes(total)}; task=clean_cache empties it)"
    )
    return np.load(folder / IMAGES, mmap_mode="r", allow_pickle=False), pixels, reasons


def _check_space(root: Path, count: int, rule: ResizeRule) -> None:
    """Raises a DiskFullError if the images would not fit, which says how much room it takes."""
    needed, free = count * rule.size * rule.size * 3, shutil.disk_usage(root).free
    if needed > free:
        raise DiskFullError(
            f"cache.root: {count:,} images of {rule.size} x {rule.size} px take {human_bytes(needed)}, but '{root}' has {human_bytes(free)} free."
            " Choose another folder (cache.root=...), smaller images (model.image_size=...), or empty the cache: python run.py task=clean_cache"
        )


def _fill(path: Path, table: CellTable, first: np.ndarray, rule: ResizeRule, workers: int) -> tuple[np.ndarray, dict[int, str]]:
    """Writes the images that can be decoded into a file, in the order of `first`; returns their fingerprints, and the others' reasons by position."""
    images = new_images(path, (len(first), rule.size, rule.size, 3))

    pixels = [""] * len(first)

    def decode(position: int) -> tuple[int, str] | None:
        try:
            image = table.source.read(int(first[position]))
            pixels[position], images[position] = fingerprint(image), resize(image, rule)
        except BadImageError as error:
            return position, str(error)
        return None

    # In the source's own order: a zip or a disk is read from front to back.
    order = np.argsort(first, kind="stable").tolist()
    # The images are resized in parallel already; threads of BLAS within each would only compete with them.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        bad = dict(sorted(filter(None, track(pool.map(decode, order), f"decoding to {rule.size} px", total=len(order)))))
    images.flush()
    if 0 < len(bad) < len(first):
        good = np.delete(np.arange(len(first)), list(bad))
        whole = new_images(path.with_suffix(".good"), (len(good), *images.shape[1:]))
        for start in range(0, len(good), 1024):
            whole[start : start + 1024] = images[good[start : start + 1024]]
        whole.flush()
        os.replace(path.with_suffix(".good"), path)
    return np.array([text for text in pixels if text], dtype=str), bad
