"""Backbones: each scaled once and as it was trained, weights from where they are said to be, read back without them."""

import keras
import numpy as np
import pytest

from malaria_exp.errors import ConfigError
from malaria_exp.model._backbone_scaling import DEVIATION, MEAN, BackboneScaling
from malaria_exp.model._backbones import BACKBONES, build_backbone
from malaria_exp.registry import build

PREPROCESSING = {
    "mobilenet_v2": keras.applications.mobilenet_v2,
    "mobilenet_v3_small": keras.applications.mobilenet_v3,
    "efficientnet_b0": keras.applications.efficientnet,
    "efficientnet_v2": keras.applications.efficientnet_v2,
    "resnet50": keras.applications.resnet50,
    "vgg16": keras.applications.vgg16,
    "densenet121": keras.applications.densenet,
}
LIGHT = ["mobilenet_v2", "efficientnet_b0"]


def images(count=2, size=32, seed=0):
    return np.random.default_rng(seed).random((count, size, size, 3)).astype(np.float32)


@pytest.mark.parametrize("name", [name for name in BACKBONES if name != "efficientnet_b0"])
def test_the_scaling_is_that_of_keras(name):
    expected = PREPROCESSING[name].preprocess_input(255 * images().astype(np.float64))
    np.testing.assert_allclose(BackboneScaling(BACKBONES[name].scaling)(images()), expected, atol=2e-3)


def with_imagenets_scaling(monkeypatch, name, size):
    """Builds Keras' net as it is with ImageNet weights, without fetching them."""
    module = __import__(f"keras.src.applications.{ {'efficientnet_b0': 'efficientnet'}.get(name, name) }", fromlist=["x"])
    monkeypatch.setattr(module.file_utils, "get_file", lambda *args, **kwargs: "nowhere")
    monkeypatch.setattr(keras.Model, "load_weights", lambda *args, **kwargs: None)
    application = getattr(keras.applications, BACKBONES[name].application)
    net = application(include_top=False, weights="imagenet", input_shape=(size, size, 3))
    monkeypatch.undo()
    return net


@pytest.mark.parametrize("name", LIGHT)
def test_the_net_is_the_one_that_keras_makes_for_imagenet_weights(name, monkeypatch):
    """Keras divides once more inside EfficientNet for these weights alone; here the net is one function for all weights."""
    reference = with_imagenets_scaling(monkeypatch, name, 32)
    rng = np.random.default_rng(1)
    reference.set_weights([value + rng.uniform(0, 0.02, value.shape).astype(value.dtype) for value in reference.get_weights()])
    for layer in reference.layers:
        if isinstance(layer, keras.layers.Normalization):
            weights = layer.get_weights()
            layer.set_weights([np.array(MEAN, np.float32), np.array(DEVIATION, np.float32) ** 2, *weights[2:]])
    ours = build("model", "transfer", {"backbone": name, "image_size": 32, "dropout": 0.0})
    backbone = ours.get_layer("backbone")
    backbone.set_weights(reference.get_weights())
    for layer in reference.layers:
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()
    features = reference(PREPROCESSING[name].preprocess_input(255 * images()), training=False)
    np.testing.assert_allclose(backbone(ours.get_layer("scaling")(images()), training=False), features, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_builds_and_keeps_kerass_names(name):
    net = build("model", "transfer", {"backbone": name, "image_size": 32})
    assert net.layers[-1].name == "logit"
    names = {layer.name for layer in net.get_layer("backbone").layers}
    own = getattr(keras.applications, BACKBONES[name].application)(include_top=False, weights=None, input_shape=(32, 32, 3))
    # Keras numbers its normalisation layers of the input anew in each process.
    assert {layer.name for layer in own.layers if layer.weights and not layer.name.startswith("normalization")} <= names
    momenta = {layer.momentum for layer in net.get_layer("backbone").layers if isinstance(layer, keras.layers.BatchNormalization)}
    assert momenta <= {0.9}


def test_a_file_of_weights_is_taken_and_read_back_without_it(tmp_path, run_task, tiny):
    from malaria_exp.saved import load_model

    source = build_backbone("mobilenet_v2", 32, None)
    source.set_weights([value + 0.01 for value in source.get_weights()])
    path = tmp_path / "mine.weights.h5"
    source.save_weights(path)
    net = build("model", "transfer", {"weights": str(path), "image_size": 32})
    for one, two in zip(net.get_layer("backbone").get_weights(), source.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    own = ["model=transfer", f"model.weights={path}", "trainer=staged", "trainer.stages=[{epochs: 1, train: [logit]}]"]
    folder = run_task([*(item for item in tiny if "epochs" not in item), *own, "limit_cells=16"], tmp_path / "run")
    path.unlink()
    again, _, record = load_model(folder)
    assert record["model"]["params"]["weights"] is None
    # Frozen through the whole run: the statistics of its normalisations too.
    for one, two in zip(again.get_layer("backbone").get_weights(), source.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: folder / "none.weights.h5", ["no file", "Expected null, imagenet, or a file of mobilenet_v2's weights"]),
        (lambda folder: _write(folder / "a.txt", b"x"), ["is no file of weights"]),
        (lambda folder: _write(folder / "a.weights.h5", b"garbage"), ["does not fit mobilenet_v2"]),
        (lambda folder: _weights_of_another_net(folder / "b.weights.h5"), ["does not fit mobilenet_v2", "notop or no_top"]),
    ],
)
def test_weights_that_cannot_be_used_are_said(make, said, tmp_path):
    with pytest.raises(ConfigError) as caught:
        build("model", "transfer", {"weights": str(make(tmp_path)), "image_size": 32})
    for part in ["model.weights: ", *said]:
        assert part in str(caught.value)


def _write(path, content):
    path.write_bytes(content)
    return path


def _weights_of_another_net(path):
    build("model", "cellnet", {"image_size": 32}).save_weights(path)
    return path


def test_offline_the_message_names_the_file_to_fetch(monkeypatch):
    def refuse(*args, **kwargs):
        raise Exception("URL fetch failure on https://example.org/mobilenet_no_top.h5: None -- [Errno -2] Name or service not known")

    import keras.src.applications.mobilenet_v2 as module

    monkeypatch.setattr(module.file_utils, "get_file", refuse)
    with pytest.raises(ConfigError) as caught:
        build("model", "transfer", {"weights": "imagenet", "image_size": 96})
    for part in ("Name or service not known", "https://example.org/mobilenet_no_top.h5", "model.weights=path", "model.weights=null"):
        assert part in str(caught.value)


@pytest.mark.parametrize("params", [{"backbone": "mobilenet"}, {"image_size": 31}, {"weights": 3}])
def test_wrong_parameters(params):
    with pytest.raises(ConfigError):
        build("model", "transfer", params)


def test_the_untrained_start_is_remarked():
    assert "untrained" in build("model", "transfer", {"image_size": 32}).remark
