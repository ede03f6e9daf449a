"""Backbones: each scaled once and as it was trained, weights from where they are said to be, read back without them."""

import h5py
import keras
import numpy as np
import pytest
from keras.src.legacy.saving import legacy_h5_format
from keras.src.utils import file_utils

from malaria_exp.components.model._backbone_weights import KERAS_FILES
from malaria_exp.components.model._backbones import BACKBONES, build_backbone
from malaria_exp.components.model.layers.backbone_scaling import DEVIATION, MEAN, BackboneScaling
from malaria_exp.config.registry import build
from malaria_exp.runs.saved_model import load_model
from malaria_exp.utils.errors import ConfigError

PREPROCESSING = {
    "mobilenet_v2": keras.applications.mobilenet_v2,
    "mobilenet_v3_small": keras.applications.mobilenet_v3,
    "efficientnet_b0": keras.applications.efficientnet,
    "efficientnet_v2": keras.applications.efficientnet_v2,
    "resnet50": keras.applications.resnet50,
    "vgg16": keras.applications.vgg16,
    "densenet121": keras.applications.densenet,
}
LAST = {
    "mobilenet_v2": "block_16_project",
    "mobilenet_v3_small": "expanded_conv_10_project",
    "efficientnet_b0": "block7a_project_conv",
    "efficientnet_v2": "block6h_project_conv",
    "resnet50": "conv5_block3_3_conv",
    "vgg16": "block5_conv3",
    "densenet121": "conv5_block16_2_conv",
}


def images(count=2, size=32, seed=0):
    return np.random.default_rng(seed).random((count, size, size, 3)).astype(np.float32)


@pytest.mark.parametrize("name", [name for name in BACKBONES if name != "efficientnet_b0"])
def test_the_scaling_is_that_of_keras(name):
    expected = PREPROCESSING[name].preprocess_input(255 * images().astype(np.float64))
    np.testing.assert_allclose(BackboneScaling(BACKBONES[name].scaling)(images()), expected, atol=2e-3)


def application(name, weights=None, size=32):
    return getattr(keras.applications, BACKBONES[name].application)(include_top=False, weights=weights, input_shape=(size, size, 3))


@pytest.fixture
def imagenet_file(monkeypatch, tmp_path):
    """Writes made-up weights as Keras' own files of ImageNet weights are written, and lets Keras find them in its cache."""

    def write(name):
        rng, net = np.random.default_rng(1), application(name)
        net.set_weights([value + rng.uniform(0, 0.02, value.shape).astype(value.dtype) for value in net.get_weights()])
        for layer in net.layers:
            if isinstance(layer, keras.layers.Normalization) and layer.weights:
                layer.set_weights([np.array(MEAN, np.float32), np.array(DEVIATION, np.float32) ** 2, layer.get_weights()[2]])
        path = tmp_path / "notop.h5"
        with h5py.File(path, "w") as file:
            legacy_h5_format.save_weights_to_hdf5_group(file, net)
        monkeypatch.setattr(file_utils, "get_file", lambda *args, **kwargs: str(path))
        return path

    return write


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:.*input_shape.* is undefined")
def test_with_imagenets_weights_it_is_the_net_that_keras_makes(imagenet_file, tmp_path):
    """Downloaded, from the same file, and read back; Keras divides once more inside EfficientNet for downloaded weights alone."""
    name = "efficientnet_b0"
    path = imagenet_file(name)
    features = application(name, "imagenet")(PREPROCESSING[name].preprocess_input(255 * images()), training=False)
    params = {"backbone": name, "image_size": 32, "dropout": 0.0}
    downloaded = build("model", "transfer", params | {"weights": "imagenet"})
    downloaded.save(tmp_path / "net.keras")
    again = build("model", "transfer", params | downloaded.rebuild_params)
    again.load_weights(tmp_path / "net.keras")
    for net in (downloaded, build("model", "transfer", params | {"weights": str(path)}), again):
        ours = net.get_layer("backbone")(net.get_layer("scaling")(images()), training=False)
        np.testing.assert_allclose(ours, features, rtol=2e-3, atol=2e-3)
    np.testing.assert_array_equal(again(images()), downloaded(images()))


@pytest.mark.long
@pytest.mark.parametrize("name", BACKBONES)
def test_what_is_known_of_a_backbone_is_what_keras_builds_and_fetches(name, monkeypatch):
    asked = []

    def note(fname, origin=None, **kwargs):
        asked.append(origin)

    monkeypatch.setattr(file_utils, "get_file", note)
    monkeypatch.setattr(keras.Model, "load_weights", lambda *args, **kwargs: None)
    edge = max(BACKBONES[name].edges, default=32)
    layers = application(name, "imagenet", edge).layers
    assert asked == [KERAS_FILES + BACKBONES[name].weights.format(edge=edge)]
    assert LAST[name] in {layer.name for layer in layers}
    # Nothing is scaled twice: what scales inside gets pixel values, all others have nothing of the kind inside.
    inside = any(isinstance(layer, keras.layers.Rescaling | keras.layers.Normalization) for layer in layers)
    assert inside == (BACKBONES[name].scaling in ("raw", "efficientnet"))


def test_normalizations_of_a_backbone_follow_short_trainings_and_an_untrained_start_is_remarked():
    net = build("model", "transfer", {"backbone": "mobilenet_v3_small", "image_size": 32})
    assert net.layers[-1].name == "logit"
    layers = net.get_layer("backbone").layers
    assert {layer.momentum for layer in layers if isinstance(layer, keras.layers.BatchNormalization)} == {0.9}
    assert "untrained" in net.remark


@pytest.mark.long
def test_a_file_of_weights_is_taken_and_read_back_without_it(tmp_path, run_task, tiny):
    source = build_backbone("vgg16", 32, None)
    source.set_weights([value + 0.01 for value in source.get_weights()])
    path = tmp_path / "mine.weights.h5"
    source.save_weights(path)
    net = build("model", "transfer", {"backbone": "vgg16", "weights": str(path), "image_size": 32})
    for one, two in zip(net.get_layer("backbone").get_weights(), source.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    own = ["model=transfer", "model.backbone=vgg16", f"model.weights={path}", "trainer=none"]
    folder = run_task([*(item for item in tiny if not item.startswith("trainer.")), *own, "limit_cells=16"], tmp_path / "run")
    path.unlink()
    saved = load_model(folder)
    assert saved.record["model"]["params"]["weights"] is None
    for one, two in zip(saved.uncalibrated.get_layer("backbone").get_weights(), source.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


NARROW = ["103 of its 104 layers differ", "bn_Conv1: expected (32,), (32,), (32,), (32,); the file has (16,), (16,), (16,), (16,)", "notop"]


@pytest.mark.long
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: folder / "none.weights.h5", ["no file", "Expected null, imagenet, or a local file of vgg16's weights"]),
        (lambda folder: "imagnet", ["no file 'imagnet'. Did you mean 'imagenet'?"]),
        (lambda folder: "https://example.org/a.h5", ["no file 'https://example.org/a.h5'"]),
        (lambda folder: _write(folder / "a.txt", b"x"), ["is no file of weights"]),
        (lambda folder: _write(folder / "a.weights.h5", b"garbage"), ["does not fit vgg16", "It cannot be read"]),
        (lambda folder: _write(folder / "a.keras", b"garbage"), ["does not fit vgg16", "File is not a zip file"]),
        (lambda folder: _narrow(folder / "b.keras"), NARROW),
        (lambda folder: _a_runs(folder / "c.weights.h5"), ["holds more than that", "init_from=..."]),
        (lambda folder: _diverged(folder / "d.weights.h5"), ["NaN or infinite"]),
    ],
)
def test_weights_that_cannot_be_used_are_said(make, said, tmp_path):
    with pytest.raises(ConfigError) as caught:
        backbone = "mobilenet_v2" if said is NARROW else "vgg16"
        build("model", "transfer", {"backbone": backbone, "weights": str(make(tmp_path)), "image_size": 32})
    for part in ["model.weights: ", *said]:
        assert part in str(caught.value)


def _write(path, content):
    path.write_bytes(content)
    return path


def _narrow(path):
    keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(32, 32, 3), alpha=0.35).save(path)
    return path


def _a_runs(path):
    build("model", "transfer", {"backbone": "vgg16", "image_size": 32}).save_weights(path)
    return path


def _diverged(path):
    net = build_backbone("vgg16", 32, None)
    net.set_weights([np.full_like(value, np.nan) if value.ndim == 1 else value for value in net.get_weights()])
    net.save_weights(path)
    return path


def test_weights_that_cannot_be_fetched_are_said_with_keras_reason_and_another_way(monkeypatch):
    asked = []

    def refuse(fname, origin=None, **kwargs):
        asked.append(origin)
        raise Exception("URL fetch failure on https://example.org/a.h5: None -- [Errno -2] Name or service not known")

    monkeypatch.setattr(file_utils, "get_file", refuse)
    with pytest.raises(ConfigError, match=r"could not be fetched or read \(\[Errno -2\] Name or service not known\)") as caught:
        build("model", "transfer", {"weights": "imagenet", "image_size": 64})
    assert "1.0_96_no_top" in asked[0]
    for part in (f"fetch {asked[0]} elsewhere", "model.weights=path", "model.weights=null"):
        assert part in str(caught.value)
