import pytest
from filelock import FileLock

from malaria_exp.config.registry import build
from malaria_exp.data.cache_folders import cache_folders
from malaria_exp.data.pixel_cache import open_pixel_cache
from malaria_exp.data.resize import ResizeRule


@pytest.fixture
def cache(tmp_path):
    table = build("dataset", "synthetic", {"infected_patients": 2, "healthy_patients": 1, "cells_per_patient": 4, "cell_size": 30})
    for size in (16, 24):
        open_pixel_cache(table, ResizeRule(size, "pad"), tmp_path / "cache")
    (tmp_path / "cache" / "mine.txt").write_text("not a pixel cache")
    (tmp_path / "cache" / "my_folder").mkdir()
    (tmp_path / "cache" / "fetched" / "0123").mkdir(parents=True)
    (tmp_path / "cache" / "fetched" / "0123" / "model.weights.h5").write_bytes(b"weights")
    return tmp_path / "cache"


def test_pixel_caches_go_and_nothing_else(cache, run_task, tmp_path):
    assert len(cache_folders(cache)) == 2
    run_task(["task=clean_cache", f"cache.root={cache}"], tmp_path)
    assert cache_folders(cache) == []
    assert (cache / "mine.txt").exists()
    assert (cache / "my_folder").exists()
    assert not (cache / "fetched").exists()


def test_left_overs_of_killed_decoding_go_unless_they_are_being_written(cache, run_task, tmp_path):
    for name in ("killed", "written"):
        (cache / f"{name}-16px-0.partial-99").mkdir()
        (cache / f"{name}-16px-0.partial-99" / "images.npy").write_bytes(b"half")
    with FileLock(cache / ".written-16px-0.lock"):
        run_task(["task=clean_cache", f"cache.root={cache}"], tmp_path)
    assert [path.name for path in cache.glob("*.partial-*")] == ["written-16px-0.partial-99"]


def test_a_dry_run_deletes_nothing(cache, run_task, tmp_path):
    run_task(["task=clean_cache", "task.dry_run=true", f"cache.root={cache}"], tmp_path)
    assert len(cache_folders(cache)) == 2
    assert (cache / "fetched" / "0123" / "model.weights.h5").exists()
