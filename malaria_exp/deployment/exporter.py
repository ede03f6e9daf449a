"""Writing the models of a bundle: each scores cells as Keras does before it counts."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import numpy as np

from malaria_exp.deployment.bundle import ExportedModel, Format, Numbers, content_hash, file_name
from malaria_exp.deployment.deployed_model import OOD, SCORE, CellScores, ModelFacts
from malaria_exp.deployment.export_table import Row, latencies
from malaria_exp.deployment.formats import Writer, open_runner
from malaria_exp.deployment.open_model import KerasModel
from malaria_exp.deployment.parity import CheckCells, batches, compare_scores, scores_of
from malaria_exp.runs.saved_model import SavedModel
from malaria_exp.utils.errors import ConfigError, DataError
from malaria_exp.utils.terminal_log import log

# Whatever a run has computed in: half of its digits are not in every runtime.
EXPORTED: Literal["float32"] = "float32"
# The fraction of raw images whose score may differ by more than the tolerance: where a pixel lies halfway between two levels, the last bit
# decides which one it becomes.
ROUNDED_OTHERWISE = 0.01
# The fraction of cells that the detector may warn of otherwise than in Keras, beyond those with an OOD score as near to 1 as this: the limits
# are OOD scores of validation cells themselves.
WARNED_OTHERWISE: dict[Numbers, float] = {"float32": 0.01, "int8": 0.1}
NEAR_LIMIT = 0.02


class Exporter:
    """Writes models into a bundle, and compares each with Keras before it counts.

    Args:
        folder: of the bundle.
        facts: of the run.
        saved: its model in float32.
        cells: by which exports are checked.
        training: cells by which int8 models are calibrated.

    Attributes:
        expected: Keras' scores of the cells, (N,).
        rows: of the table.
        models: written so far.
    """

    def __init__(self, folder: Path, facts: ModelFacts, saved: SavedModel, cells: CheckCells, training: Sequence[np.ndarray]) -> None:
        from malaria_exp.deployment.served_model import ServedModel

        self._folder, self._facts, self._cells = folder, facts, cells
        self._writer = Writer(ServedModel(saved), training)
        keras = self._score(saved)
        self.expected, self._foreign = keras.score, most_foreign(keras.ood)
        self.rows: list[Row] = []
        self.models: list[ExportedModel] = []
        self.add_keras(saved, EXPORTED)

    def add_keras(self, saved: SavedModel, numbers: str) -> None:
        """Adds a row of a Keras model."""
        parity = compare_scores(self._score(saved).score, self._cells, self.expected, self._facts.thresholds)
        model = KerasModel(self._facts, saved)
        self.rows.append(Row("keras", numbers, None, parity, latencies(lambda _: model, self._cells.prepared, (0,))))

    def _score(self, saved: SavedModel) -> CellScores:
        model = KerasModel(self._facts, saved)
        parts = [model(part) for part in batches(self._cells.prepared)]
        return CellScores(np.concatenate([part.score for part in parts]), np.concatenate([part.ood for part in parts]))

    def add(self, name: Format, numbers: Numbers, tolerance: float) -> None:
        """Writes a model; a DataError if it cannot be written or says something else than Keras."""
        log.info(f"export    {name} {numbers}")
        cells, path = self._cells, self._folder / file_name(name, numbers)
        try:
            self._writer.write(name, numbers, path)
            run = open_runner(name, path, 0)
            found = [run(part) for part in batches(cells.prepared)]
            same_pixels = np.abs(np.concatenate([part[SCORE][:, 0] for part in found]) - self.expected)
            foreign = np.concatenate([most_foreign(part[OOD]) for part in found]) if self._facts.ood else self._foreign
            raw = np.concatenate([scores_of(run, image[None]) for image in cells.images])
        except (ConfigError, OSError):
            raise
        except Exception as error:  # each converter and runtime raises its own
            raise DataError(f"task.formats: '{name}' cannot be written of this model: {' '.join(str(error).split())[:500]}") from error
        parity = compare_scores(raw, cells, self.expected, self._facts.thresholds)
        # A score that is no number is within no tolerance.
        off = np.mean(~(np.abs(raw - self.expected) <= tolerance))
        if not (same_pixels.max() <= tolerance and off <= ROUNDED_OTHERWISE):
            key = "tolerance" if numbers == EXPORTED else "int8_tolerance"
            raise DataError(
                f"task.formats: the model as '{name}', {numbers}, does not say what Keras says: scores of {cells.words} differ by up to"
                f" {same_pixels.max():.2g}, and by {parity.largest_difference:.2g} where it resizes them itself; task.{key} is {tolerance:g}."
                f" Nothing was written. Leave it out, or accept the difference: task.{key}=..."
            )
        far = np.abs(foreign - self._foreign) > NEAR_LIMIT
        if (otherwise := np.mean(far & ((foreign > 1) != (self._foreign > 1)))) > WARNED_OTHERWISE[numbers]:
            raise DataError(
                f"task.formats: the model as '{name}', {numbers}, warns of foreign images otherwise than Keras for {otherwise:.1%} of {cells.words};"
                f" at most {WARNED_OTHERWISE[numbers]:.0%} may differ. Nothing was written. Leave it out."
            )
        files = [path] if path.is_file() else [item for item in path.rglob("*") if item.is_file()]
        size = sum(item.stat().st_size for item in files)
        threads = (0,) if name == "saved_model" else (1, 0)
        times = latencies(lambda count: open_runner(name, path, count), cells.prepared, threads)
        self.rows.append(Row(name, numbers, size, parity, times))
        self.models.append(ExportedModel(name, numbers, path.name, content_hash(path), size, **asdict(parity)))


def most_foreign(ood: np.ndarray) -> np.ndarray:
    """Returns the largest of each cell's OOD scores, (N,), of (N, P); 0 without a detector. Above 1 the detector warns."""
    return np.asarray(ood.max(axis=1, initial=0))
