import re

import numpy as np
import pytest
from evaluation_settings import SETTINGS

from malaria_exp.data.cell_table import UNKNOWN
from malaria_exp.evaluation.evaluate import evaluate
from malaria_exp.evaluation.predictions import Predictions
from malaria_exp.evaluation.reports.results_table import results_table


def predictions(patients=("a", "b", "c", "d", "e", "f"), cells=20, seed=0):
    random = np.random.default_rng(seed)
    total = 2 * len(patients) * cells
    label = np.tile([0, 1], total // 2)
    score = np.clip(0.5 + 0.25 * (2 * label - 1) + random.normal(0, 0.3, total), 0, 1)
    names = [f"{subset}-{name}" if name != UNKNOWN else name for subset in ("val", "test") for name in patients for _ in range(cells)]
    subset = ["val"] * (total // 2) + ["test"] * (total // 2)
    return Predictions(np.arange(total).astype(str), np.array(names), np.array(names), label, score, np.array(subset))


@pytest.fixture(scope="module")
def metrics():
    return evaluate(predictions(), **SETTINGS | {"confidence": 0.9})


def test_numbers_are_those_of_the_metrics_at_both_thresholds(metrics):
    text = results_table(metrics)
    first, *lines = text.splitlines()
    auc = metrics["subsets"]["val"]["ranking"]["auc"]["value"]
    assert first.startswith(f"val       auc {auc:.3f}, ") and first.endswith("chosen on these cells")
    assert lines[0] == "test      120 cells of 6 patients"
    at = metrics["subsets"]["test"]["at"]
    row = next(line for line in lines if line.strip().startswith("sensitivity"))
    expected = [
        f"{at[name]['sensitivity'][key]:.{digits}f}"
        for name in ("fixed", "target_sensitivity")
        for key, digits in (("value", 4), ("low", 3), ("high", 3))
    ]
    assert re.findall(r"\d\.\d+", row) == expected
    auc = metrics["subsets"]["test"]["ranking"]["auc"]
    assert f"{auc['value']:.4f} ({auc['low']:.3f} to {auc['high']:.3f})" in next(line for line in lines if line.strip().startswith("auc"))
    assert "target_sensitivity keeps its promise" in lines[-2]
    assert lines[-1] == "  in brackets: 90% interval over patients; effective number of patients: 6.0 for sensitivity, 6.0 for specificity"


def test_columns_stand_below_each_other_and_leaky_in_the_first_line(metrics):
    lines = results_table(metrics).splitlines()[2:-2]
    second = lines[0].index("fixed = 0.5")
    assert all(line[second - 1] == " " and line[second] != " " for line in lines)
    assert all("LEAKY" in line for line in results_table(metrics, leaky=True).splitlines()[:2]) and "LEAKY" not in results_table(metrics)


def test_unknown_patients_missing_intervals_and_what_is_undefined_are_said():
    unknown = evaluate(predictions((UNKNOWN,)), **SETTINGS)
    text = results_table(unknown)
    assert "of unknown patients" in text and text.splitlines()[-1].startswith("  no intervals: ")
    assert "(" not in next(line for line in text.splitlines() if line.strip().startswith("auc"))
    given = predictions()
    one_class = Predictions(
        given.cell_id, given.patient, given.slide, np.where(given.subset == "test", 0, given.label), given.score, given.subset
    )
    text = results_table(evaluate(one_class, **SETTINGS | {"resamples": 20}))
    assert "undefined" in next(line for line in text.splitlines() if line.strip().startswith("sensitivity"))
