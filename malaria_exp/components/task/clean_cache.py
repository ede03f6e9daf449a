"""Emptying the cache of decoded images."""

from contextlib import suppress
from typing import TYPE_CHECKING

from malaria_exp.config.registry import register
from malaria_exp.data.cache_contents import FETCHED, cache_contents, delete_cached
from malaria_exp.utils.atomic_files import human_bytes
from malaria_exp.utils.terminal_log import log

if TYPE_CHECKING:
    from malaria_exp.config.app import App


@register("task", "clean_cache")
def clean_cache(app: "App", /, *, dry_run: bool = False) -> None:
    """Deletes the decoded images that runs share, and weights that were fetched; later runs decode and fetch again.

    Only files and folders that this program has made are deleted, known by their whole names and by the mark in them.

    Args:
        dry_run: only show what would be deleted.
    """
    root = app.config.cache.path
    found = cache_contents(root)
    freed = 0
    for path, size in found:
        if dry_run:
            log.info(f"would delete {path} ({human_bytes(size)})")
        elif delete_cached(path):
            freed += size
            log.info(f"deleted {path} ({human_bytes(size)})")
        else:
            log.warning(f"kept {path}: a run is using its lock")
    if not dry_run:
        with suppress(OSError):
            (root / FETCHED).rmdir()
    total = sum(size for _, size in found)
    log.info(
        f"{root}: {human_bytes(total)} in {len(found)} cached files and folders" + ("" if dry_run else f", {human_bytes(freed)} freed")
    )
