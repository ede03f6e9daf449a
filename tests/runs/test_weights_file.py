"""The same layer has the same name in every kind of file, and nothing but numbers is read."""

import h5py
import numpy as np
import pytest

from malaria_exp.config.registry import build
from malaria_exp.data.resize import ResizeRule
from malaria_exp.runs.weights_file import WeightsFileError, open_weights, stored_layers
from malaria_exp.training.raw_input import with_raw_input

SMALL = {
    "cellnet": {"image_size": 32, "stem": 4, "widths": [8, 8]},
    "lenet_subclassed": {"image_size": 32},
    "vit": {"image_size": 32, "width": 16, "depth": 2},
    "resnet_subclassed": {"image_size": 32, "width": 4},
}


def names(path, model):
    with open_weights(path) as file:
        return {layer.labels: layer.shapes for layer in stored_layers(file, model)}


@pytest.mark.parametrize("name", SMALL)
def test_a_model_built_twice_and_saved_in_any_way_has_the_same_layers(name, tmp_path):
    model = build("model", name, SMALL[name])
    model.save_weights(tmp_path / "a.weights.h5")
    expected = names(tmp_path / "a.weights.h5", model)
    assert sum(len(shapes) for shapes in expected.values()) == len(model.weights)
    assert ("logit",) in expected
    # Keras goes on counting: what was conv2d is conv2d_9 now.
    again = build("model", name, SMALL[name])
    again.compile("adam", "mse")
    again.save(tmp_path / "b.keras")
    assert names(tmp_path / "b.keras", model) == expected
    with_raw_input(again, ResizeRule(32, "pad")).save(tmp_path / "c.keras")
    assert names(tmp_path / "c.keras", model) == expected


@pytest.mark.parametrize("name", ["cellnet", "vit"])
def test_older_files_have_the_same_names(name, tmp_path):
    model = build("model", name, SMALL[name])
    model.save_weights(tmp_path / "a.weights.h5")
    build("model", name, SMALL[name]).save(tmp_path / "b.h5")
    assert names(tmp_path / "b.h5", model) == names(tmp_path / "a.weights.h5", model)


@pytest.fixture
def tiny_model():
    return build("model", "cellnet", SMALL["cellnet"])


def test_what_is_no_file_of_weights_is_said(tiny_model, tmp_path):
    for name, content in (("a.h5", b"no"), ("a.keras", b"no"), ("b.h5", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(WeightsFileError), open_weights(tmp_path / name):
            pass
    tiny_model.save_weights(tmp_path / "c.weights.h5")
    whole = (tmp_path / "c.weights.h5").read_bytes()
    (tmp_path / "c.weights.h5").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WeightsFileError), open_weights(tmp_path / "c.weights.h5"):
        pass


def test_a_file_whose_head_alone_is_whole_is_said(tiny_model, tmp_path):
    path = tmp_path / "model.weights.h5"
    tiny_model.save_weights(path)
    content = bytearray(path.read_bytes())
    content[200:] = bytes(len(content) - 200)
    path.write_bytes(content)
    with pytest.raises(WeightsFileError), open_weights(path) as file:
        stored_layers(file, tiny_model)


def test_links_to_other_files_are_not_followed(tiny_model, tmp_path):
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["numbers"] = np.ones(4)
    with h5py.File(tmp_path / "linked.h5", "w") as file:
        group = file.create_group("layers/conv2d/vars")
        group["0"] = h5py.ExternalLink("secret.h5", "/numbers")
    with pytest.raises(WeightsFileError, match="no array of numbers"):
        names(tmp_path / "linked.h5", tiny_model)
    with h5py.File(tmp_path / "outside.h5", "w") as file:
        group = file.create_group("layers/conv2d/vars")
        group.create_dataset("0", (4,), "f4", external=[(str(tmp_path / "secret.h5"), 0, 16)])
    with pytest.raises(WeightsFileError, match="no array of numbers"):
        names(tmp_path / "outside.h5", tiny_model)


def test_the_tenth_layer_comes_after_the_ninth(tmp_path):
    model = build("model", "cellnet", {"image_size": 64, "stem": 2, "widths": [2] * 5})
    model.save_weights(tmp_path / "a.weights.h5")
    with h5py.File(tmp_path / "a.weights.h5", "r+") as file:
        # As Keras wrote before it kept names.
        for group in file["layers"].values():
            group["vars"].attrs.clear()
    with open_weights(tmp_path / "a.weights.h5") as file:
        ranks = [(layer.kind, layer.labels[-1]) for layer in stored_layers(file, model) if layer.labels[-1].startswith("conv2d")]
    assert ranks == [(("conv2d", number), "conv2d" + (f"_{number}" if number else "")) for number in range(11)]
