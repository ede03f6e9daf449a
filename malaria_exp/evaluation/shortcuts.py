"""The shortcut baseline: how well labels can be guessed without looking at a cell, by gradient boosting of what is known of its file."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from malaria_exp.evaluation.intervals.interval_interface import IntervalMethod

ROUNDS, LEAVES, RATE = 60, 8, 0.1
# Of predictions.csv: the baseline's probability of parasitized.
COLUMN = "shortcut_score"


def shortcut_scores(values: np.ndarray, labels: np.ndarray, train: np.ndarray, rows: np.ndarray, seed: int) -> np.ndarray:
    """Returns the baseline's probability of parasitized, float64, of some cells.

    Args:
        values: features, float64 (N, F), nan where not known.
        labels: (N,), 1 = parasitized, 0 = uninfected.
        train: numbers of the cells that it is fitted to, of training patients alone.
        rows: numbers of the cells that it scores.
        seed: of the boosting.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    boosting = HistGradientBoostingClassifier(
        max_iter=ROUNDS, max_leaf_nodes=LEAVES, learning_rate=RATE, early_stopping=False, random_state=seed % 2**32
    )
    # So little work is done sooner by one thread; several wait for each other, ten times as long on a busy machine.
    with threadpool_limits(1, user_api="openmp"):
        fitted = boosting.fit(values[train], labels[train])
        return np.asarray(fitted.predict_proba(values[rows])[:, 1], dtype=np.float64)


def shortcut_entry(
    labels: np.ndarray, scores: np.ndarray, patients: np.ndarray, features: Sequence[str], *, interval: IntervalMethod, **settings: Any
) -> dict[str, Any]:
    """Returns the entry of metrics.json.

    Args:
        labels: (N,), 1 = parasitized, 0 = uninfected, of one subset.
        scores: of the baseline, (N,).
        patients: (N,).
        features: names of what it knows.
        interval: how the interval is computed.
        **settings: resamples, confidence and seed of `interval`.

    Returns:
        {"auc": cell, see `IntervalMethod`, "features": names, "reason": ""}; `no_shortcuts` gives that of a result without a baseline.
    """
    auc = interval(labels, scores, patients, {}, **settings)["ranking"]["auc"]
    return {"auc": auc, "features": list(features), "reason": ""}


def no_shortcuts(reason: str) -> dict[str, Any]:
    """Returns the entry of a result without a baseline, and why there is none."""
    return {"auc": None, "features": [], "reason": reason}


def shortcut_line(found: Mapping[str, Any]) -> str:
    """Returns the baseline's result in a line, or why there is none."""
    auc = found["auc"]
    if auc is None or auc["value"] is None:
        return describe_shortcuts(found)
    return f"AUC {auc['value']:.4f}{_limits(auc)} without looking at a cell, from its file alone; chance is .5"


def _limits(auc: Mapping[str, Any]) -> str:
    return "" if auc["low"] is None else f" ({auc['low']:.3f} to {auc['high']:.3f})"


def describe_shortcuts(found: Mapping[str, Any]) -> str:
    """Returns what the baseline says of the data, in words.

    Args:
        found: the entry of metrics.json.
    """
    auc = found["auc"]
    if auc is None or auc["value"] is None:
        reason = found["reason"] or "there are no cells of both classes"
        return f"No shortcut baseline, which guesses labels without looking at a cell: {reason}."
    text = f"without looking at a cell, from {', '.join(found['features'])}, labels are guessed with an AUC of {auc['value']:.3f}{_limits(auc)}"
    if auc["low"] is None or auc["low"] <= 0.5 <= auc["high"]:
        return f"No shortcut was found: {text}. That may be chance (.5)."
    return (
        f"These files give labels away: {text}; chance is .5. A part of that may be the parasite itself, as its image compresses less well; but how"
        " cells were picked, cut out and stored may also help the model, and such help is missing in other data."
    )
