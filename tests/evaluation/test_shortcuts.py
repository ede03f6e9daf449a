import numpy as np

from malaria_exp.config.registry import build
from malaria_exp.evaluation.shortcuts import describe_shortcuts, no_shortcuts, shortcut_entry, shortcut_line, shortcut_scores

SETTINGS = {"interval": build("interval", "clustered", {}), "resamples": 0, "confidence": 0.95, "seed": 0}


def entry(leak):
    """The baseline's entry for 20 patients, of whom half are for training; `leak` shifts the file size of parasitized cells."""
    rng = np.random.default_rng(0)
    patient = np.repeat(np.arange(20), 40)
    labels = rng.integers(0, 2, 800)
    values = np.stack([rng.normal(0, 1, 800) + leak * labels, np.where(rng.random(800) < 0.1, np.nan, rng.normal(0, 1, 800))], axis=1)
    train, rows = np.flatnonzero(patient < 10), np.flatnonzero(patient >= 10)
    scores = shortcut_scores(values, labels, train, rows, seed=0)
    assert (scores == shortcut_scores(values, labels, train, rows, seed=0)).all()
    return shortcut_entry(labels[rows], scores, patient[rows].astype(str), ["file size", "noise"], **SETTINGS)


def test_labels_that_files_give_away_are_found_on_other_patients():
    found = entry(leak=2.0)
    assert found["auc"]["low"] > 0.8
    assert "give labels away" in describe_shortcuts(found)
    assert shortcut_line(found).startswith(f"AUC {found['auc']['value']:.4f} (")


def test_files_that_tell_nothing_are_said_to_tell_nothing():
    found = entry(leak=0.0)
    assert found["auc"]["low"] < 0.5 < found["auc"]["high"]
    assert "No shortcut was found" in describe_shortcuts(found)


def test_a_missing_baseline_says_why():
    assert describe_shortcuts(no_shortcuts("there are no files")).endswith("without looking at a cell: there are no files.")
