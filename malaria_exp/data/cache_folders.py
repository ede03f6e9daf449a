"""The folders of pixel caches below the cache folder: how one is written, found and deleted."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from malaria_exp.data.image_files import checksums
from malaria_exp.data.resize import ResizeRule
from malaria_exp.utils.atomic_files import write_json
from malaria_exp.utils.terminal_log import log

MARKER = "pixel_cache.json"
IMAGES = "images.npy"
BAD = "bad.json"
PIXELS = "pixels.txt"
FILES = (IMAGES, BAD, PIXELS)


def cache_folders(root: Path) -> list[tuple[Path, int]]:
    """Returns the pixel caches of a cache folder with their sizes in bytes."""
    folders = sorted(path.parent for path in root.glob(f"*/{MARKER}"))
    return [(folder, sum(file.stat().st_size for file in folder.iterdir())) for folder in folders]


def delete_cache_folder(folder: Path) -> bool:
    """Deletes one pixel cache, unless a run is writing it; returns whether it is gone."""
    lock = FileLock(lock_path(folder))
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
        pixel_cache = partial.with_name(partial.name.partition(".partial-")[0])
        try:
            with FileLock(lock_path(pixel_cache)).acquire(timeout=0):
                shutil.rmtree(partial)
        except Timeout:
            continue
        gone.append(partial)
    return gone


@contextmanager
def new_cache_folder(folder: Path) -> Iterator[Path]:
    """Yields a temporary folder that becomes the pixel cache's as soon as the block is done, if it has put a marker there.

    Call it under the pixel cache's lock: what killed runs left, and a pixel cache that is not whole, are deleted first.
    """
    for left_over in folder.parent.glob(f"{folder.name}.partial-*"):
        shutil.rmtree(left_over)
    if folder.exists():
        log.warning(f"cache     {folder} is damaged or from an older version of this program: made again")
        shutil.rmtree(folder)
    partial = folder.with_name(f"{folder.name}.partial-{os.getpid()}")
    partial.mkdir()
    try:
        yield partial
        if (partial / MARKER).exists():
            os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def lock_path(folder: Path) -> Path:
    """Returns the file whose lock a run holds while it writes the pixel cache in a folder."""
    return folder.with_name(f".{folder.name}.lock")


def write_marker(folder: Path, count: int, bad: int, rule: ResizeRule) -> None:
    """Writes the marker of a pixel cache whose other files are written.

    Args:
        folder: of the pixel cache.
        count: images it holds.
        bad: bad ones it does not hold.
        rule: how they were resized.
    """
    write_json(folder / MARKER, {**_facts(count, bad, rule), "checksums": checksums(folder, FILES)})


def is_whole(folder: Path, count: int, bad: int, rule: ResizeRule) -> bool:
    """Returns whether a folder holds this pixel cache, and every file of it as it was written."""
    try:
        found = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        return bool(found == {**_facts(count, bad, rule), "checksums": checksums(folder, FILES)})
    except (OSError, ValueError):
        return False


def _facts(count: int, bad: int, rule: ResizeRule) -> dict[str, object]:
    return {"images": count, "bad": bad, "resize": rule.to_dict()}
