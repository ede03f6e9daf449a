"""A bundle at a URL: what using it takes is fetched once, and gives the scores of the bundle; a damaged one is refused."""

import json

import numpy as np
import pytest
from tiny_bundle import cell, file_of, write_bundle

from malaria_exp.data.cache_contents import FETCHED
from malaria_exp.deployment.local_model import local_model
from malaria_exp.deployment.open_model import open_model
from malaria_exp.utils.errors import RunFolderError
from malaria_exp.utils.filesystems import open_filesystem, write_bytes

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """The folder of the tiny bundle, with files that using it does not take."""
    folder = write_bundle(tmp_path_factory.mktemp("bundle") / "mine")
    (folder / "model.tflite").write_bytes(b"another runtime's")
    return folder


@pytest.fixture
def stored(bundle, request):
    """The URL of the bundle's copy in an object store."""
    url = f"memory://{request.node.name}/mine"
    for path in bundle.iterdir():
        write_bytes(open_filesystem(url, "run"), path.name, path.read_bytes())
    return url


def change(url, **values):
    files = open_filesystem(url, "run")
    record = json.loads(files.read("model.json"))
    write_bytes(files, "model.json", json.dumps(record | values).encode())
    return record


def test_a_prediction_with_a_bundles_url_is_that_of_the_bundle(run_task, bundle, stored, tmp_path, cache_root):
    (tmp_path / "cells").mkdir()
    for red in range(0, 250, 10):
        file_of(cell(red), tmp_path / "cells" / f"{red}.png")
    for name, run in (("here", bundle), ("there", stored)):
        run_task(["task=predict", f"run={run}", f"images={tmp_path / 'cells'}"], tmp_path / name)
    assert (tmp_path / "there" / "predictions.csv").read_bytes() == (tmp_path / "here" / "predictions.csv").read_bytes()
    copy = local_model(stored, cache_root)
    assert copy.name == "mine" and not (copy / "model.tflite").exists()
    before = (copy / "model.onnx").stat().st_ino
    assert (local_model(stored, cache_root) / "model.onnx").stat().st_ino == before
    assert local_model(f"file://{bundle}", cache_root) == local_model(str(bundle), cache_root) == bundle
    # Another bundle under the same URL.
    change(stored, parameters=4)
    assert local_model(stored, cache_root) != copy


def test_a_damaged_bundle_at_a_url_is_refused_by_its_url(stored, tmp_path):
    files = open_filesystem(stored, "run")
    model, record = files.read("model.onnx"), json.loads(files.read("model.json"))
    changed = bytearray(model)
    changed[-100] ^= 1
    write_bytes(files, "model.onnx", bytes(changed))
    with pytest.raises(RunFolderError, match="another file than was exported"):
        open_model(local_model(stored, tmp_path / "same size"))
    cases = [
        (model[:-1], {}, r"mine/model\.onnx' is missing, or another file than was exported: it has"),
        (model, {"models": []}, rf"the bundle '{stored}' has no ONNX model"),
        (model, {"models": [record["models"][0] | {"file": "../x.onnx"}]}, rf"'{stored}/model\.json'.*expected the name of a file"),
        (model, {"classes": ["a", "b"]}, rf"'{stored}/model\.json'.*classes: expected"),
    ]
    for content, values, words in cases:
        write_bytes(files, "model.onnx", content)
        write_bytes(files, "model.json", json.dumps(record | values).encode())
        with pytest.raises(RunFolderError, match=words):
            local_model(stored, tmp_path)
    files.remove("model.json")
    with pytest.raises(RunFolderError, match=rf"'{stored}' has no status\.json"):
        local_model(stored, tmp_path)
    assert not [path for path in (tmp_path / FETCHED).rglob("*") if path.is_file()]


def test_a_bundle_at_a_url_opens_from_python(stored, monkeypatch, tmp_path):
    import malaria_exp

    monkeypatch.setenv("MALARIA_EXP_CACHE", str(tmp_path))
    assert malaria_exp.load_run(stored).predict(np.stack([cell(40), cell(200)])).predicted["fixed"].tolist() == [
        "uninfected",
        "parasitized",
    ]
