"""Scoring new images with a finished model, into a run folder: predictions.csv, patients.csv, summary.json and a page."""

import hashlib
import io
from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from PIL import Image

from malaria_exp.config.registry import check_params
from malaria_exp.config.run_config import Config
from malaria_exp.config.run_files import MODEL_FILE, OOD_FILE
from malaria_exp.config.validation import Range
from malaria_exp.data.cell_table import BadImageError
from malaria_exp.data.decode import decode
from malaria_exp.data.resize import ResizeRule, resize
from malaria_exp.deployment.deployed_model import DeployedModel, ModelFacts
from malaria_exp.deployment.explanations.draw_one import Drawer, map_drawer
from malaria_exp.deployment.image_sources import NewImages, open_images
from malaria_exp.deployment.local_model import local_model
from malaria_exp.deployment.prediction_counts import Counts, Patients, parasitemia
from malaria_exp.deployment.prediction_page import render_page
from malaria_exp.deployment.predictions_file import PART, TRAINED_ON, PartFile, columns, read_rows, to_row
from malaria_exp.deployment.score_images import Decode, score_images
from malaria_exp.deployment.trained_on import read_guard
from malaria_exp.evaluation.intervals.interval_interface import MEANS_OF_PATIENTS
from malaria_exp.runs import provenance
from malaria_exp.runs.read_files import METRICS, PREDICTIONS, PROVENANCE, SPLIT, read_metrics
from malaria_exp.runs.run_folder import RunFolder
from malaria_exp.runs.saved_model import MODEL_RECORD
from malaria_exp.runs.storage import open_storage
from malaria_exp.utils.atomic_files import write_csv, write_json, write_text
from malaria_exp.utils.errors import ConfigError
from malaria_exp.utils.filesystems import file_sha256
from malaria_exp.utils.http import public_url
from malaria_exp.utils.progress_bars import progress_bar
from malaria_exp.utils.terminal_log import log

REPORT, SUMMARY, PATIENTS = "report.html", "summary.json", "patients.csv"
RESEARCH = "For research. No model of this program is a medical device: what it says of a cell is no diagnosis of a patient."
NO_DETECTOR = (
    "The model has nothing that tells cells like those it was trained on from other pictures (ood=none): it scores whatever it is given, also what"
    " is no blood cell."
)
Pictures = Annotated[int, Range(low=0, high=500)]


@dataclass(frozen=True)
class Settings:
    """The keys of task=predict.

    Attributes:
        parts: so many jobs share the images.
        part: which of them this one is, from 0.
        patients: whose cells the images are.
        pictures: cells in each group of the page.
        explain: of these, so many have a map.
        method: how maps are made, an option of the group `explanation`.
    """

    parts: int
    part: int
    patients: Patients
    pictures: int
    explain: int
    method: str

    @classmethod
    def of(cls, config: Config) -> "Settings":
        """Returns the settings of a configuration; raises a ConfigError."""
        task = config.one("task")
        found = cls(**check_params("task", task.name, task.params))
        if found.part >= found.parts:
            raise ConfigError(
                f"task.part: expected 0 to {found.parts - 1}, as task.parts={found.parts}; received {found.part}. All of them:"
                f" -m task=predict task.parts={found.parts} 'task.part=range({found.parts})'"
            )
        return found

    def numbers(self, images: int, batch_size: int) -> range:
        """Returns the numbers of this part's images: whole batches, so that parts compute what one job would."""
        batches = -(-images // batch_size)
        start, end = (batches * part // self.parts * batch_size for part in (self.part, self.part + 1))
        return range(start, min(end, images))


def predict_images(config: Config, folder: RunFolder, overrides: list[str]) -> None:
    """Scores the images of `config.images` with the run or bundle of `config.run`; goes on where a killed job stopped.

    Raises:
        ConfigError: the run or the images are not given.
        DataError: there are no images.
        RunFolderError: there is no finished run, or what the folder holds was computed of something else.
    """
    settings, batch_size = Settings.of(config), config.evaluation.batch_size
    open_storage(config).check()
    source = model_folder(config)
    write_json(folder / PROVENANCE, provenance.collect(seed=config.seed, overrides=overrides))
    with open_images(images_of(config)) as images:
        from malaria_exp.deployment.open_model import open_model

        numbers = settings.numbers(len(images.names), batch_size)
        model = open_model(source)
        drawer = map_drawer(model, settings.method, config) if settings.explain else None
        identity = {
            "images": _hash(images.names),
            "model": [file_sha256(source / name) for name in (MODEL_RECORD, MODEL_FILE, OOD_FILE, SPLIT) if (source / name).is_file()],
            "numbers": [numbers.start, numbers.stop],
            "batch_size": batch_size,
        }
        guard = read_guard(model.facts)
        part = PartFile(folder.path, columns(model.facts), identity, batch_size)
        if part.done:
            log.info(f"resume    {part.done:,} of {len(numbers):,} images are scored already")
        try:
            score_into(part, model, images, numbers, batch_size=batch_size, workers=config.cache.workers, guard=guard)
            folder.facts |= write_results(folder.path, folder.path / PART, model.facts, images, numbers, config, drawer=drawer)
            part.finish()
        finally:
            part.close()


def score_into(
    part: PartFile, model: DeployedModel, images: NewImages, numbers: range, *, batch_size: int, workers: int, guard: Container[str]
) -> None:
    """Scores the images of these numbers that have no row yet, and writes their rows batch by batch; see `score_images`."""
    with progress_bar() as bar:
        task = bar.add_task("scoring", total=len(numbers), completed=part.done)
        decoder, left = images_decoder(images), numbers[part.done :]
        for batch in score_images(model, decoder, left, batch_size=batch_size, workers=workers, guard=guard):
            start = numbers.start + part.done
            part.append([to_row(model.facts, images.names[start + place], found) for place, found in enumerate(batch)])
            bar.advance(task, len(batch))


def write_results(
    folder: Path,
    path: Path,
    facts: ModelFacts,
    images: NewImages,
    numbers: range,
    config: Config,
    *,
    drawer: Drawer | None = None,
    shown_at: Path | None = None,
) -> dict[str, Any]:
    """Writes what predictions come to: summary.json, patients.csv where patients are known, and the page.

    Args:
        folder: to write to.
        path: of the predictions, which become predictions.csv.
        facts: of the model.
        images: all of them.
        numbers: of those that were predicted.
        config: of the job.
        drawer: of maps; None opens the model if any are asked for.
        shown_at: the folder's name for messages, where it is another one until it is whole.

    Returns:
        Plain values for status.json.
    """
    settings, decoded = Settings.of(config), images_decoder(images)
    if settings.explain and drawer is None:
        from malaria_exp.deployment.open_model import open_model

        drawer = map_drawer(open_model(facts.folder), settings.method, config)
    counts = Counts(facts, settings.patients, settings.pictures)
    for image in read_rows(path, facts, numbers.start):
        counts.add(image)
    together = counts.together(counts.all)
    metrics = read_metrics(facts.folder) if (facts.folder / METRICS).is_file() else {}
    rates = rates_of(metrics)
    patients = parasitemia(counts, config.evaluation.confidence, rates)
    if patients:
        write_csv(folder / PATIENTS, list(patients[0]), [list(row.values()) for row in patients])
    found = {"images": counts.images, "scored": counts.all.scored, "errors": counts.errors}
    thresholds = {
        name: asdict(threshold) | {"parasitized": counts.all.parasitized.get(name, 0)} for name, threshold in facts.thresholds.items()
    }
    write_json(
        folder / SUMMARY,
        found
        | {
            "unlike_training_data": counts.all.foreign if facts.ood else None,
            "trained_on": counts.trained_on,
            "together": asdict(together) if together else None,
            "thresholds": thresholds,
            "patients": len(counts.of_patient),
            "cells_of_known_patients": sum(cells.scored for cells in counts.of_patient.values()),
            "ignored_files": images.ignored,
            "run": str(facts.folder),
            "images_from": [public_url(one) for one in _as_list(images_of(config))],
        },
    )
    page = render_page(
        facts,
        counts,
        patients,
        lambda image, place: pictures_of(decoded, image.number, facts.rule, drawer if place < settings.explain else None),
        title="Predictions",
        leaky=bool(metrics.get("leaky")),
        confidence=config.evaluation.confidence,
        rates=rates,
        notes=[*_notes(facts, counts, images, numbers), *([together.words] if together else []), *([drawer.meaning] if drawer else [])],
    )
    write_text(folder / REPORT, page)
    first, threshold = next(iter(thresholds.items()))
    foreign = f"; {counts.all.foreign:,} do not look like the training data" if facts.ood else ""
    bad = f"; {counts.errors:,} files cannot be used" if counts.errors else ""
    log.info(
        f"predicted {counts.all.scored:,} cells, {threshold['parasitized']:,} of them parasitized at {first} = {threshold['value']:.3g}{foreign}{bad}"
    )
    if counts.trained_on:
        log.warning(f"trained   on {counts.trained_on:,} of these cells: {PREDICTIONS} has them in the column {TRAINED_ON}")
    if together:
        log.info(f"          {together.words}")
    log.info(f"          {(shown_at or folder) / PREDICTIONS}\n          {(shown_at or folder) / REPORT}")
    return found


def model_folder(config: Config) -> Path:
    """Returns the local folder of the run or bundle that `run` names; a ConfigError if it names none."""
    if config.run is None:
        raise ConfigError("run: missing; task=predict needs a finished run or a bundle: run=outputs/... images=...")
    return local_model(config.run, config.cache.path)


def images_decoder(images: NewImages) -> Decode:
    """Returns the function that reads and decodes an image by its number."""
    return lambda number: decode(images.read(number))


def rates_of(metrics: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """Returns, by threshold, the mean sensitivity and specificity over the test patients of metrics.json; empty where none were tested."""
    tested = metrics.get("subsets", {}).get("test", {"at": {}})["at"]
    rates = {name: [(at.get(mean) or {}).get("value") for mean in MEANS_OF_PATIENTS] for name, at in tested.items()}
    return {name: (float(found), float(cleared)) for name, (found, cleared) in rates.items() if found is not None and cleared is not None}


def images_of(config: Config) -> str | list[str]:
    """Returns what `images` names; a ConfigError if it names nothing."""
    if not config.images:
        raise ConfigError("images: missing; task=predict needs a file, folder, zip, list, pattern or URL: run=outputs/... images=cells.zip")
    return config.images


def _as_list(images: str | list[str]) -> list[str]:
    return [images] if isinstance(images, str) else images


def _notes(facts: ModelFacts, counts: Counts, images: NewImages, numbers: range) -> list[str]:
    notes = [RESEARCH]
    if facts.ood is None:
        notes.append(NO_DETECTOR)
    elif facts.ood.false_warnings is not None:
        notes.append(f"Of cells like those it was trained on, the model takes {facts.ood.false_warnings:.1%} for unlike them.")
    if counts.trained_on:
        notes.append(
            f"The model was trained on {counts.trained_on:,} of these cells. How it scores them says little of how it scores new cells:"
            f" leave them out by the column {TRAINED_ON} of {PREDICTIONS}."
        )
    if len(numbers) < len(images.names):
        notes.append(f"These are {len(numbers):,} of {len(images.names):,} images; other jobs have the others.")
    if images.ignored:
        notes.append(f"{images.ignored:,} files that do not end like images were not looked at.")
    known = sum(cells.scored for cells in counts.of_patient.values())
    if 0 < known < counts.all.scored:
        notes.append(f"The patient is known of {known:,} of {counts.all.scored:,} cells.")
    return notes


def pictures_of(decoded: Decode, number: int, rule: ResizeRule, drawer: Drawer | None = None) -> list[tuple[bytes, str]]:
    """Returns the pictures of an image for the page, PNG bytes and what they show; none of one that can no longer be read.

    With a drawer the second is its map.
    """
    try:
        pixels = resize(decoded(number), rule)
    except BadImageError:
        return []
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    found = [(out.getvalue(), "the cell as the model sees it")]
    if drawer is not None:
        found.append((drawer.draw(pixels), "the map of what speaks for parasitized, and what against"))
    return found


def _hash(names: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for name in names:
        digest.update(name.encode() + b"\n")
    return digest.hexdigest()
