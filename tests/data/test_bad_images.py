"""Bad images end a run before training, all of them named; or it goes on without them, and says so wherever it writes."""

import csv
import dataclasses
import io
import json
import re
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from conftest import compose_app
from PIL import Image

from malaria_exp.config.registry import build
from malaria_exp.data.bad_images import exclude_bad_images
from malaria_exp.data.cell_table import STOP, BadImage, BadImagePolicy, CellTable
from malaria_exp.data.pixel_cache import open_pixel_cache
from malaria_exp.data.readers.names import parse_name
from malaria_exp.data.resize import ResizeRule
from malaria_exp.data.split_manifest import Manifest
from malaria_exp.evaluation.predictions import read
from malaria_exp.runs.load_data import load_and_decode
from malaria_exp.runs.run_folder import RunFolder
from malaria_exp.runs.write_results import write_excluded
from malaria_exp.utils.errors import DataError

OUTSIDE = BadImage("../x.png", "points outside of the zip; not read")


class Rows:
    """A pixel cache that remembers which rows of the first one it holds."""

    def __init__(self, bad, rows):
        self.bad, self.rows = bad, rows

    def select(self, rows):
        return Rows({}, self.rows[rows])


def make(n=20, policy=STOP, bad=(), label=None, file=True):
    return CellTable(
        name="small",
        cell_id=np.array([f"c{i:02d}" for i in range(n)]),
        label=(np.arange(n) % 2).astype(np.int8) if label is None else np.array(label, np.int8),
        patient=np.array([f"P{i // 4}" for i in range(n)]),
        slide=np.array(["S1"] * n),
        field=np.array(["F1"] * n),
        content=np.array([f"{i:064x}" for i in range(n)]),
        source=None,
        file=np.array([f"folder/c{i:02d}.png" for i in range(n)]) if file else None,
        policy=policy,
        bad=tuple(bad),
    )


def skip(fraction):
    return BadImagePolicy("skip", fraction)


def exclude(table, bad):
    return exclude_bad_images(table, Rows(dict(bad), np.arange(len(table))))


# The policy


def test_without_bad_images_nothing_changes():
    table, pixel_cache = make(), Rows({}, np.arange(20))
    assert exclude_bad_images(table, pixel_cache) == (table, pixel_cache, [])


def test_error_names_every_file_with_its_reason_and_both_ways_out():
    with pytest.raises(DataError) as caught:
        exclude(make(100, bad=[OUTSIDE]), {row: f"reason {row}" for row in range(60)})
    lines = [line for line in str(caught.value).splitlines() if line.startswith("  ")]
    assert lines == ["  ../x.png: points outside of the zip; not read", *(f"  folder/c{row:02d}.png: reason {row}" for row in range(60))]
    assert "dataset 'small': 61 bad images" in str(caught.value)
    assert "Mend or remove" in str(caught.value)
    assert "dataset.on_bad_image=skip" in str(caught.value)


def test_where_there_are_no_files_cells_are_named():
    with pytest.raises(DataError, match="  c07: torn"):
        exclude(make(file=False), {7: "torn"})


def test_skip_keeps_the_other_rows_of_table_and_pixel_cache():
    table, pixel_cache, excluded = exclude(make(policy=skip(0.2), bad=[OUTSIDE]), {7: "torn", 2: "empty"})
    kept = [row for row in range(20) if row not in (2, 7)]
    assert table.cell_id.tolist() == [f"c{row:02d}" for row in kept]
    assert table.content.tolist() == [f"{row:064x}" for row in kept]
    assert pixel_cache.rows.tolist() == kept
    assert excluded == [OUTSIDE, BadImage("folder/c02.png", "empty"), BadImage("folder/c07.png", "torn")]


def test_images_of_equal_pixels_are_one_image_whatever_their_files():
    twins = np.array([f"{min(row, 17):0160x}" for row in range(20)])
    table, _, excluded = exclude_bad_images(
        dataclasses.replace(make(policy=skip(0.2), label=[0] * 20), pixels=twins), Rows({}, np.arange(20))
    )
    assert len(table) == 18
    assert excluded == [BadImage(f"folder/c{row}.png", "the same image as folder/c17.png") for row in (18, 19)]
    with pytest.raises(DataError, match=r"2 bad images:\n  folder/c18\.png: the same image as folder/c17\.png"):
        exclude_bad_images(dataclasses.replace(make(label=[0] * 20), pixels=twins), Rows({}, np.arange(20)))


def test_files_without_a_row_are_excluded_and_every_row_is_kept():
    table, pixel_cache = make(policy=skip(0.2), bad=[OUTSIDE]), Rows({}, np.arange(20))
    assert exclude_bad_images(table, pixel_cache) == (table, pixel_cache, [OUTSIDE])


# Of 20 rows and a file without one, 2 rows: 3 of 21 images.
@pytest.mark.parametrize(("fraction", "allowed"), [(3 / 21, True), (3 / 21 - 1e-6, False), (0.0, False), (1.0, True)])
def test_skip_excludes_at_most_the_stated_fraction_of_all_images(fraction, allowed):
    table, bad = make(policy=skip(fraction), bad=[OUTSIDE]), {1: "torn", 2: "empty"}
    if allowed:
        assert len(exclude(table, bad)[0]) == 18
        return
    with pytest.raises(DataError) as caught:
        exclude(table, bad)
    for text in (
        "3 of 21 images (14.3 %)",
        f"dataset.max_bad_fraction={fraction:g}",
        "../x.png",
        "folder/c01.png: torn",
        "folder/c02.png: empty",
    ):
        assert text in str(caught.value)


@pytest.mark.parametrize(("bad", "class_name"), [((1, 3), "parasitized"), ((0, 2), "uninfected"), ((0, 1, 2, 3), "uninfected")])
def test_skip_never_leaves_a_class_without_images(bad, class_name):
    with pytest.raises(DataError, match=rf"none of the images of the class {class_name} can be used\.\n  folder/c0{bad[0]}\.png: torn"):
        exclude(make(4, policy=skip(1.0)), dict.fromkeys(bad, "torn"))


def test_a_class_that_was_never_there_is_not_missed():
    assert len(exclude(make(4, policy=skip(1.0), label=[0, 0, 0, 0]), {1: "torn"})[0]) == 3


def test_what_was_excluded_is_written_and_nothing_where_nothing_was(tmp_path):
    write_excluded(RunFolder(tmp_path), [])
    assert list(tmp_path.iterdir()) == []
    odd = BadImage('a "b",\n.png', "reason, with a comma")
    write_excluded(RunFolder(tmp_path), [odd])
    with (tmp_path / "excluded.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["file", "reason"], list(odd)]


# Whole runs, on a zip of the official layout


def png(image):
    out = io.BytesIO()
    Image.fromarray(image).save(out, "PNG")
    return out.getvalue()


class Harmed(NamedTuple):
    """A zip with bad files: its path, those files with the beginning of their reason, and the names of the good cells."""

    path: Path
    bad: dict[str, str]
    good: set[str]


@pytest.fixture(scope="module")
def harmed(make_nih_zip, tmp_path_factory):
    table = build("dataset", "synthetic", {"infected_patients": 12, "healthy_patients": 4, "cells_per_patient": 12, "cell_size": 40})
    folder = {1: "Parasitized", 0: "Uninfected"}
    files = {f"{folder[int(table.label[row])]}/{table.cell_id[row]}.png": png(table.source.read(row)) for row in range(len(table))}
    names = sorted(files)
    truncated, empty, text, first, copy, unnamed = names[3], names[40], names[-2], names[50], names[51], "Uninfected/holiday.png"
    files |= {truncated: files[truncated][:-30], empty: b"", text: b"<html>404</html>", unnamed: files[names[0]]}
    # The first by name stays; a copy of it, of the same class and patient, goes.
    assert parse_name(first.split("/")[1][:-4]).patient == parse_name(copy.split("/")[1][:-4]).patient
    files[copy] = files[first]
    bad = {
        truncated: "truncated PNG",
        empty: "empty file (0 bytes)",
        text: "not a PNG",
        copy: f"the same image as cell_images/{first}",
        unnamed: "its name does not follow the NIH grammar",
    }
    path = make_nih_zip(tmp_path_factory.mktemp("harmed") / "cell_images.zip", files)
    good = {name.split("/")[1][:-4] for name in files if name not in bad}
    return Harmed(path, {f"cell_images/{name}": reason for name, reason in bad.items()}, good)


@pytest.fixture
def overrides(harmed, tiny_cellnet):
    own = [item for item in tiny_cellnet if not item.startswith("dataset.")]
    return [*own, "dataset=nih", f"dataset.path={harmed.path}", "split.train=0.5", "split.val=0.25", "split.test=0.25"]


@pytest.fixture
def no_training(monkeypatch):
    from malaria_exp.runs import pipeline

    def fail(*_):
        raise AssertionError("training began")

    monkeypatch.setattr(pipeline, "train", fail)


def status(folder):
    return json.loads((folder / "status.json").read_text())


def in_order(found, bad):
    """Whether lines "file: reason" are those of the bad files, all of them."""
    assert [line.split(": ")[0] for line in found] == sorted(bad)
    for line in found:
        name, _, reason = line.partition(": ")
        assert reason.startswith(bad[name]), line


def test_with_error_a_run_ends_before_training_with_all_names_and_reasons(run_task, overrides, harmed, tmp_path, no_training):
    with pytest.raises(DataError) as caught:
        run_task(overrides, tmp_path / "run")
    in_order([line.strip() for line in str(caught.value).splitlines() if line.startswith("  ")], harmed.bad)
    assert status(tmp_path / "run")["status"] == "failed"
    assert status(tmp_path / "run")["reason"] == str(caught.value)
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"status.json", "config.yaml", "provenance.json", "run.log"}


@pytest.fixture(scope="module")
def skipped(run_task, harmed, tiny_cellnet, tmp_path_factory):
    """A finished run that left the bad images out."""
    own = [item for item in tiny_cellnet if not item.startswith("dataset.")]
    shares = ["split.train=0.5", "split.val=0.25", "split.test=0.25"]
    data = ["dataset=nih", f"dataset.path={harmed.path}", "dataset.on_bad_image=skip", "dataset.max_bad_fraction=0.05"]
    return run_task([*own, *data, *shares], tmp_path_factory.mktemp("skipped") / "run")


def excluded_of(folder):
    with (folder / "excluded.csv").open(newline="") as file:
        return [": ".join(row) for row in list(csv.reader(file))[1:]]


def test_with_skip_a_run_is_done_and_lists_what_it_excluded(skipped, harmed):
    assert status(skipped)["status"] == "done"
    in_order(excluded_of(skipped), harmed.bad)
    assert json.loads((skipped / "metrics.json").read_text())["excluded"] == 5
    report = " ".join((skipped / "report.html").read_text().split())
    assert re.search(rf"5 of {len(harmed.good) + 5} images \(.* %\) were bad and excluded; excluded.csv lists them", report)


def test_with_skip_a_run_uses_all_good_cells_and_no_other(skipped, harmed):
    manifest = Manifest.read(skipped / "split.csv", "patient_holdout")
    assert set(manifest.cell_id.tolist()) == harmed.good
    held_out = {cell for subset in ("val", "test") for cell in manifest.cell_id[manifest.rows(subset)].tolist()}
    assert set(read(skipped / "predictions.csv").cell_id.tolist()) == held_out


def test_without_the_bad_files_the_data_is_the_same(harmed, tmp_path):
    with zipfile.ZipFile(harmed.path) as whole, zipfile.ZipFile(tmp_path / "good.zip", "w") as good:
        for name in whole.namelist():
            if name not in harmed.bad:
                good.writestr(name, whole.read(name))
    skipping = build("dataset", "nih", {"path": str(harmed.path), "on_bad_image": "skip", "max_bad_fraction": 0.05})
    kept, _, excluded = exclude_bad_images(skipping, open_pixel_cache(skipping, ResizeRule(8, "pad"), tmp_path / "cache"))
    table = build("dataset", "nih", {"path": str(tmp_path / "good.zip")})
    assert (kept.data_hash, len(excluded)) == (table.data_hash, 5)
    assert exclude_bad_images(table, open_pixel_cache(table, ResizeRule(8, "pad"), tmp_path / "cache"))[2] == []


@pytest.mark.parametrize("content", [b"", b"no image"])
def test_the_unknown_patient_of_a_bad_file_decides_nothing(content, nih_files, make_nih_zip, tmp_path):
    path = make_nih_zip(tmp_path / "cells.zip", nih_files | {"Uninfected/holiday.png": content})
    few = ["split.train=0.5", "split.val=0.25", "split.test=0.25"]
    skip = ["dataset.on_bad_image=skip", "dataset.max_bad_fraction=0.05"]
    config = compose_app(["dataset=folder", f"dataset.path={path}", *skip, *few], tmp_path).config
    table, _, bad = load_and_decode(config)
    assert [item.file for item in bad] == ["cell_images/Uninfected/holiday.png"]
    assert table.remarks == ()
    build("split", "patient_holdout", config.one("split").params, table)


def test_a_good_file_of_an_unknown_patient_is_refused_before_decoding(nih_files, make_nih_zip, tmp_path, monkeypatch):
    monkeypatch.setattr("malaria_exp.runs.load_data.open_pixel_cache", None)
    names = list(nih_files)
    files = {f"Uninfected/{number}.png": nih_files[name] for number, name in enumerate(names[:4])} | {x: nih_files[x] for x in names[4:]}
    path = make_nih_zip(tmp_path / "cells.zip", files)
    overrides = ["dataset=folder", f"dataset.path={path}", "dataset.on_bad_image=skip", "dataset.max_bad_fraction=0.05"]
    with pytest.raises(DataError, match="the patients of 4 of"):
        load_and_decode(compose_app(overrides, tmp_path).config)


def test_such_a_run_is_scored_again_without_the_same_images(skipped, harmed, run_task, tmp_path):
    folder = run_task(["task=evaluate", f"run={skipped}", "evaluation.resamples=20"], tmp_path / "again")
    in_order(excluded_of(folder), harmed.bad)
    first, second = (json.loads((path / "metrics.json").read_text()) for path in (skipped, folder))
    assert first["subsets"] == second["subsets"]
    assert second["excluded"] == 5


def test_other_data_with_bad_images_is_scored_by_its_own_policy(finished_run, harmed, run_task, tmp_path):
    data = [
        "task=evaluate",
        f"run={finished_run}",
        "dataset=nih",
        f"dataset.path={harmed.path}",
        "evaluation.resamples=20",
        "allow_leak=true",
    ]
    with pytest.raises(DataError, match="5 bad images"):
        run_task(data, tmp_path / "error")
    assert not (tmp_path / "error" / "predictions.csv").exists()
    folder = run_task([*data, "dataset.on_bad_image=skip", "dataset.max_bad_fraction=0.05"], tmp_path / "skip")
    in_order(excluded_of(folder), harmed.bad)
    assert set(read(folder / "predictions.csv").cell_id.tolist()) == harmed.good
    assert "were bad and excluded" in (folder / "report.html").read_text()
