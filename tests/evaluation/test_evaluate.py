"""metrics.json: the threshold comes from validation alone, every count adds up, and it is strict JSON."""

import json

import numpy as np
import pytest
from evaluation_settings import SETTINGS

from malaria_exp.data.cell_table import UNKNOWN
from malaria_exp.evaluation.evaluate import evaluate, json_ready
from malaria_exp.evaluation.metrics import METRICS, compute
from malaria_exp.evaluation.predictions import Predictions
from malaria_exp.evaluation.summary import cautions, first_threshold, headline, reported_subset
from malaria_exp.evaluation.thresholds import Threshold
from malaria_exp.utils.atomic_files import write_json
from malaria_exp.utils.errors import DataError


def predictions(subsets=("val", "test"), patients=16, cells=20, seed=0, healthy=4):
    rng = np.random.default_rng(seed)
    n = patients * cells
    patient = np.repeat(np.arange(patients), cells)
    label = ((rng.random(n) < 0.5) & (patient >= healthy)).astype(int)
    score = np.clip(rng.normal(0.3 + 0.4 * label, 0.2), 0, 1)
    subset = np.array(subsets)[patient % len(subsets)]
    ids = np.array([f"c{i}" for i in range(n)])
    names = np.array([f"P{i}" for i in patient])
    return Predictions(ids, names, names, label, score, subset)


def numbers(value):
    if isinstance(value, dict):
        return [number for item in value.values() for number in numbers(item)]
    if isinstance(value, list):
        return [number for item in value for number in numbers(item)]
    return [value]


def test_the_threshold_does_not_see_the_test_cells():
    first = predictions()
    scores = np.where(first.subset == "test", 1 - first.score, first.score)
    changed = Predictions(first.cell_id, first.patient, first.slide, first.label, scores, first.subset)
    a, b = evaluate(first, **SETTINGS), evaluate(changed, **SETTINGS)
    assert a["thresholds"] == b["thresholds"] and a["subsets"]["val"] == b["subsets"]["val"]
    assert a["subsets"]["test"] != b["subsets"]["test"]
    assert a["subsets"]["val"]["at"]["target_sensitivity"]["sensitivity"]["value"] >= 0.9


def test_every_number_follows_from_the_predictions():
    given = predictions()
    data = evaluate(given, **SETTINGS)
    for name, part in data["subsets"].items():
        cells = given.select(name)
        for at in part["at"].values():
            assert at["tp"] + at["fn"] == part["counted"]["parasitized"]
            assert at["tn"] + at["fp"] == part["counted"]["uninfected"]
            expected = compute(cells.label, cells.score, at["threshold"])
            got = {metric: cell["value"] for metric, cell in (at | part["ranking"]).items() if metric in METRICS}
            assert got == pytest.approx(expected)
        counted = part["counted"]
        assert counted["infected_patients"] + counted["healthy_patients"] == counted["patients"] == len(part["per_patient"])


def test_patients_add_up_to_their_subset():
    part = evaluate(predictions(), **SETTINGS)["subsets"]["test"]
    for key in ("cells", "parasitized", "uninfected"):
        assert sum(row[key] for row in part["per_patient"]) == part["counted"][key]
    for key in ("tp", "fp", "tn", "fn"):
        assert sum(row["at"]["target_sensitivity"][key] for row in part["per_patient"]) == part["at"]["target_sensitivity"][key]
    for row in part["per_patient"]:
        assert row["infected"] == (row["parasitized"] > 0)
        assert (row["at"]["fixed"]["sensitivity"] is None) == (not row["infected"])


def test_frozen_thresholds_need_no_validation_and_without_either_it_is_refused():
    frozen = {"first": Threshold(0.123, "as it was", "a promise", 0.5), "second": Threshold(0.5, "given")}
    for subsets in (("external",), ("val", "test")):
        data = evaluate(predictions(subsets), **SETTINGS | {"thresholds": frozen})
        assert data["thresholds"] == {name: vars(threshold) for name, threshold in frozen.items()}
        assert first_threshold(data) == "first"
    with pytest.raises(DataError, match="Expected validation cells"):
        evaluate(predictions(("test",)), **SETTINGS)


def test_healthy_patients_alone_give_strict_json(tmp_path):
    data = evaluate(predictions(healthy=16), **SETTINGS)
    assert "no parasitized cell" in data["thresholds"]["target_sensitivity"]["rule"]
    assert data["subsets"]["test"]["ranking"]["auc"]["value"] is None
    assert data["subsets"]["test"]["at"]["fixed"]["specificity"]["low"] is not None
    text = write_json(tmp_path / "metrics.json", data).read_text()
    assert json.loads(text, parse_constant=pytest.fail) == data
    assert any("no parasitized cell" in caution for caution in cautions(data, nih=False))


def test_it_is_plain_python_and_deterministic():
    first, again = (evaluate(predictions(), **SETTINGS) for _ in range(2))
    assert first == again
    assert {type(value) for value in numbers(first)} <= {int, float, str, bool, type(None)}
    assert first["interval"] == {
        "method": "patients as clusters (Korn and Graubard, Obuchowski)",
        "resamples": 50,
        "confidence": 0.95,
        "seed": 0,
    }


@pytest.mark.parametrize(
    ("subsets", "expected"), [(("val", "test", "external"), "test"), (("val", "external"), "external"), (("val",), "val")]
)
def test_headline_has_every_subset_validation_first_and_test_stands_for_the_run(subsets, expected):
    data = evaluate(predictions(subsets), **SETTINGS)
    shown = headline(data)
    assert tuple(shown) == subsets and reported_subset(data) == expected
    for name, part in data["subsets"].items():
        assert shown[name]["auc"] == part["ranking"]["auc"]["value"]
        assert shown[name]["sensitivity"] == part["at"]["fixed"]["sensitivity"]["value"]
        assert shown[name]["patients"] == part["counted"]["patients"]


def test_cautions_name_what_is_thin():
    few = cautions(evaluate(predictions(patients=6, healthy=1), **SETTINGS), nih=False)
    assert any("only 3 patient" in caution for caution in few)
    assert any(
        "no intervals: one patient only" in caution
        for caution in cautions(evaluate(predictions(("val",), patients=1, healthy=0), **SETTINGS), nih=False)
    )
    perfect = predictions(patients=60)
    perfect = Predictions(perfect.cell_id, perfect.patient, perfect.slide, perfect.label, perfect.label * 0.8 + 0.1, perfect.subset)
    for nih in (True, False):
        assert any("leakage" in caution for caution in cautions(evaluate(perfect, **SETTINGS), nih=nih)) == nih
    assert cautions(evaluate(predictions(patients=60), **SETTINGS), nih=True) == []


def test_json_keeps_numpy_and_drops_nan(tmp_path):
    path = write_json(tmp_path / "a.json", json_ready({"a": np.float32(0.5), "b": [np.nan, np.inf], "c": np.arange(2), 3: "µ"}))
    assert json.loads(path.read_text()) == {"a": 0.5, "b": [None, None], "c": [0, 1], "3": "µ"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]


def test_the_chapter_on_patients_is_at_the_first_threshold_and_in_the_order_of_the_patients():
    given = predictions()
    test = evaluate(given, **SETTINGS)["subsets"]["test"]
    found, first = test["patient_level"], next(iter(SETTINGS["thresholds"]))
    for row, own in zip(test["per_patient"], found["fractions"], strict=True):
        at = row["at"][first]
        assert own["labeled"] == pytest.approx(row["parasitized"] / row["cells"])
        assert own["predicted"] == pytest.approx((at["tp"] + at["fp"]) / row["cells"])
        assert own["low"] <= own["corrected"] <= own["high"]
    half = found["predictive_values"][0]
    sensitivity, specificity = (test["at"][first][name]["value"] for name in ("sensitivity", "specificity"))
    assert half["ppv"]["value"] == pytest.approx(sensitivity / (sensitivity + 1 - specificity))


def test_the_order_of_the_cells_has_no_effect_on_the_chapter_on_patients():
    given = predictions()
    order = np.random.default_rng(0).permutation(len(given))
    columns = ("cell_id", "patient", "slide", "label", "score", "subset")
    shuffled = Predictions(*(getattr(given, name)[order] for name in columns))
    a, b = (evaluate(one, **SETTINGS)["subsets"]["test"]["patient_level"] for one in (given, shuffled))
    assert a["fractions"] == b["fractions"] and a["detection"] == b["detection"] and a["agreement"] == b["agreement"]


def test_without_known_patients_nothing_is_said_of_them():
    given = predictions(("test",), patients=1)
    unknown = Predictions(given.cell_id, np.full(len(given), UNKNOWN), given.slide, given.label, given.score, given.subset)
    found = evaluate(unknown, **SETTINGS | {"thresholds": {"fixed": Threshold(0.5, "given")}})["subsets"]["test"]
    assert found["patient_level"] is None
