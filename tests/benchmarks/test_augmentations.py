"""The programs behind docs/augmentation.md: what they compute of runs, and that they write where their markers are."""

import json

import pytest
from conftest import ROOT


@pytest.fixture
def study(load):
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
    page = tmp_path / "docs" / "augmentation-study.md"
    page.parent.mkdir()
    page.write_text("before\n<!-- study: begin -->\nold\n<!-- study: end -->\nafter\n")
    monkeypatch.setattr("sys.argv", ["augmentation_study.py", "--from", str(runs), "--docs", str(page.parent)])
    assert study.main() == 0
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    # Gains .010, .011, .012: mean .011, and 4.303 * .001 / sqrt(3) either way.
    assert "| `[dihedral,color]` | 0.9510 | +0.0110 (+0.0085 to +0.0135) | 0.8400 | +0.0000 (+0.0000 to +0.0000) |" in text
    assert (page.parent / "images" / "augmentation_study.png").stat().st_size > 5000


def test_failed_runs_are_reported_and_without_anything_to_compare_with_nothing_is_written(study, tmp_path, monkeypatch, capsys):
    write_run(tmp_path / "0", "color", 0, 0.9, 0.9)
    write_run(tmp_path / "1", "none", 0, 0.9, 0.9, status="failed")
    monkeypatch.setattr("sys.argv", ["augmentation_study.py", "--from", str(tmp_path), "--docs", str(tmp_path / "docs")])
    assert study.main() == 1
    said = capsys.readouterr().out
    assert "failed, excluded: no memory" in said and "no finished run without augmentation" in said
    assert not (tmp_path / "docs").exists()


def test_the_study_has_every_augmentation(study):
    import yaml

    from malaria_exp.config.registry import options

    preset = yaml.safe_load((ROOT / "conf" / "experiment" / "augmentation_study.yaml").read_text())
    grid = yaml.safe_load(f"[{preset['hydra']['sweeper']['params']['aug']}]")
    assert {name for chain in grid for name in chain} == set(options("aug")) - {"repeat5", "albumentations"}


def test_sides_take_turns_and_the_first_round_does_not_count(load):
    speed = load("augmentations")
    order = []
    times = speed.measure({name: lambda name=name: order.append(name) or float(len(order)) for name in "ab"}, 2)
    assert order == list("ababab")
    assert times == {"a": [3.0, 5.0], "b": [4.0, 6.0]}
