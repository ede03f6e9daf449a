"""Emptying the cache of decoded images."""

import shutil
from typing import TYPE_CHECKING

from malaria_exp.config.registry import register
from malaria_exp.data.cache_folders import cache_folders, delete_cache_folder, delete_left_overs
from malaria_exp.runs.remote_runs import FOLDER as FETCHED
from malaria_exp.utils.atomic_files import human_bytes
from malaria_exp.utils.terminal_log import log

if TYPE_CHECKING:
    from malaria_exp.config.app import App


@register("task", "clean_cache")
def clean_cache(app: "App", /, *, dry_run: bool = False) -> None:
    """Deletes the decoded images that runs share, and weights that were fetched; later runs decode and fetch again.

    Args:
        dry_run: only show what would be deleted.
    """
    root = app.config.cache.path
    found = cache_folders(root)
    freed = 0
    for folder, size in found:
        if dry_run:
            log.info(f"would delete {folder} ({human_bytes(size)})")
        elif delete_cache_folder(folder):
            freed += size
            log.info(f"deleted {folder} ({human_bytes(size)})")
        else:
            log.warning(f"kept {folder}: a run is using its lock")
    for path in () if dry_run else delete_left_overs(root):
        log.info(f"deleted {path}, left by decoding that was cut off")
    for path in () if dry_run else sorted(root.glob("precision-*.json")):
        path.unlink()
    if not dry_run:
        shutil.rmtree(root / FETCHED, ignore_errors=True)
    total = sum(size for _, size in found)
    log.info(f"{root}: {human_bytes(total)} in {len(found)} pixel caches" + ("" if dry_run else f", {human_bytes(freed)} freed"))
