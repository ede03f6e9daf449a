"""What of a cache folder is this program's own, by whole names and by the mark that it leaves, and how it is deleted.

A cache folder may have been set to any folder, with a user's files in it. So nothing is taken for the cache's by a part of its name.
"""

import re
import shutil
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from malaria_exp.data.cache_folders import MARKER, TAG, TAG_TEXT, lock_path

# Below the cache folder: copies of remote runs and of weights.
FETCHED = "fetched"
KEY = "[0-9a-f]{20}"
PIXEL_CACHE = re.compile(rf"(.+-(?:\d+px|shards)-{KEY})(\.partial-\d+)?")
COPY = re.compile(rf"(\.[0-9a-f]{{8}}\.)?{KEY}")
MEASUREMENT = re.compile(rf"(\.[0-9a-f]{{8}}\.)?precision-{KEY}\.json")


def cache_contents(root: Path) -> list[tuple[Path, int]]:
    """Returns the files and folders of a cache folder that this program has made, with their sizes in bytes."""
    found = [path for path in (*root.glob("*"), *root.glob(f"{FETCHED}/*")) if _is_own(path)]
    return [(path, sum(file.lstat().st_size for file in (path, *path.rglob("*")) if file.is_file())) for path in sorted(found)]


def _is_own(path: Path) -> bool:
    if path.is_symlink():
        return False
    if path.is_file():
        return bool(MEASUREMENT.fullmatch(path.name))
    if path.parent.name == FETCHED:
        # The copy of a run lies one folder deeper, under the run's own name.
        return bool(COPY.fullmatch(path.name)) and any(map(_is_tag, (*path.glob(TAG), *path.glob(f"*/{TAG}"))))
    # The marker is the mark of caches that were made before there was a tag.
    return bool(PIXEL_CACHE.fullmatch(path.name)) and (_is_tag(path / TAG) or (path / MARKER).is_file())


def _is_tag(path: Path) -> bool:
    with suppress(OSError, UnicodeDecodeError):
        return path.read_text(encoding="utf-8") == TAG_TEXT
    return False


def delete_cached(path: Path) -> bool:
    """Deletes one of `cache_contents`, unless a run is writing it; returns whether it is gone."""
    if path.is_file():
        path.unlink(missing_ok=True)
        return True
    name = PIXEL_CACHE.fullmatch(path.name)
    if name is None:
        shutil.rmtree(path, ignore_errors=True)
        return not path.exists()
    try:
        with FileLock(lock_path(path.with_name(name[1]))).acquire(timeout=0):
            # The marker goes first: a folder without it is never read. The tag goes last, so that what a kill leaves is still found.
            (path / MARKER).unlink(missing_ok=True)
            for item in path.iterdir():
                if item.is_file() and item.name != TAG:
                    item.unlink()
            shutil.rmtree(path)
    except Timeout:
        return False
    return True
