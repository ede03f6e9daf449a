"""A run's detector of foreign images: fits it after training, and tells how many cells of a subset it warns of."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from malaria_exp.config.run_config import Config
from malaria_exp.data.subsets import Cells, Data
from malaria_exp.evaluation.ood import NONE, Detector, Features, FitPoints, fit_detector, warns
from malaria_exp.runs.train_model import build_choice
from malaria_exp.training.predict import in_batches
from malaria_exp.training.trainer_interface import Trained
from malaria_exp.utils.terminal_log import log

if TYPE_CHECKING:
    import keras

# Cells of a subset that a detector is fitted to at most, and a stream of random numbers of its own.
MOST_CELLS, STREAM = {"train": 1500, "val": 800}, 19


class FeatureReader:
    """Reads what a detector looks at of cells.

    Args:
        model: uncalibrated; images (B, size, size, 3) in [0, 1] to logits (B, 1).
        batch_size: cells in a call.
        taps: of the detector; chosen anew if not given.
    """

    def __init__(self, model: "keras.Model", batch_size: int, taps: tuple[int, ...] | None = None) -> None:
        import tensorflow as tf

        from malaria_exp.data.seeds import to_unit
        from malaria_exp.training.ood_features import choose_taps, features

        self.taps = chosen = choose_taps(model) if taps is None else taps
        self.batch_size = batch_size
        self._sizes: list[int] = []

        @tf.function(autograph=False)
        def call(images: "tf.Tensor") -> "tf.Tensor":
            _, found = features(model, chosen, to_unit(images))
            self._sizes = [int(values.shape[1]) for values in found]
            return tf.concat(found, axis=1)

        self._call = call

    def __call__(self, cells: Cells) -> list[np.ndarray]:
        """Returns the features of each part, float32 (N, D)."""
        found = in_batches(self._call, cells, self.batch_size)
        return np.split(found, np.cumsum(self._sizes)[:-1], axis=1)


@dataclass(frozen=True, eq=False)
class ForeignCells:
    """A detector beside what reads the features it looks at."""

    detector: Detector
    reader: FeatureReader

    def count(self, cells: Cells, patient: np.ndarray) -> dict[str, Any]:
        """Returns what metrics.json says of a subset: how many of its cells do not look like the training data, and in what respect.

        Args:
            cells: the subset.
            patient: of each cell of the manifest.

        Returns:
            {"warned": fraction of the cells, "parts": {part: fraction}, "patients": {patient: fraction of its cells}}.
        """
        found = warns(self.detector.scores(self.reader(cells)))
        warned = np.asarray(found.any(axis=1))
        names = patient[cells.rows]
        return {
            "warned": float(warned.mean()),
            "parts": {part.words: float(fraction) for part, fraction in zip(self.detector.parts, found.mean(axis=0), strict=True)},
            "patients": {str(name): float(warned[names == name].mean()) for name in np.unique(names)},
        }


def fit_ood(config: Config, data: Data, trained: Trained) -> ForeignCells | None:
    """Fits the run's detector to some of its training and validation cells; None for ood=none, or with too few cells."""
    choice = config.one("ood")
    if choice.name == NONE:
        return None
    found = fit_on(FeatureReader(trained.model, config.evaluation.batch_size), choice.name, build_choice(choice), data, config.seed)
    if found is None:
        log.info(f"ood       none: too few cells to fit {choice.name}")
        return None
    false = found.detector.false_warnings
    warning = "" if false is None else f"; warns of {false:.1%} of left-out validation patients' cells"
    log.info(f"ood       {choice.name} in {len(found.detector.parts)} respects{warning}")
    return found


def fit_on(reader: FeatureReader, name: str, fit: FitPoints, data: Data, seed: int) -> ForeignCells | None:
    """Fits a detector to some training and validation cells; None if there are too few.

    Args:
        reader: of the trained model.
        name: of the option.
        fit: what it built.
        data: the split.
        seed: the run's.
    """
    from malaria_exp.training.ood_features import parts_of

    draw, patient = np.random.default_rng([seed, STREAM]), data.manifest.patient
    subsets = (data.training()[0], data.open("val", "fit the detector of foreign images"))
    chosen = [_some(cells, patient, draw) for cells in subsets]
    train, val = (Features(reader(cells), patient[cells.rows]) for cells in chosen)
    detector = fit_detector(name, fit, parts_of(reader.taps), reader.taps, train, val, seed)
    return ForeignCells(detector, reader) if detector else None


def open_detector(model: "keras.Model", detector: Detector | None, batch_size: int) -> ForeignCells | None:
    """Returns the detector of a saved run, ready for cells; None if it has none.

    Args:
        model: the run's, uncalibrated.
        detector: as it was read.
        batch_size: cells in a call.
    """
    return ForeignCells(detector, FeatureReader(model, batch_size, detector.taps)) if detector else None


def _some(cells: Cells, patient: np.ndarray, draw: np.random.Generator) -> Cells:
    """Draws at most MOST_CELLS of a subset, of each patient as many, where there are so many."""
    order = draw.permutation(len(cells))
    # The place of each cell among those of its patient, in the drawn order.
    names = patient[cells.rows[order]]
    by_name = np.argsort(names, kind="stable")
    starts = np.flatnonzero(np.append(True, names[by_name][1:] != names[by_name][:-1]))
    place = np.empty(len(cells), np.int64)
    place[by_name] = np.arange(len(cells)) - np.repeat(starts, np.diff(np.append(starts, len(cells))))
    chosen = np.sort(order[np.argsort(place, kind="stable")[: MOST_CELLS[cells.subset]]])
    return Cells(cells.subset, cells.rows[chosen], cells.labels[chosen], cells.pixel_cache)
