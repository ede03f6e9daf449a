"""The data report: whole, self-contained, the same for the same seed, true to the split, and blind to what is held out."""

import base64
import json
import re
from importlib.util import find_spec

import numpy as np
import pytest
from conftest import compose_app
from html_page import Page
from PIL import Image

from malaria_exp.config.durations import RunLength
from malaria_exp.config.registry import options
from malaria_exp.data.cell_table import UNKNOWN
from malaria_exp.evaluation.plots import style
from malaria_exp.evaluation.reports.data_report import augmentation_chapters, augmentation_trials
from malaria_exp.evaluation.reports.data_report import page as report_page
from malaria_exp.evaluation.reports.data_report.augmentation_trials import TriedOption
from malaria_exp.evaluation.reports.data_report.sample import Sample
from malaria_exp.runs import load_data
from malaria_exp.utils.errors import ConfigError

DATA = [
    "task=explore",
    "task.samples=6",
    "dataset.infected_patients=8",
    "dataset.healthy_patients=3",
    "dataset.cells_per_patient=8",
    "dataset.cell_size=40",
    "model.image_size=24",
    "batch_size=14",
]


def read(folder):
    return Page((folder / "data_report.html").read_text(encoding="utf-8"))


def pictures(folder):
    return {path.stem: path.read_bytes() for path in sorted((folder / "plots").glob("*.png"))}


class Watched:
    """A pixel cache or a source that notes which rows are taken from it."""

    def __init__(self, inner, seen):
        self._inner, self._seen = inner, seen

    def __getattr__(self, name):
        return getattr(self._inner, name)

    def take(self, index):
        self._seen.update(np.asarray(index).tolist())
        return self._inner.take(index)

    def read(self, index):
        self._seen.add(int(index))
        return self._inner.read(index)


def hasten(patch):
    """Makes reports of fewer draws, shorter series and coarser pictures."""
    patch.setattr(augmentation_trials, "VALUES", 3)
    patch.setattr(augmentation_trials, "DRAWS", 2)
    patch.setattr(augmentation_chapters, "MIXED", 6)
    patch.setattr(style, "DPI", 50)


@pytest.fixture(scope="module")
def report(run_task, tmp_path_factory):
    """The folder of a report on synthetic cells, the rows whose pictures were taken, and the manifest."""
    seen, kept = set(), {}
    load, split = load_data.load_and_decode, load_data.split

    def watched_load(config, **how):
        table, pixel_cache, excluded = load(config, **how)
        object.__setattr__(table, "source", Watched(table.source, seen))
        return table, Watched(pixel_cache, seen), excluded

    def kept_split(*args):
        kept["manifest"] = split(*args).manifest
        return split(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(load_data, "load_and_decode", watched_load)
        patch.setattr(load_data, "split", kept_split)
        hasten(patch)
        series = TriedOption.series
        patch.setattr(TriedOption, "series", lambda tried: series(tried) if tried.name in ("mixup", "stain") else [])
        folder = run_task([*DATA, "aug=[dihedral,mixup]"], tmp_path_factory.mktemp("report") / "run")
    return folder, seen, kept["manifest"]


def test_the_page_is_whole_and_loads_nothing(report):
    folder, _, _ = report
    page = read(folder)
    for tag, name, value in page.attributes:
        assert name not in ("srcset", "onclick", "action"), (tag, name)
        if name in ("src", "href"):
            assert value.startswith(("data:image/png;base64,", "#")), value[:60]
    anchors = {value for _, name, value in page.attributes if name == "id"}
    assert {value[1:] for tag, name, value in page.attributes if (tag, name) == ("a", "href")} <= anchors
    html = (folder / "data_report.html").read_text(encoding="utf-8")
    assert not re.search(r"<script|@import|url\(|https?://", html)
    assert json.loads((folder / "status.json").read_text())["status"] == "done"


def test_every_picture_is_a_file_stands_in_the_page_and_is_not_blank(report):
    folder, _, _ = report
    files = pictures(folder)
    inside = [base64.b64decode(value.partition(",")[2]) for _, name, value in read(folder).attributes if name == "src"]
    assert sorted(files.values()) == sorted(inside)
    expected = {
        "classes",
        "cells_per_patient",
        "cell_sizes",
        "samples_parasitized",
        "samples_uninfected",
        "samples_by_patient",
        "samples_by_slide",
        "mean_cells",
        "stain",
        "split",
        "split_patients",
        "batch_before",
        "batch",
        "mixed_mixup",
        "weights_mixup",
        "sweep_mixup",
    }
    assert expected <= set(files)
    for name in files:
        picture = np.asarray(Image.open(folder / "plots" / f"{name}.png").convert("RGB"))
        assert picture.std() > 5, name
        assert min(picture.shape[:2]) > 50, name


def test_every_option_of_aug_has_its_page(report):
    folder, _, _ = report
    page, files = read(folder), pictures(folder)
    for name in set(options("aug")) - {"none"}:
        own = " (in this run's chain)" if name in ("dihedral", "mixup") else ""
        if name == "albumentations" and find_spec("albumentations") is None:
            assert f"{name}{own}" not in page.headings
            assert name in [row[0] for row in page.rows if row]
        else:
            assert f"{name}{own}" in page.headings
            assert f"aug_{name}" in files


def test_the_table_of_the_split_is_the_manifests(report):
    folder, _, manifest = report
    rows = {row[0]: row[1:] for row in read(folder).rows if row}
    order = ["patients", "infected_patients", "healthy_patients", "cells", "parasitized", "uninfected"]
    for subset, name in (("train", "training"), ("val", "validation"), ("test", "test")):
        assert rows[name] == [f"{manifest.counts()[subset][key]:,}" for key in order]


def test_only_pictures_of_training_cells_are_taken(report):
    _, seen, manifest = report
    assert seen and seen <= set(manifest.rows("train").tolist())


@pytest.fixture
def few_options(monkeypatch):
    """Lets the report try two options only, as others are tried elsewhere."""
    hasten(monkeypatch)
    monkeypatch.setattr(augmentation_chapters, "options", lambda group: {name: options(group)[name] for name in ("dihedral", "mix")})


@pytest.fixture
def undrawn(monkeypatch):
    """Builds all figures but draws none: tests of the plots do."""
    monkeypatch.setattr(report_page, "png_bytes", lambda figure: b"" if figure else None)


def shown(figure):
    """Stands for the picture of a figure: what it shows. That equal figures are equal pictures is seen by tests of the plots."""
    arrays = [item.get_array() for axes in figure.axes for item in axes.images]
    arrays += [line.get_xydata() for axes in figure.axes for line in axes.lines]
    texts = [text.get_text() for axes in figure.axes for text in (axes.title, *axes.texts)]
    return b"".join([np.ma.getdata(array).tobytes() for array in arrays] + [text.encode() for text in texts])


@pytest.mark.long
def test_the_same_seed_gives_the_same_bytes_from_files_too(nih_files, make_nih_zip, run_task, few_options, monkeypatch, tmp_path):
    monkeypatch.setattr(report_page, "png_bytes", lambda figure: shown(figure) if figure else None)
    archive = make_nih_zip(tmp_path / "cell_images.zip", nih_files)
    own = [item for item in DATA if not item.startswith("dataset.")]
    overrides = [*own, "task.samples=2", "dataset=nih", f"dataset.path={archive}", "aug=[dihedral,mix]"]
    first, again = (run_task(overrides, tmp_path / name) for name in ("first", "again"))
    assert pictures(again) == pictures(first)
    assert (again / "data_report.html").read_bytes() == (first / "data_report.html").read_bytes()
    assert {"cell_sizes", "samples_by_slide", "stain"} <= set(pictures(first)) and any(pictures(first).values())


def changed_table(monkeypatch, change):
    load = load_data.load_and_decode

    def changed(config, **how):
        table, pixel_cache, excluded = load(config, **how)
        rows, columns = change(table)
        table = table.select(rows)
        for name, column in columns.items():
            object.__setattr__(table, name, column)
        return table, pixel_cache.select(rows), excluded

    monkeypatch.setattr(load_data, "load_and_decode", changed)


def test_unknown_patients_a_leaky_split_and_odd_names(run_task, few_options, undrawn, monkeypatch, tmp_path):
    def nobody(table):
        names = np.full(len(table), UNKNOWN)
        odd = {"notes": ("<script>alert(1)</script>",), "name": "<b>$x$"}
        return np.arange(len(table)), {"patient": names, "slide": names, "field": names, **odd}

    changed_table(monkeypatch, nobody)
    folder = run_task([*DATA, "split=cell_level_leaky", "aug=none"], tmp_path / "run")
    page, html = read(folder), (folder / "data_report.html").read_text()
    assert "LEAKY" in page.text
    assert "<title>LEAKY: " in html
    assert [part for part in page.said if part in ("Patients", "unknown")][:2] == ["Patients", "unknown"]
    assert not {"samples_by_patient", "samples_by_slide", "cells_per_patient", "split_patients", "batch_before"} & set(pictures(folder))
    assert "&lt;script&gt;" in html and "<script" not in html and "<b>$x$" not in html


def test_one_class_is_shown_without_a_split(run_task, few_options, undrawn, monkeypatch, tmp_path):
    changed_table(monkeypatch, lambda table: (np.flatnonzero(table.label == 0), {}))
    folder = run_task([*DATA, "aug=[mix]", "task.others=false"], tmp_path / "run")
    assert "All cells are uninfected" in read(folder).text and "samples_parasitized" not in pictures(folder)
    assert {"aug_mix", "mixed_mix", "batch", "mean_cells"} <= set(pictures(folder))
    assert "aug_dihedral" not in pictures(folder) and "This run's augmentations" in read(folder).text


def test_an_option_that_cannot_be_built_is_named_with_the_reason(few_options, monkeypatch, tmp_path):
    def refuse(name, params, subjects):
        if name == "mix":
            raise ConfigError("aug.mix: needs a spoon.\npip install spoon")
        return TriedOption(name, params, subjects)

    monkeypatch.setattr(augmentation_chapters, "TriedOption", refuse)
    pixels, names = np.random.default_rng(0).integers(0, 256, (16, 12, 12, 3), dtype=np.uint8), np.array(["P"] * 16)
    sample = Sample(np.arange(16), pixels, np.arange(16, dtype=np.int8) % 2, names, names, 16)
    chapter = augmentation_chapters._options_chapter(
        compose_app(DATA, tmp_path).config, sample, RunLength(1, 1, 16), leaky=False, others=True
    )
    assert [section.title for section in chapter.sections] == ["", "dihedral (in this run's chain)", "Not shown"]
    assert chapter.sections[-1].tables[0].rows == [["mix", "aug.mix: needs a spoon. pip install spoon"]]


@pytest.mark.long
def test_shards_with_cells_weighted_by_patient(run_task, few_options, undrawn, tmp_path):
    build_in = [item for item in DATA if item.startswith(("dataset.", "model."))]
    run_task(["task=prepare", f"task.to={tmp_path / 'set'}", *build_in], tmp_path / "prepare")
    shards = ["dataset=shards", f"dataset.path={tmp_path / 'set'}", "aug=[dihedral]", "sampling=patient_balanced", "sampling.by=weights"]
    own = [item for item in DATA if not item.startswith("dataset.")]
    folder = run_task([*own, *shards], tmp_path / "run")
    assert "batch" in pictures(folder) and "cell_sizes" not in pictures(folder)
    assert "how large they were is not kept" in read(folder).text and "Cells are weighted (sampling=patient_balanced)" in read(folder).text
