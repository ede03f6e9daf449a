"""The cells that are explained: a run's own, read as its evaluation read them, or images that are given."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from malaria_exp.config.run_config import Config
from malaria_exp.data.cell_table import BadImageError, CellTable, parasites_of
from malaria_exp.data.decode import decode
from malaria_exp.data.resize import ResizeRule, resize
from malaria_exp.deployment.explanations.chosen_cells import Settings, choose
from malaria_exp.deployment.explanations.explained_model import ExplainedModel
from malaria_exp.deployment.explanations.pointing_game import Target
from malaria_exp.deployment.explanations.sheet import ShownCell
from malaria_exp.deployment.image_sources import open_images
from malaria_exp.evaluation.predictions import Predictions
from malaria_exp.runs.finished_runs import FinishedRun
from malaria_exp.runs.load_data import load_table
from malaria_exp.runs.read_files import read_predictions
from malaria_exp.utils.errors import ConfigError, DataError

MOST_IMAGES = 200


@dataclass(frozen=True, eq=False)
class Cells:
    """The cells to explain, group by group, and those of the pointing game with their patients."""

    groups: dict[str, list[ShownCell]]
    targets: list[Target]
    patients: list[str]
    where: str

    @property
    def shown(self) -> list[ShownCell]:
        """All cells of the groups, in order."""
        return [cell for cells in self.groups.values() for cell in cells]


def chosen_cells(config: Config, run: FinishedRun, rule: ResizeRule, threshold: float, settings: Settings) -> Cells:
    """Returns cells of the run's own predictions, read as its evaluation read them."""
    scored = read_predictions(run.path)
    subset = settings.subset or scored.subsets[-1]
    if subset not in scored.subsets:
        raise ConfigError(
            f"task.subset: the run has no scores of '{subset}' (its test subset stayed sealed). It has: {', '.join(scored.subsets)}."
        )
    predictions = scored.select(subset)
    table = load_table(config, run.dataset_choice)
    read = _reader(table, run, predictions)
    groups = choose(predictions, threshold, errors=settings.errors, doubtful=settings.doubtful, random=settings.random, seed=config.seed)
    if not groups:
        raise ConfigError("task.errors, task.doubtful, task.random: all are 0 or find no cell; give one of them at least 1.")

    def shown(row: int) -> ShownCell:
        image, parasites = read(row)
        cell = str(predictions.cell_id[row])
        about = {"patient": str(predictions.patient[row]), "label": int(predictions.label[row]), "parasites": parasites}
        return ShownCell.of(cell, image, rule, float(predictions.score[row]), **about)

    by_name = {group.name: [shown(row) for row in group.rows] for group in groups}
    targets: list[Target] = []
    patients: list[str] = []
    if any(cell.parasites is not None for cells in by_name.values() for cell in cells):
        for row in _found(predictions, threshold, config.seed):
            if len(targets) == settings.point:
                break
            image, parasites = read(row)
            if parasites is not None and parasites.any():
                targets.append(Target(image, parasites))
                patients.append(str(predictions.patient[row]))
    return Cells(by_name, targets, patients, f"{len(predictions):,} {subset} cells of {table.name}")


def _found(predictions: Predictions, threshold: float, seed: int) -> Iterator[int]:
    """Yields the rows of found parasitized cells in an order that the seed draws."""
    rows = np.flatnonzero((predictions.label == 1) & (predictions.score >= threshold))
    yield from np.random.default_rng([seed, 1]).permutation(rows).tolist()


def _reader(table: CellTable, run: FinishedRun, predictions: Predictions) -> Callable[[int], tuple[np.ndarray, np.ndarray | None]]:
    """Returns what reads, by row of the predictions, a cell at its own size, and where its parasites are."""
    row_of = {cell: row for row, cell in enumerate(table.cell_id.tolist())}
    content = dict(zip(run.manifest.cell_id.tolist(), run.manifest.content.tolist(), strict=True))

    def read(row: int) -> tuple[np.ndarray, np.ndarray | None]:
        cell = str(predictions.cell_id[row])
        own = row_of.get(cell)
        if own is None or table.content[own] != content.get(cell):
            raise DataError(f"run: the data is no longer what '{run.path}' was scored on: the cell '{cell}' is missing or another.")
        try:
            return table.source.read(own), parasites_of(table.source, own)
        except BadImageError as error:
            raise DataError(f"run: the image of the cell '{cell}' cannot be read: {error}.") from None

    return read


def given_cells(config: Config, rule: ResizeRule, model: ExplainedModel) -> Cells:
    """Returns the images that `images` names."""
    with open_images(config.images or "") as images:
        if len(images.names) > MOST_IMAGES:
            raise ConfigError(
                f"images: {len(images.names):,} images; task=explain takes at most {MOST_IMAGES}. Name those you want to look at."
            )
        pixels = []
        for number, name in enumerate(images.names):
            try:
                pixels.append(decode(images.read(number)))
            except BadImageError as error:
                raise DataError(f"images: '{name}' cannot be used: {error}.") from None
    scores = model.score(np.stack([resize(image, rule) for image in pixels]))
    cells = [ShownCell.of(name, image, rule, float(score)) for name, image, score in zip(images.names, pixels, scores, strict=True)]
    return Cells({"images": cells}, [], [], "images given")
