"""The picture book: whole, self-contained, the same for the same seed, true to the split, and blind to what is held out."""

import base64
import json
import re
from html.parser import HTMLParser
from importlib.util import find_spec

import numpy as np
import pytest
from conftest import compose_app
from PIL import Image

from malaria_exp.components.task import _explore_book_augs, _explore_book_data, _explore_book_tried
from malaria_exp.components.task._explore_book_cells import Sample
from malaria_exp.components.task._explore_book_tried import Subjects, Tried, sweep_values
from malaria_exp.config.durations import RunLength
from malaria_exp.config.registry import build, component, options
from malaria_exp.config.validation import Probability, Range, check
from malaria_exp.data.cell_table import UNKNOWN
from malaria_exp.evaluation.plots import style
from malaria_exp.runs import load_data
from malaria_exp.utils.errors import ConfigError

DATA = [
    "task=explore", "task.samples=6", "dataset.infected_patients=8", "dataset.healthy_patients=3", "dataset.cells_per_patient=8",
    "dataset.cell_size=40", "model.image_size=24", "batch_size=14",
]  # fmt: skip
VOID = {"meta", "img", "br", "link"}


class Page(HTMLParser):
    """Collects tags, attributes and the cells of tables; fails on a tag that is closed in the wrong place."""

    def __init__(self, text):
        super().__init__()
        self.open, self.attributes, self.headings, self.rows, self.said = [], [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open
        self.text = " ".join(" ".join(self.said).split())

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, *pair) for pair in attrs]
        if tag == "tr":
            self.rows.append([])
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" in self.open:
            return
        self.said.append(data)
        if {"td", "th"} & set(self.open) and data.strip():
            self.rows[-1].append(data.strip())
        if {"h2", "h3"} & set(self.open):
            self.headings.append(data)


def read(folder):
    return Page((folder / "book.html").read_text(encoding="utf-8"))


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
    """Makes books of fewer draws, shorter sweeps and coarser pictures."""
    patch.setattr(_explore_book_tried, "VALUES", 3)
    patch.setattr(_explore_book_tried, "DRAWS", 2)
    patch.setattr(_explore_book_augs, "MIXED", 6)
    patch.setattr(style, "DPI", 50)


@pytest.fixture(scope="module")
def book(run_task, tmp_path_factory):
    """The folder of a book on synthetic cells, the rows whose pictures were taken, and the manifest."""
    seen, kept = set(), {}
    load, split = load_data.load_and_decode, load_data.split

    def watched_load(config):
        table, pixel_cache, excluded = load(config)
        object.__setattr__(table, "source", Watched(table.source, seen))
        return table, Watched(pixel_cache, seen), excluded

    def kept_split(*args):
        kept["manifest"] = split(*args).manifest
        return split(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(load_data, "load_and_decode", watched_load)
        patch.setattr(load_data, "split", kept_split)
        hasten(patch)
        sweeps = Tried.sweeps
        patch.setattr(Tried, "sweeps", lambda tried: sweeps(tried) if tried.name in ("mixup", "stain") else [])
        folder = run_task([*DATA, "aug=[dihedral,mixup]"], tmp_path_factory.mktemp("book") / "run")
    return folder, seen, kept["manifest"]


def test_the_page_is_whole_and_loads_nothing(book):
    folder, _, _ = book
    page = read(folder)
    for tag, name, value in page.attributes:
        assert name not in ("srcset", "onclick", "action"), (tag, name)
        if name in ("src", "href"):
            assert value.startswith(("data:image/png;base64,", "#")), value[:60]
    anchors = {value for _, name, value in page.attributes if name == "id"}
    assert {value[1:] for tag, name, value in page.attributes if (tag, name) == ("a", "href")} <= anchors
    html = (folder / "book.html").read_text(encoding="utf-8")
    assert not re.search(r"<script|@import|url\(|https?://", html)
    assert json.loads((folder / "status.json").read_text())["status"] == "done"


def test_every_picture_is_a_file_stands_in_the_page_and_is_not_blank(book):
    folder, _, _ = book
    files = pictures(folder)
    inside = [base64.b64decode(value.partition(",")[2]) for _, name, value in read(folder).attributes if name == "src"]
    assert sorted(files.values()) == sorted(inside)
    expected = {
        "classes", "cells_per_patient", "cell_sizes", "samples_parasitized", "samples_uninfected", "samples_by_patient", "samples_by_slide",
        "mean_cells", "stain", "split", "split_patients", "batch_before", "batch", "mixed_mixup", "weights_mixup", "sweep_mixup",
    }  # fmt: skip
    assert expected <= set(files)
    for name in files:
        picture = np.asarray(Image.open(folder / "plots" / f"{name}.png").convert("RGB"))
        assert picture.std() > 5, name
        assert min(picture.shape[:2]) > 50, name


def test_every_option_of_aug_has_its_page(book):
    folder, _, _ = book
    page, files = read(folder), pictures(folder)
    for name in set(options("aug")) - {"none"}:
        own = " (in this run's chain)" if name in ("dihedral", "mixup") else ""
        if name == "albumentations" and find_spec("albumentations") is None:
            assert f"{name}{own}" not in page.headings
            assert name in [row[0] for row in page.rows if row]
        else:
            assert f"{name}{own}" in page.headings
            assert f"aug_{name}" in files


def test_the_table_of_the_split_is_the_manifests(book):
    folder, _, manifest = book
    rows = {row[0]: row[1:] for row in read(folder).rows if row}
    order = ["patients", "infected_patients", "healthy_patients", "cells", "parasitized", "uninfected"]
    for subset, name in (("train", "training"), ("val", "validation"), ("test", "test")):
        assert rows[name] == [f"{manifest.counts()[subset][key]:,}" for key in order]


def test_only_pictures_of_training_cells_are_taken(book):
    _, seen, manifest = book
    assert seen
    assert seen <= set(manifest.rows("train").tolist())


@pytest.fixture
def few_options(monkeypatch):
    """Lets the book try two options only, as others are tried elsewhere."""
    hasten(monkeypatch)
    monkeypatch.setattr(_explore_book_augs, "options", lambda group: {name: options(group)[name] for name in ("dihedral", "mix")})


@pytest.fixture
def undrawn(monkeypatch):
    """Builds all figures but draws none: tests of the plots do."""
    for module in (_explore_book_data, _explore_book_augs):
        monkeypatch.setattr(module, "png_bytes", lambda figure: b"" if figure else None)


def test_the_same_seed_gives_the_same_bytes_from_files_too(nih_files, make_nih_zip, run_task, few_options, tmp_path):
    archive = make_nih_zip(tmp_path / "cell_images.zip", nih_files)
    own = [item for item in DATA if not item.startswith("dataset.")]
    overrides = [*own, "dataset=nih", f"dataset.path={archive}", "aug=[dihedral,mix]"]
    first, again = (run_task(overrides, tmp_path / name) for name in ("first", "again"))
    assert pictures(again) == pictures(first)
    assert (again / "book.html").read_bytes() == (first / "book.html").read_bytes()
    assert {"cell_sizes", "samples_by_slide", "stain"} <= set(pictures(first))


def changed_table(monkeypatch, change):
    load = load_data.load_and_decode

    def changed(config):
        table, pixel_cache, excluded = load(config)
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
    page, html = read(folder), (folder / "book.html").read_text()
    assert "LEAKY" in page.text
    assert "<title>LEAKY: " in html
    assert [part for part in page.said if part in ("Patients", "unknown")][:2] == ["Patients", "unknown"]
    assert not {"samples_by_patient", "samples_by_slide", "cells_per_patient", "split_patients", "batch_before"} & set(pictures(folder))
    assert "&lt;script&gt;" in html
    assert "<script" not in html
    assert "<b>$x$" not in html


def test_one_class_is_shown_without_a_split(run_task, few_options, undrawn, monkeypatch, tmp_path):
    changed_table(monkeypatch, lambda table: (np.flatnonzero(table.label == 0), {}))
    folder = run_task([*DATA, "aug=[mix]"], tmp_path / "run")
    assert "All cells are uninfected" in read(folder).text
    assert "samples_parasitized" not in pictures(folder)
    assert {"aug_mix", "mixed_mix", "batch", "mean_cells"} <= set(pictures(folder))


@pytest.mark.parametrize("samples", [0, 601, "many"])
def test_numbers_of_samples_out_of_range_are_refused(samples, run_task, tmp_path):
    with pytest.raises(ConfigError, match="task.samples: expected a whole number >= 1 and <= 600"):
        run_task(["task=explore", f"task.samples={samples}"], tmp_path / "run")


def test_an_option_that_cannot_be_built_is_named_with_the_reason(few_options, monkeypatch, tmp_path):
    def refuse(name, params, subjects):
        if name == "mix":
            raise ConfigError("aug.mix: needs a spoon.\npip install spoon")
        return Tried(name, params, subjects)

    monkeypatch.setattr(_explore_book_augs, "Tried", refuse)
    pixels, names = np.random.default_rng(0).integers(0, 256, (16, 12, 12, 3), dtype=np.uint8), np.array(["P"] * 16)
    sample = Sample(np.arange(16), pixels, np.arange(16, dtype=np.int8) % 2, names, names, 16)
    chapter = _explore_book_augs._options_chapter(compose_app(DATA, tmp_path).config, sample, RunLength(1, 1, 16), leaky=False)
    assert [section.title for section in chapter.sections] == ["", "dihedral (in this run's chain)", "Not shown"]
    assert chapter.sections[-1].tables[0].rows == [["mix", "aug.mix: needs a spoon. pip install spoon"]]


def subjects(count=8, size=16):
    rng = np.random.default_rng(0)
    return Subjects(rng.random((count, size, size, 3), np.float32), (np.arange(count) % 2).astype(np.float32), RunLength(5, 10, count), 3)


@pytest.mark.parametrize("name", ["mixup", "cutmix", "mix"])
def test_partners_and_weights_are_those_of_the_pixels(name):
    tried = Tried(name, {}, subjects())
    assert tried.changes_labels()
    pairs, weights = tried.pairs()
    assert len(pairs) == 8
    assert weights.min() >= 0
    assert weights.max() <= 1
    for pair in pairs:
        assert pair.label == pytest.approx((1 - pair.weight) * pair.own_label + pair.weight * pair.partner_label, abs=1e-5)
        # Each pixel lies between the two that it was made of, and as far from its own on average as the label is.
        low, high = np.minimum(pair.own, pair.partner), np.maximum(pair.own, pair.partner)
        assert ((pair.mixed >= low - 1e-5) & (pair.mixed <= high + 1e-5)).all()
        moved = np.abs(pair.mixed - pair.own) / np.maximum(np.abs(pair.partner - pair.own), 1e-3)
        assert moved.mean() == pytest.approx(pair.weight, abs=0.03)


def test_what_changes_no_label_is_not_taken_for_mixing():
    for name in ("dihedral", "color", "erasing", "repeat5"):
        assert not Tried(name, {}, subjects()).changes_labels()


def test_every_copy_is_drawn():
    draws = Tried("repeat5", {}, subjects()).draws
    assert [draw.name for draw in draws] == [f"copy {number}" for number in range(1, 6)]
    assert len({draw.images.tobytes() for draw in draws}) == 5


def test_a_sweep_changes_one_key_of_one_cell_and_leaves_probabilities_out():
    given = subjects()
    found = {sweep.key: sweep for sweep in Tried("color", {"brightness": 0.3}, given).sweeps()}
    assert set(found) == {"brightness", "contrast", "saturation", "hue"}
    assert [float(value.split()[0]) for value in found["brightness"].values] == pytest.approx([0, 0.3, 0.4, 0.6, 0.8, 1])
    assert "0.3 (set)" in found["brightness"].values
    for sweep in found.values():
        assert np.array_equal(sweep.original, given.images[0])
    assert not Tried("dihedral", {}, given).sweeps()
    # Each key of it acts on one of the copies only.
    assert {"saturation", "brightness", "contrast"} <= {sweep.key for sweep in Tried("repeat5", {}, given).sweeps()}


@pytest.mark.parametrize(
    ("annotation", "current", "expected"),
    [
        (Probability, 0.5, [0, 0.2, 0.5, 0.6, 0.8, 1]),
        (Range, 1.0, []),
        (str, "a", []),
        (bool, True, []),
        (float, 0.5, []),
        (list[str], [], []),
    ],
)
def test_values_of_a_sweep(annotation, current, expected):
    assert sweep_values(annotation, current) == pytest.approx(expected)


def test_values_of_every_numeric_key_of_aug_are_allowed():
    counted = 0
    for name in options("aug"):
        for key, parameter in component("aug", name).parameters.items():
            values = sweep_values(parameter.annotation, parameter.default)
            counted += bool(values)
            assert values == sorted(set(values))
            assert len(values) in (0, *range(3, 7))
            for value in values:
                check(key, value, parameter.annotation)
    assert counted > 20


def test_books_of_shards_with_cells_weighted_by_patient(run_task, few_options, undrawn, tmp_path):
    build_in = [item for item in DATA if item.startswith(("dataset.", "model."))]
    run_task(["task=prepare", f"task.to={tmp_path / 'set'}", *build_in], tmp_path / "prepare")
    shards = ["dataset=shards", f"dataset.path={tmp_path / 'set'}", "aug=[dihedral]", "count_by=patient"]
    own = [item for item in DATA if not item.startswith("dataset.")]
    folder = run_task([*own, *shards], tmp_path / "run")
    assert "batch" in pictures(folder)
    assert "cell_sizes" not in pictures(folder)
    assert "how large they were is not kept" in read(folder).text
    assert "count_by=patient" in read(folder).text


def test_the_manifest_that_is_drawn_is_the_one_a_run_would_have(book, tmp_path):
    _, _, manifest = book
    config = compose_app(DATA, tmp_path).config
    table = build("dataset", "synthetic", config.one("dataset").params)
    assert build("split", config.one("split").name, config.one("split").params, table).hash == manifest.hash
