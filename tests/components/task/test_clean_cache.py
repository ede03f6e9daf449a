import pytest
from filelock import FileLock

from malaria_exp.config.registry import build
from malaria_exp.data.cache_contents import cache_contents
from malaria_exp.data.cache_folders import tag
from malaria_exp.data.pixel_cache import open_pixel_cache
from malaria_exp.data.resize import ResizeRule
from malaria_exp.runs.remote_runs import fetch_once

KEY = "0123456789abcdef0123"
# What a user may have in the folder, and what a part of a name would take for the cache's.
MINE = (
    "mine.txt",
    "notes/pixel_cache.json",
    "x.partial-old/draft.txt",
    f"study-64px-{KEY}/draft.txt",
    f"study-64px-{KEY}.partial-7/draft.txt",
    "fetched/model.weights.h5",
    f"fetched/{KEY}/model.weights.h5",
    "precision-notes.json",
    f"tagged-64px-{KEY}/CACHEDIR.TAG",
)


@pytest.fixture
def cache(tmp_path):
    """A cache folder with something of every kind, and a user's files."""
    root = tmp_path / "cache"
    table = build("dataset", "synthetic", {"infected_patients": 2, "healthy_patients": 1, "cells_per_patient": 4, "cell_size": 30})
    for size in (16, 24):
        open_pixel_cache(table, ResizeRule(size, "pad"), root)
    for name in ("killed", "written"):
        (root / f"{name}-16px-{KEY}.partial-99").mkdir()
        tag(root / f"{name}-16px-{KEY}.partial-99")
    fetch_once(root / "fetched" / KEY.replace("0", "f"), lambda folder: (folder / "model.weights.h5").write_bytes(b"weights"))
    fetch_once(root / "fetched" / KEY.replace("0", "a") / "run", lambda folder: (folder / "model.keras").write_bytes(b"weights"))
    for name in (f"precision-{KEY}.json", f".01234567.precision-{KEY}.json"):
        (root / name).write_text("{}")
    for name in MINE:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("mine")
    return root


def files(root):
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file() and not path.name.endswith(".lock"))


def test_what_the_program_made_goes_and_nothing_of_the_users(cache, run_task, tmp_path):
    run_task(["task=clean_cache", f"cache.root={cache}"], tmp_path)
    assert files(cache) == sorted(MINE)


def test_a_dry_run_shows_the_same_list_and_deletes_nothing(cache, run_task, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("malaria_exp.utils.terminal_log.log.propagate", True)
    caplog.set_level("INFO", logger="malaria_exp")
    before = files(cache)
    run_task(["task=clean_cache", "task.dry_run=true", f"cache.root={cache}"], tmp_path)
    assert files(cache) == before
    shown = [line.removeprefix("would ").removeprefix("delete ") for line in list(dict.fromkeys(caplog.messages))[:-1]]
    caplog.clear()
    run_task(["task=clean_cache", f"cache.root={cache}"], tmp_path)
    assert [line.removeprefix("deleted ") for line in list(dict.fromkeys(caplog.messages))[:-1]] == shown
    assert len(shown) == 8


def test_what_a_run_is_writing_stays(cache, run_task, tmp_path):
    with FileLock(cache / f".written-16px-{KEY}.lock"):
        run_task(["task=clean_cache", f"cache.root={cache}"], tmp_path)
    assert [path.name for path, _ in cache_contents(cache)] == [f"written-16px-{KEY}.partial-99"]
