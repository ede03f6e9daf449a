"""What TFDS prepares is the same data again: patients restored by content, labels by name, the same split and the same scores."""

import hashlib
import json
import socket
import sys
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from email.message import Message
from pathlib import Path
from urllib.error import HTTPError, URLError

import numpy as np
import pytest

from malaria_exp.components.dataset import tfds as module
from malaria_exp.components.dataset.nih import nih
from malaria_exp.components.dataset.tfds import Records, prepared_builder, tfds
from malaria_exp.config.registry import build
from malaria_exp.data.bad_images import exclude_bad_images
from malaria_exp.data.cell_table import UNKNOWN
from malaria_exp.data.decode import decode
from malaria_exp.data.pixel_cache import open_pixel_cache
from malaria_exp.data.readers.index import Known
from malaria_exp.data.resize import ResizeRule
from malaria_exp.data.split_manifest import guard_against_leaks
from malaria_exp.utils.errors import ConfigError, DataError

tensorflow_datasets = pytest.importorskip("tensorflow_datasets")
CLASS_OF = {"Parasitized": "parasitized", "Uninfected": "uninfected"}


def prepare(folder, data_dir):
    """Lets TFDS prepare its dataset from folder/cell_images, as if it had fetched and unpacked it there."""
    from tensorflow_datasets.core.download.download_manager import DownloadManager

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(DownloadManager, "download_and_extract", lambda self, url: str(folder))
        tensorflow_datasets.builder("malaria", data_dir=str(data_dir)).download_and_prepare()
    return data_dir


def write_folder(root, files):
    for name, data in files.items():
        path = root / "cell_images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Synthetic cells as files of the official layout, prepared by TFDS: (files, data_dir)."""
    import io

    from PIL import Image

    table = build("dataset", "synthetic", {"infected_patients": 8, "healthy_patients": 3, "cells_per_patient": 6, "cell_size": 40})
    files = {}
    for row in range(len(table)):
        out = io.BytesIO()
        Image.fromarray(table.source.read(row)).save(out, "PNG")
        files[f"{('Uninfected', 'Parasitized')[table.label[row]]}/{table.cell_id[row]}.png"] = out.getvalue()
    root = tmp_path_factory.mktemp("prepared")
    return files, prepare(write_folder(root, files), root / "tfds")


@pytest.fixture
def known(prepared, monkeypatch):
    """As if the synthetic cells stood in the index; its entries, by SHA-256, may be changed."""
    index = {}
    for name, data in prepared[0].items():
        folder, _, file = name.partition("/")
        digest = hashlib.sha256(data).hexdigest()
        index[digest] = Known(file.removesuffix(".png"), CLASS_OF[folder], digest[:12])
    monkeypatch.setattr(module, "look_up", index.get)
    return index


def columns(table):
    return {name: getattr(table, name).tolist() for name in ("cell_id", "label", "patient", "slide", "field", "content")}


# The table


def test_cells_of_the_index_get_back_what_tfds_forgets(prepared, known, make_nih_zip, tmp_path):
    files, data_dir = prepared
    table, official = tfds(data_dir=str(data_dir)), nih(path=str(make_nih_zip(tmp_path / "cell_images.zip", files)))
    assert columns(table) == columns(official) and table.data_hash == official.data_hash
    assert table.notes == table.bad == ()
    for row in (0, len(table) // 2, len(table) - 1):
        assert np.array_equal(table.source.read(row), official.source.read(row))


def test_labels_that_contradict_the_index_are_refused(prepared, known):
    digests = list(known)[:2]
    for digest in digests:
        other = {"parasitized": "uninfected", "uninfected": "parasitized"}[known[digest].class_name]
        known[digest] = known[digest]._replace(class_name=other)
    with pytest.raises(DataError, match="labels of 2 cells in .* contradict") as caught:
        tfds(data_dir=str(prepared[1]))
    for digest in digests:
        assert known[digest].cell_id in str(caught.value)


@pytest.mark.parametrize("names", [["infected", "uninfected"], ["parasitized"], ["parasitized", "uninfected", "other"]])
def test_other_classes_are_refused(prepared, monkeypatch, names):
    builder = prepared_builder(str(prepared[1]), download=False)
    monkeypatch.setattr(type(builder.info.features["label"]), "names", names)
    monkeypatch.setattr(module, "prepared_builder", lambda *_, **__: builder)
    with pytest.raises(DataError, match=rf"expected the classes uninfected, parasitized .*received {', '.join(names)}\."):
        tfds()


def test_records_are_read_once_however_many_threads_ask(prepared, monkeypatch):
    files, data_dir = prepared
    records = Records(prepared_builder(str(data_dir), download=False))
    count, plain = [], Records.all
    monkeypatch.setattr(Records, "all", lambda self: (count.append(threading.get_ident()), plain(self))[1])
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(records.read, range(len(files))))
    assert len(count) == 1
    assert got == [data for data, _ in plain(records)]
    # Once around, and the bytes are let go; whoever comes back reads them again.
    assert records.read(3) == got[3]
    assert len(count) == 2


def test_bad_records_are_left_to_the_policy(prepared, tmp_path):
    files = dict(prepared[0])
    names = sorted(files)
    files[names[0]] = files[names[1]]
    # Two empty files are no images that stand in both classes.
    files[names[2]] = files[names[-2]] = b""
    files[names[3]] = files[names[3]][:-20]
    data_dir = prepare(write_folder(tmp_path, files), tmp_path / "tfds")
    table = tfds(data_dir=str(data_dir))
    reasons = sorted(item.reason for item in table.bad)
    assert len(table) == len(files) - 3
    assert reasons[:2] == ["empty file (0 bytes)"] * 2 and reasons[2].startswith("the same image as record ")
    rule = ResizeRule(8, "pad")
    with pytest.raises(DataError, match=r"(?s)4 bad images:.*record \d+: truncated PNG"):
        exclude_bad_images(table, open_pixel_cache(table, rule, tmp_path / "cache"))
    table = tfds(data_dir=str(data_dir), on_bad_image="skip", max_bad_fraction=0.1)
    kept, _, excluded = exclude_bad_images(table, open_pixel_cache(table, rule, tmp_path / "cache"))
    assert (len(kept), len(excluded)) == (len(files) - 4, 4)


# Cells that are not in the index


def test_unknown_cells_are_counted_and_listed(prepared):
    files, data_dir = prepared
    table = tfds(data_dir=str(data_dir))
    assert table.unknown_patients == len(table) == len(files)
    assert set(table.slide.tolist()) == set(table.field.tolist()) == {UNKNOWN}
    (note,) = table.notes
    assert note.startswith(f"{len(files)} of {len(files)} TFDS records are none of the NIH set's 27,558 files")
    assert note.count("\n  record ") == 20 and f"... and {len(files) - 20} more" in note
    assert sorted(table.cell_id.tolist()) == sorted(f"tfds_{hashlib.sha256(data).hexdigest()[:12]}" for data in files.values())


def test_one_unknown_cell_is_enough_to_refuse_a_patient_split(prepared, known):
    missing = known.pop(next(iter(known)))
    table = tfds(data_dir=str(prepared[1]))
    assert table.unknown_patients == 1 and missing.cell_id not in table.cell_id
    for split, params in (("patient_holdout", {}), ("patient_kfold", {"k": 5, "fold": 0})):
        with pytest.raises(DataError, match=r"patients of 1 of \d+ cells of dataset 'tfds' are not known.*split=cell_level_leaky"):
            build("split", split, params, table)
    guard_against_leaks(build("split", "cell_level_leaky", {}, table), patients_may_cross=True, allow_leak=False)


def test_a_run_on_unknown_cells_needs_the_cell_split_and_is_stamped(prepared, run_task, tiny_cellnet, tmp_path):
    own = [item for item in tiny_cellnet if not item.startswith("dataset.")]
    overrides = [*own, "dataset=tfds", f"dataset.data_dir={prepared[1]}"]
    with pytest.raises(DataError, match="split=cell_level_leaky"):
        run_task(overrides, tmp_path / "refused")
    assert json.loads((tmp_path / "refused" / "status.json").read_text())["status"] == "failed"
    folder = run_task([*overrides, "split=cell_level_leaky"], tmp_path / "leaky")
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["leaky"] is True and "not known" in metrics["subsets"]["test"]["no_interval"]
    assert metrics["subsets"]["test"]["ranking"]["auc"]["low"] is None
    report = (folder / "report.html").read_text()
    assert "LEAKY" in report
    assert "none of the NIH set&#39;s 27,558 files" in report


# Nothing there


def test_without_the_package_it_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(ConfigError, match=r"needs the package tensorflow-datasets.*python -m pip install 'malaria_exp\[tfds\]'"):
        tfds()


def test_without_download_nothing_is_fetched(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "urlopen", None)
    with pytest.raises(DataError, match=r"nothing is prepared in '.*malaria.*dataset\.download=true"):
        tfds(data_dir=str(tmp_path / "tfds"), download=False)
    assert not (tmp_path / "tfds").exists()


@pytest.mark.parametrize("reason", [socket.gaierror(-2, "Name or service not known"), TimeoutError("timed out"), ConnectionRefusedError()])
def test_without_a_network_it_says_so_at_once_and_what_to_do(tmp_path, monkeypatch, reason):
    def offline(*_, **__):
        raise URLError(reason)

    monkeypatch.setattr(module, "urlopen", offline)
    with pytest.raises(DataError, match=r"(?s)could not fetch .*no connection to https://.*dataset\.data_dir=.*dataset=nih.*synthetic"):
        tfds(data_dir=str(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("answer", [None, HTTPError("", 405, "Method Not Allowed", Message(), None), URLError("certificate")])
def test_what_tfds_says_of_a_failed_download_is_shown(tmp_path, monkeypatch, answer):
    from tensorflow_datasets.core.download.download_manager import DownloadManager

    def ask(*_, **__):
        if answer is not None:
            raise answer
        return Path(__file__).open("rb")

    def fail(self, url):
        raise RuntimeError("\n  Artifact was another one.\nmore")

    monkeypatch.setattr(module, "urlopen", ask)
    monkeypatch.setattr(DownloadManager, "download_and_extract", fail)
    with pytest.raises(DataError, match=r"could not fetch and prepare malaria in '.*': Artifact was another one\n"):
        tfds(data_dir=str(tmp_path))


def test_a_zip_that_lies_there_already_needs_no_network(tmp_path, monkeypatch, prepared):
    from tensorflow_datasets.core.download.download_manager import DownloadManager

    downloads = tmp_path / "downloads" / "malaria"
    downloads.mkdir(parents=True)
    (downloads / "data.lhnc.nlm.nih.gov_publ_Mala_cell_imag-x.zip").write_bytes(b"x")
    monkeypatch.setattr(module, "urlopen", None)
    monkeypatch.setattr(DownloadManager, "download_and_extract", lambda self, url: str(prepared[1].parent))
    assert len(tfds(data_dir=str(tmp_path))) == len(prepared[0])


# Damage


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("pattern", "harm"), [("*.tfrecord*", cut), ("*.tfrecord*", flip), ("*.tfrecord*", Path.unlink), ("*info.json", cut)]
)
def test_damaged_records_are_a_message_with_the_way_out(prepared, tmp_path, pattern, harm):
    import shutil

    data_dir = shutil.copytree(prepared[1], tmp_path / "copy")
    harm(next(data_dir.rglob(pattern)))
    with pytest.raises(DataError, match=r"'.*copy/malaria.* Delete that folder, .*dataset\.data_dir=") as caught:
        tfds(data_dir=str(data_dir), download=False)
    assert "{{" not in str(caught.value)


# The same real cells, wherever they come from


@pytest.fixture(scope="module")
def real(real_zip, tmp_path_factory):
    """Some real cells in five forms: {form: (dataset, its parameters)}."""
    root = tmp_path_factory.mktemp("real")
    with zipfile.ZipFile(real_zip) as archive:
        chosen = [name for name in archive.namelist() if name.endswith(".png")][::90]
        for name in chosen:
            archive.extract(name, root)
    with zipfile.ZipFile(root / "official.zip", "w") as archive:
        for name in reversed(chosen):
            archive.write(root / name, name)
    with zipfile.ZipFile(root / "kaggle.zip", "w") as archive:
        for name in chosen:
            archive.write(root / name, name)
            archive.write(root / name, f"cell_images/{name}")
    return {
        "zip": ("nih", {"path": str(root / "official.zip")}),
        "folder": ("nih", {"path": str(root / "cell_images")}),
        "kaggle": ("nih", {"path": str(root / "kaggle.zip")}),
        "own folder": ("folder", {"path": str(root / "cell_images")}),
        "tfds": ("tfds", {"data_dir": str(prepare(root, root / "tfds"))}),
    }


def test_the_same_cells_are_the_same_data_and_the_same_split_in_every_form(real):
    """And so give the same scores: a run depends on its data, its configuration and its seed alone."""
    tables = {form: build("dataset", name, params) for form, (name, params) in real.items()}
    manifests = {form: build("split", "patient_holdout", {}, table) for form, table in tables.items()}
    for form in real:
        assert tables[form].data_hash == tables["zip"].data_hash, form
        assert manifests[form].hash == manifests["zip"].hash, form
    assert not manifests["zip"].leaky


def test_the_index_knows_every_real_cell(real, real_zip):
    table = tfds(**real["tfds"][1])
    assert table.unknown_patients == 0 and table.notes == ()
    with zipfile.ZipFile(real_zip) as archive:
        for row in (0, len(table) - 1):
            folder = "Parasitized" if table.label[row] else "Uninfected"
            assert np.array_equal(table.source.read(row), decode(archive.read(f"cell_images/{folder}/{table.cell_id[row]}.png")))
