"""Beginning from other weights: what fits is taken over, what does not is reported, and nobody's patients leak."""

import json
import shutil

import keras
import numpy as np
import pytest
from conftest import TINY_CELLNET, WITH_DETECTOR

from malaria_exp.config.registry import build
from malaria_exp.runs.finished_runs import FinishedRun, read_parent_splits
from malaria_exp.runs.initial_weights import InitialWeights, find_weights
from malaria_exp.runs.layer_pairs import pair_layers
from malaria_exp.runs.weights_file import open_weights, stored_layers
from malaria_exp.utils.errors import ConfigError, LeakError

LENET = {"image_size": 32, "filters": 2, "filters_2": 4, "units": 8, "units_2": 4}
OWN = {"cellnet": {"image_size": 32, "stem": 4, "widths": [8, 8]}} | {
    f"lenet_{name}": LENET for name in ("functional", "layer", "subclassed")
}


def model_of(name="cellnet", seed=0, **params):
    """A model whose every weight is off its first value."""
    keras.utils.set_random_seed(seed)
    model = build("model", name, {**OWN.get(name, {"image_size": 32}), **params})
    rng = np.random.default_rng(seed)
    model.set_weights([value + rng.uniform(0.01, 0.1, value.shape).astype(value.dtype) for value in model.get_weights()])
    return model


def begin(source, model, folder):
    """Loads a file into a model and returns the report."""
    initial = InitialWeights(str(source), source, None, folder)
    initial(model)
    assert json.loads((folder / "init_from.json").read_text()) == initial.report
    return initial.report


def equal(one, two):
    return all(np.array_equal(a, b) for a, b in zip(one.get_weights(), two.get_weights(), strict=True))


@pytest.mark.parametrize(("name", "ending"), [("cellnet", "weights.h5"), ("cellnet", "h5"), ("lenet_layer", "keras")])
def test_an_equal_model_takes_over_everything_whatever_keras_called_its_layers(name, ending, tmp_path):
    source = model_of(name)
    model_of(name, seed=2)
    path = tmp_path / f"a.{ending}"
    source.save_weights(path) if ending == "weights.h5" else source.save(path)
    model = model_of(name, seed=1)
    assert [layer.name for layer in model.layers] != [layer.name for layer in source.layers]
    report = begin(path, model, tmp_path)
    assert equal(model, source)
    assert report["parameters_loaded"] == source.count_params()
    assert report["layers_not_loaded"] == report["parameters_not_loaded"] == 0
    assert report["other_shape"] == report["not_there"] == report["not_used"] == []


def test_the_same_model_written_otherwise_takes_over_everything(tmp_path):
    source = model_of("lenet_subclassed")
    source.save_weights(tmp_path / "a.weights.h5")
    model = model_of("lenet_functional", seed=1)
    assert begin(tmp_path / "a.weights.h5", model, tmp_path)["layers_not_loaded"] == 0
    images = np.random.default_rng(0).random((3, 32, 32, 3), dtype=np.float32)
    np.testing.assert_allclose(model(images, training=False), source(images, training=False), rtol=1e-5)


def test_layers_that_are_not_there_or_of_another_shape_stay_as_built_and_are_listed(tmp_path):
    source = model_of()
    source.save_weights(tmp_path / "a.weights.h5")
    model, before = model_of(seed=1, widths=[8, 16]), model_of(seed=1, widths=[8, 16])
    report = begin(tmp_path / "a.weights.h5", model, tmp_path)
    assert {"layer": "logit", "shapes": [[16, 1], [1]], "from": "logit", "shapes_there": [[8, 1], [1]]} in report["other_shape"]
    loaded = {item["layer"] for item in report["loaded"]}
    other = {item["layer"] for item in report["other_shape"]}
    assert "conv2d" in loaded and len(loaded) == report["layers_loaded"]
    assert len(other) == report["layers_not_loaded"]
    sizes = [value.size for value in model.get_weights()]
    changed = [not np.array_equal(a, b) for a, b in zip(model.get_weights(), before.get_weights(), strict=True)]
    assert sum(size for size, moved in zip(sizes, changed, strict=True) if moved) == report["parameters_loaded"]
    assert report["parameters_loaded"] + report["parameters_not_loaded"] == model.count_params()
    longer = begin(tmp_path / "a.weights.h5", model_of(seed=1, widths=[8, 8, 8]), tmp_path)
    assert "conv2d_5" in longer["not_there"] and longer["other_shape"] == []


def test_a_backbone_alone_is_found_inside_of_a_model(tmp_path):
    source = model_of("transfer", backbone="vgg16")
    source.get_layer("backbone").save_weights(tmp_path / "b.weights.h5")
    model = model_of("transfer", seed=1, backbone="vgg16")
    report = begin(tmp_path / "b.weights.h5", model, tmp_path)
    assert report["not_there"] == ["logit"]
    assert equal(model.get_layer("backbone"), source.get_layer("backbone"))


def test_the_file_is_read_once_and_every_build_gets_the_same(tmp_path, monkeypatch):
    source = model_of(widths=[8])
    source.save_weights(tmp_path / "a.weights.h5")
    initial = InitialWeights("a", tmp_path / "a.weights.h5", None, tmp_path)
    first = initial(model_of(seed=1))
    (tmp_path / "a.weights.h5").unlink()
    second, plain = initial(model_of(seed=5)), model_of(seed=5)
    rows = [row for row, (a, b) in enumerate(zip(second.get_weights(), plain.get_weights(), strict=True)) if not np.array_equal(a, b)]
    assert 0 < len(rows) < len(plain.weights)
    for row in range(len(plain.weights)):
        # What is not in the file is this build's own, not the first one's.
        np.testing.assert_array_equal(second.get_weights()[row], (first if row in rows else plain).get_weights()[row])


def test_no_layer_of_the_file_is_used_twice(tmp_path):
    for name, model in (("a", model_of()), ("b", model_of(widths=[8] * 3))):
        model.save_weights(tmp_path / f"{name}.weights.h5")
    layers = []
    for name in "ab":
        with open_weights(tmp_path / f"{name}.weights.h5") as file:
            layers.append(stored_layers(file, model))
    pairs = pair_layers(*layers)
    assert len({theirs.labels for _, theirs in pairs}) == len(pairs) == len(layers[0])


def test_nothing_that_fits_is_an_error_with_both_lists(tmp_path):
    model_of().save_weights(tmp_path / "a.weights.h5")
    with pytest.raises(
        ConfigError, match=r"(?s)nothing in .*a\.weights\.h5' fits model 'vit'.*patches: .*In the file:.*conv2d_1: \(3, 3, 4, 8\)"
    ):
        begin(tmp_path / "a.weights.h5", model_of("vit"), tmp_path)
    assert not (tmp_path / "init_from.json").exists()


def test_weights_of_a_training_that_diverged_are_refused(tmp_path):
    model = model_of()
    model.set_weights([np.full_like(value, np.nan) for value in model.get_weights()])
    model.save_weights(tmp_path / "a.weights.h5")
    with pytest.raises(ConfigError, match="are no numbers"):
        begin(tmp_path / "a.weights.h5", model_of(), tmp_path)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{}/runn", "does not exist. Did you mean 'run'"),
        ("{}/empty", "has no model.keras"),
        ("{}/run/split.csv", "no file of weights"),
        ("https://localhost/a", "no file of weights"),
        ("{}/failed", "no finished training run: task train, status failed"),
        ("memory://init-from-nowhere/run", r"has no status\.json"),
    ],
)
def test_what_cannot_be_begun_from_is_named(source, message, finished_run, tmp_path):
    shutil.copytree(finished_run, tmp_path / "run")
    shutil.copytree(finished_run, tmp_path / "failed")
    status = json.loads((finished_run / "status.json").read_text()) | {"status": "failed"}
    (tmp_path / "failed" / "status.json").write_text(json.dumps(status))
    (tmp_path / "empty").mkdir()
    with pytest.raises(Exception, match=f"init_from: .*{message}"):
        find_weights(source.format(tmp_path), tmp_path / "cache", tmp_path)


def test_a_pointer_in_place_of_the_weights_is_named_at_once(tmp_path):
    (tmp_path / "a.keras").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(ConfigError, match=r"init_from: '.*a\.keras' is a Git LFS pointer.*git lfs pull"):
        find_weights(str(tmp_path / "a.keras"), tmp_path, tmp_path)


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "a.keras").write_bytes(b"PK\x03\x04 no zip")
    with pytest.raises(ConfigError, match=r"init_from: '.*a\.keras' cannot be read as weights"):
        begin(tmp_path / "a.keras", model_of(), tmp_path)


def test_a_run_begins_where_another_ended(finished_run, run_task, tmp_path):
    data = [item for item in [*WITH_DETECTOR, *TINY_CELLNET] if not item.startswith("trainer.")]
    folder = run_task([*data, "trainer=none", f"init_from={finished_run}"], tmp_path / "run")
    metrics, before = (json.loads((path / "metrics.json").read_text()) for path in (folder, finished_run))
    # Evaluated as it is, it has the same scores as the run it comes from.
    assert metrics["subsets"] == before["subsets"] and metrics["leaky"] is False
    report = json.loads((folder / "init_from.json").read_text())
    assert metrics["init_from"] == {key: value for key, value in report.items() if not isinstance(value, list)}
    assert "Training began from other weights: 7 of 7 layers" in (folder / "report.html").read_text()


def test_a_run_knows_its_patients(finished_run, run_task, tiny_cellnet, tmp_path):
    with pytest.raises(LeakError, match="weights come from runs that have trained or validated on cells"):
        run_task([*tiny_cellnet, f"init_from={finished_run}", "split.seed=7"], tmp_path / "refused")


@pytest.mark.parametrize("file", ["checkpoint.weights.h5", "checkpoints/step-000010.weights.h5", "last_good.weights.h5"])
@pytest.mark.parametrize("status", ["failed", "interrupted", "running"])
def test_weights_of_a_run_that_was_cut_off_go_on_and_know_its_patients(file, status, finished_run, tmp_path):
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    for name in ("status.json", "config.yaml", "split.csv", "provenance.json"):
        shutil.copy(finished_run / name, run / name)
    (run / "status.json").write_text(json.dumps(json.loads((run / "status.json").read_text()) | {"status": status}))
    model_of(widths=[8]).save_weights(run / file)
    initial = find_weights(f"{run}/{file}", tmp_path / "cache", tmp_path)
    assert initial.run == run
    own = FinishedRun.read(finished_run).manifest
    assert set(read_parent_splits([initial.run]).patient) == set(own.patient[np.isin(own.subset, ("train", "val"))])


def test_a_file_in_a_runs_folder_knows_its_patients_too_and_one_elsewhere_says_that_nobody_does(finished_run, tmp_path):
    assert find_weights(f"{finished_run}/model.keras", tmp_path, tmp_path).run == finished_run
    shutil.copy(finished_run / "model.keras", tmp_path / "mine.keras")
    initial = find_weights(f"{tmp_path}/mine.keras", tmp_path, tmp_path)
    initial(model_of(widths=[8]))
    assert initial.run is None
    assert "Nobody recorded here which patients these weights were trained on." in initial.notes()[0]
