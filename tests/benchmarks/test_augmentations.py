"""The programs behind docs/augmentation.md: what they compute of runs, and that they write where their markers are."""

import importlib.util
import json

import numpy as np
import pytest
from conftest import ROOT


def load(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def study():
    return load("augmentation_study")


def write_run(folder, aug, seed, val, test, status="done"):
    folder.mkdir(parents=True)
    overrides = [f"seed={seed}", f"aug=[{aug}]"]
    (folder / "status.json").write_text(json.dumps({"status": status, "overrides": overrides, "reason": "no memory"}))
    subsets = {name: {"ranking": {"auc": {"value": value}}} for name, value in (("val", val), ("test", test))}
    (folder / "metrics.json").write_text(json.dumps({"subsets": subsets}))


def test_gains_are_paired_by_seed(study, tmp_path, monkeypatch, capsys):
    runs = tmp_path / "runs"
    for seed, base in enumerate((0.90, 0.95, 0.97)):
        write_run(runs / f"none{seed}", "none", seed, base, base - 0.1)
        write_run(runs / f"both{seed}", "dihedral,color", seed, base + 0.01 + 0.001 * seed, base - 0.1)
    page = tmp_path / "docs" / "augmentation.md"
    page.parent.mkdir()
    page.write_text("before\n<!-- study: begin -->\nold\n<!-- study: end -->\nafter\n")
    monkeypatch.setattr("sys.argv", ["augmentation_study.py", "--from", str(runs), "--docs", str(page.parent)])
    assert study.main() == 0
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    # Gains .010, .011, .012: mean .011, and 4.303 * .001 / sqrt(3) either way.
    assert "| `[dihedral,color]` | 0.9510 | +0.0110 (+0.0085 to +0.0135) | 0.8400 | +0.0000 (+0.0000 to +0.0000) |" in text
    assert (page.parent / "images" / "augmentation_study.png").stat().st_size > 5000


def test_a_failed_run_is_reported_and_excluded(study, tmp_path, monkeypatch, capsys):
    write_run(tmp_path / "0", "none", 0, 0.9, 0.9)
    write_run(tmp_path / "1", "color", 0, 0.9, 0.9, status="failed")
    monkeypatch.setattr("sys.argv", ["augmentation_study.py", "--from", str(tmp_path), "--docs", str(tmp_path / "docs")])
    assert study.main() == 1
    assert "failed, excluded: no memory" in capsys.readouterr().out


def test_without_anything_to_compare_with_nothing_is_written(study, tmp_path, monkeypatch, capsys):
    write_run(tmp_path / "0", "color", 0, 0.9, 0.9)
    monkeypatch.setattr("sys.argv", ["augmentation_study.py", "--from", str(tmp_path), "--docs", str(tmp_path / "docs")])
    assert study.main() == 1
    assert "no finished run without augmentation" in capsys.readouterr().out
    assert not (tmp_path / "docs").exists()


def test_the_study_has_every_augmentation(study):
    import yaml

    from malaria_exp.config.registry import options

    preset = yaml.safe_load((ROOT / "conf" / "experiment" / "augmentation_study.yaml").read_text())
    grid = yaml.safe_load(f"[{preset['hydra']['sweeper']['params']['aug']}]")
    assert {name for chain in grid for name in chain} == set(options("aug")) - {"repeat5", "albumentations"}


def test_what_a_measurement_says():
    speed = load("augmentations")
    steps = {"none": [0.1, 0.2], "color": [0.11, 0.22]}
    text = speed.describe({"none": [0.001, 0.001], "color": [0.01, 0.02]}, steps, {"plain loop, 1 thread": [1.0, 0.5]}, 1000, "bfloat16")
    assert "cellnet in bfloat16, a step without augmentation 150.0 (100.0 to 200.0) ms" in text
    assert "| `none` |  |  | 150.0 (100.0 to 200.0) |  |" in text
    assert "| `color` | 8.5 | 15.0 (10.0 to 20.0) | 165.0 (110.0 to 220.0) | +10.0 % |" in text
    assert "| plain loop, 1 thread | 768 (512 to 1,024) |" in text


def test_sides_take_turns_and_the_first_round_does_not_count():
    speed = load("augmentations")
    order = []
    times = speed.measure({name: lambda name=name: order.append(name) or float(len(order)) for name in "ab"}, 2)
    assert order == list("ababab")
    assert times == {"a": [3.0, 5.0], "b": [4.0, 6.0]}


def test_a_called_option_is_timed(monkeypatch):
    from malaria_exp.config.registry import build
    from malaria_exp.data.augmentation_chain import Chain

    speed = load("augmentations")
    monkeypatch.setattr(speed, "BATCH", 4)
    run = speed.called(Chain([build("aug", "dihedral", {})]), np.zeros((4, 8, 8, 3), np.uint8), np.zeros((4, 1), np.float32))
    assert run() > 0
