"""The decoded store: every image decoded and resized once, shared by all runs of a machine.

A store is a folder `<root>/<key>/` with images.npy (uint8, memory-mapped), contents.txt (the SHA-256 of each row's
image) and store.json. Its key is a hash of the contents, the resize rule and the size, so nothing stale is ever read, and
rows are sorted by content, so the order in which a dataset lists its cells makes no second store.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout
from threadpoolctl import threadpool_limits

from malaria_exp.errors import DataError
from malaria_exp.files import human_bytes, write_json, write_text
from malaria_exp.images import ResizeRule, resize
from malaria_exp.logs import log
from malaria_exp.progress import track
from malaria_exp.table import BadImageError, CellTable, bad_images_error

MARKER = "store.json"
IMAGES = "images.npy"


@dataclass(frozen=True, eq=False)
class Store:
    """Decoded images of a table.

    Attributes:
        folder: where they lie.
        rule: how they were resized.
        images: uint8 (stored, size, size, 3), memory-mapped, read-only.
        rows: int64 (N,): row of `images` for each row of the table.
    """

    folder: Path
    rule: ResizeRule
    images: np.ndarray
    rows: np.ndarray

    def take(self, index: np.ndarray) -> np.ndarray:
        """Returns the images of these table rows, uint8 (len(index), size, size, 3)."""
        return self.images[self.rows[index]]


def open_store(table: CellTable, rule: ResizeRule, root: Path, workers: int = 0) -> Store:
    """Returns the table's store, decoding it first if no run has yet; runs that start together decode once.

    Args:
        table: the cells.
        rule: size and resize mode.
        root: the cache folder.
        workers: decoding threads; 0 takes one a core.

    Raises:
        DataError: bad images (all of them listed), or the cache folder cannot be written.
    """
    contents, first, inverse = np.unique(table.content, return_index=True, return_inverse=True)
    rows = inverse.astype(np.int64).reshape(-1)
    identity = "\n".join([f"{rule.mode} {rule.size} {rule.version}", *contents.tolist()])
    folder = root / f"{table.name}-{rule.size}px-{hashlib.sha256(identity.encode()).hexdigest()[:20]}"
    try:
        root.mkdir(parents=True, exist_ok=True)
        images = _load(folder, len(contents), rule)
        if images is None:
            lock = FileLock(_lock_path(folder))
            try:
                lock.acquire(timeout=0)
            except Timeout:
                log.info("store     waiting for another run that is decoding the same images")
                lock.acquire()
            try:
                images = _load(folder, len(contents), rule)
                if images is None:
                    _decode(table, contents, first, rows, rule, folder, workers)
                    images = np.load(folder / IMAGES, mmap_mode="r", allow_pickle=False)
            finally:
                lock.release()
    except OSError as error:
        raise DataError(
            f"store.root: cannot write the decoded images to '{root}': {error}. Choose another folder: store.root=..."
        ) from None
    return Store(folder, rule, images, rows)


def stores(root: Path) -> list[tuple[Path, int]]:
    """Returns the stores of a cache folder with their sizes in bytes."""
    folders = sorted(path.parent for path in root.glob(f"*/{MARKER}"))
    return [(folder, sum(file.stat().st_size for file in folder.iterdir())) for folder in folders]


def delete_store(folder: Path) -> bool:
    """Deletes one store, unless a run is writing it; returns whether it is gone."""
    lock = FileLock(_lock_path(folder))
    try:
        with lock.acquire(timeout=0):
            # The marker goes first: a folder without it is never read.
            (folder / MARKER).unlink(missing_ok=True)
            shutil.rmtree(folder)
    except Timeout:
        return False
    return True


def delete_left_overs(root: Path) -> list[Path]:
    """Deletes what decoding that was killed left in a cache folder, and returns it; folders that are being written stay."""
    gone = []
    for partial in sorted(root.glob("*.partial-*")):
        store = partial.with_name(partial.name.partition(".partial-")[0])
        try:
            with FileLock(_lock_path(store)).acquire(timeout=0):
                shutil.rmtree(partial)
        except Timeout:
            continue
        gone.append(partial)
    return gone


def _lock_path(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.lock")


def _load(folder: Path, count: int, rule: ResizeRule) -> np.ndarray | None:
    """Returns the store's images, memory-mapped; None if there is no such store, or it is not whole."""
    try:
        if json.loads((folder / MARKER).read_text(encoding="utf-8")) != _marker(count, rule):
            return None
        images: np.ndarray = np.load(folder / IMAGES, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return images if images.dtype == np.uint8 and images.shape == (count, rule.size, rule.size, 3) else None


def _marker(count: int, rule: ResizeRule) -> dict[str, object]:
    return {"images": count, "resize": rule.to_dict()}


def _decode(
    table: CellTable, contents: np.ndarray, first: np.ndarray, rows: np.ndarray, rule: ResizeRule, folder: Path, workers: int
) -> None:
    """Decodes into a temporary folder and renames it; called under the lock."""
    for left_over in folder.parent.glob(f"{folder.name}.partial-*"):
        shutil.rmtree(left_over)
    if folder.exists():
        shutil.rmtree(folder)
    partial = folder.with_name(f"{folder.name}.partial-{os.getpid()}")
    partial.mkdir()
    try:
        shape = (len(contents), rule.size, rule.size, 3)
        images = np.lib.format.open_memmap(partial / IMAGES, mode="w+", dtype=np.uint8, shape=shape)
        bad = dict(_fill(images, table, first, rule, workers))
        if bad:
            cells = zip(table.cell_id.tolist(), rows.tolist(), strict=True)
            raise bad_images_error(f"dataset '{table.name}'", sorted((cell, bad[row]) for cell, row in cells if row in bad))
        images.flush()
        del images
        write_text(partial / "contents.txt", "\n".join(contents.tolist()) + "\n")
        write_json(partial / MARKER, _marker(len(contents), rule))
        os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    total = sum(size for _, size in stores(folder.parent))
    log.info(f"store     decoded {len(contents):,} images to {folder} (cache: {human_bytes(total)}; task=clean_cache empties it)")


def _fill(images: np.ndarray, table: CellTable, first: np.ndarray, rule: ResizeRule, workers: int) -> Iterator[tuple[int, str]]:
    """Writes every image into its row; yields (row, reason) of those that cannot be used."""

    def decode(position: int) -> tuple[int, str] | None:
        try:
            images[position] = resize(table.source.read(int(first[position])), rule)
        except BadImageError as error:
            return position, str(error)
        return None

    # In the source's own order: a zip or a disk is read from front to back.
    order = np.argsort(first, kind="stable").tolist()
    # The threads work side by side; each one's linear algebra on threads of its own would only get in the others' way.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        for problem in track(pool.map(decode, order), f"decoding to {rule.size} px", total=len(order)):
            if problem:
                yield problem
