"""The folder of a pixel cache below the cache folder: how it is written, marked and checked."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from malaria_exp.data.image_files import checksums
from malaria_exp.data.resize import ResizeRule
from malaria_exp.utils.atomic_files import write_json, write_text
from malaria_exp.utils.terminal_log import log

MARKER = "pixel_cache.json"
IMAGES = "images.npy"
BAD = "bad.json"
PIXELS = "pixels.txt"
FILES = (IMAGES, BAD, PIXELS)
# https://bford.info/cachedir/: programs that make backups leave out a folder with this file.
TAG = "CACHEDIR.TAG"
TAG_TEXT = "Signature: 8a477f597d28d172789f06886806bc55\n# Made by malaria_exp. `python run.py task=clean_cache` deletes this folder.\n"


def tag(folder: Path) -> None:
    """Marks a new folder as this program's cache."""
    write_text(folder / TAG, TAG_TEXT)


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
        tag(partial)
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
