"""What tables and reports say of an evaluation: which subset stands for the run, its headline, and cautions."""

from collections.abc import Mapping
from typing import Any

from malaria_exp.evaluation.intervals.interval_interface import PATIENTS_UNKNOWN
from malaria_exp.evaluation.thresholds import NOT_CHOSEN

# With fewer patients nothing is known of how often intervals hold: the smallest sets of benchmarks/coverage.py have 5, 4 of them infected.
FEW_PATIENTS, FEW_INFECTED = 5, 4
# Of a hundred labels of the NIH set a few are wrong (experts doubt about one in twenty), so a higher accuracy is leakage or chance.
TOO_GOOD_ACCURACY = 0.975
STAYED_SEALED = (
    "The test subset stayed sealed (evaluation.test=false). These are numbers of validation patients, and too good: epoch, threshold and"
    " calibration were chosen on them. task=evaluate run=... opens the test subset of the run that is chosen in the end."
)


def reported_subset(metrics: Mapping[str, Any]) -> str:
    """Returns the subset whose numbers stand for the run: test, else external, else val."""
    return next(name for name in ("test", "external", "val") if name in metrics["subsets"])


def first_threshold(metrics: Mapping[str, Any]) -> str:
    """Returns the name of the threshold whose rates tables and headlines show."""
    return next(iter(metrics["thresholds"]))


def shown_cells(metrics: Mapping[str, Any], subset: str) -> dict[str, Any]:
    """Returns what tables show of a subset, by name: metrics without a threshold, and counts and rates at the first threshold."""
    found = metrics["subsets"][subset]
    return {**found["ranking"], **found["at"][first_threshold(metrics)]}


def headline(metrics: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Returns the handful of numbers that tables of runs show, at the first threshold.

    Args:
        metrics: as `evaluate` returns it.

    Returns:
        {subset: {"patients", "cells", "auc", "accuracy", "sensitivity", "specificity"}}, validation first; None where undefined or not known.
    """
    first = first_threshold(metrics)
    return {
        name: {
            "patients": None if found["no_interval"] == PATIENTS_UNKNOWN else found["counted"]["patients"],
            "cells": found["counted"]["cells"],
            "auc": found["ranking"]["auc"]["value"],
            **{metric: found["at"][first][metric]["value"] for metric in ("accuracy", "sensitivity", "specificity")},
        }
        for name, found in metrics["subsets"].items()
    }


def cautions(metrics: Mapping[str, Any], *, nih: bool) -> list[str]:
    """Returns notes for the report: what makes these numbers less certain than they look.

    Args:
        metrics: as `evaluate` returns it.
        nih: whether cells of the NIH set were scored, of whose labels it is known how many are wrong.
    """
    notes = [STAYED_SEALED] if reported_subset(metrics) == "val" else []
    for name, found in metrics["subsets"].items():
        sizes = found["counted"]
        if found["no_interval"] == PATIENTS_UNKNOWN:
            notes.append(f"{name}: the patients are not known, so there are no intervals, and the result on new patients is not known.")
        elif sizes["patients"] < FEW_PATIENTS:
            notes.append(
                f"{name}: only {sizes['patients']} patient(s); how often intervals from fewer than {FEW_PATIENTS} hold the truth was not measured."
            )
        elif sizes["infected_patients"] == 1:
            notes.append(f"{name}: one infected patient only; sensitivity and all that rests on it has no interval.")
        elif 0 < sizes["infected_patients"] < FEW_INFECTED:
            notes.append(
                f"{name}: only {sizes['infected_patients']} infected patients; how often intervals from so few hold was not measured."
            )
        missing = [kind for kind in ("parasitized", "uninfected") if not sizes[kind]]
        # Accuracy is then the same number, and PPV and NPV are 0 or 1 whatever the model is.
        left = {"parasitized": "specificity", "uninfected": "sensitivity"}
        notes.extend(f"{name}: no {kind} cell; of the rates only the {left[kind]} says something about the model." for kind in missing)
        if found["no_interval"] not in (None, PATIENTS_UNKNOWN):
            notes.append(f"{name}: no intervals: {found['no_interval']}.")
        accuracy = found["at"][first_threshold(metrics)]["accuracy"]["value"]
        if nih and sizes["parasitized"] and sizes["uninfected"] and accuracy > TOO_GOOD_ACCURACY:
            notes.append(
                f"{name}: accuracy {accuracy:.3f} is higher than the errors among the NIH set's labels allow; look for leakage, or too few"
                " cells."
            )
    notes.extend(
        f"The threshold {name} is {threshold['rule']}."
        for name, threshold in metrics["thresholds"].items()
        if threshold["rule"].startswith(NOT_CHOSEN)
    )
    return notes
