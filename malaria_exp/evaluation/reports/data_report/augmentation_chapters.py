"""The data report's chapters on augmentation: every option by itself, and a batch after the run's whole chain."""

from typing import Any

import numpy as np

from malaria_exp.config.durations import RunLength
from malaria_exp.config.registry import build, options
from malaria_exp.config.run_config import Config
from malaria_exp.data.augmentation_chain import Augmentation, Chain
from malaria_exp.data.open_batches import training_batches
from malaria_exp.data.subsets import Cells, Data
from malaria_exp.evaluation.plots import augmentation as plots
from malaria_exp.evaluation.reports.data_report.augmentation_trials import Subjects, TriedOption
from malaria_exp.evaluation.reports.data_report.page import Chapter, Section, Table
from malaria_exp.evaluation.reports.data_report.sample import Sample
from malaria_exp.utils.errors import UserError
from malaria_exp.utils.progress_bars import track

TREATED, MIXED = 8, 16
MOST_OF_BATCH = 96


def augmentation_chapters(
    config: Config, data: Data, cells: Cells, sample: Sample, chain: list[Augmentation], *, others: bool
) -> tuple[Chapter, Chapter]:
    """Returns the chapters of all augmentations one by one, and of the first training batch.

    Args:
        config: of the run.
        data: its subsets.
        cells: the training cells.
        sample: of them.
        chain: the run's augmentations, built.
        others: augmentations that the run does not use are shown, too.
    """
    trainer = config.one("trainer")
    epochs = build("trainer", trainer.name, trainer.params).settings.epochs
    batch, length = _batch_chapter(config, data, cells, chain, epochs)
    return _options_chapter(config, sample, length, leaky=data.manifest.leaky, others=others), batch


def _options_chapter(config: Config, sample: Sample, length: RunLength, *, leaky: bool, others: bool) -> Chapter:
    """Returns the chapter with a section for each option; the run's own come first, with the run's parameters."""
    own = {choice.name: choice.params for choice in config.choices["aug"] if choice.name != "none"}
    helps = {name: text for name, text in options("aug").items() if name != "none"}
    few, more = (_subjects(config, sample, length, number) for number in (TREATED, MIXED))
    sections, missing = [], []
    rest = sorted(set(helps) - set(own)) if others else []
    then = ", then all others with their defaults" if others else "; task.others=true shows all others, too"
    intro = Section(
        text=[f"Each option by itself, on the same training cells: first those of this run's chain with the run's parameters{then}."]
    )
    for name in track([*own, *rest], "trying augmentations", total=len(own) + len(rest)):
        try:
            trial, of_more = (TriedOption(name, own.get(name, {}), subjects) for subjects in (few, more))
        except UserError as error:
            missing.append([name, " ".join(str(error).split())])
            continue
        title = f"{name} (in this run's chain)" if name in own else name
        section = Section(title, code="   ".join(f"{key}={_plain(value)}" for key, value in trial.params.items()), text=[helps[name]])
        _draw_option(section, trial, of_more, leaky=leaky)
        sections.append(section)
    if missing:
        sections.append(Section("Not shown", tables=[Table("Options that could not be built", ["Option", "Why"], missing)]))
    return Chapter("Every augmentation" if others else "This run's augmentations", "augmentation", [intro, *sections])


def _subjects(config: Config, sample: Sample, length: RunLength, number: int) -> Subjects:
    places = sample.batch(number)
    # The same pixels as in training; see batches.to_unit.
    images = sample.images[places].astype(np.float32) * np.float32(1 / 255)
    return Subjects(images, sample.label[places].astype(np.float32), length, config.seed)


def _draw_option(section: Section, trial: TriedOption, of_more: TriedOption, *, leaky: bool) -> None:
    """Adds an option's pictures: before and after, mixed pairs (found among more cells), series over the values of its keys."""
    name, before, mixes = trial.name, trial.subjects, trial.changes_labels()
    caption = "The same training cells above, and what several random draws made of them."
    if trial.chain.copies > 1:
        caption = f"An epoch holds each cell {trial.chain.copies} times; each copy is treated in a way of its own."
    if mixes:
        caption += " Bars and numbers are labels; the orange fraction of a bar is parasitized."
    original = plots.Draw("original", before.images, before.labels)
    figure = plots.before_after(f"{name}: before and after", original, trial.draws, labeled=mixes, leaky=leaky)
    section.add(figure, f"aug_{name}", f"{name}, before and after", caption)
    pairs, weights = of_more.pairs() if mixes else ([], np.zeros(0))
    if pairs:
        section.add(
            plots.mixed_pairs(f"{name}: who is mixed with whom, and how much", pairs, leaky=leaky),
            f"mixed_{name}",
            f"{name}, pair by pair",
            "A cell, its partner, and the mixed cell with its label; below it, the fractions of both in the label. Of some batches the most"
            " evenly mixed pairs are shown, those of unlike labels first.",
        )
        section.add(
            plots.partner_weights(f"{name}: partners' fractions", weights, leaky=leaky),
            f"weights_{name}",
            f"{name}, fractions of labels",
            "How much of a cell's label comes from its partner, over all pairs of these batches; 0 is a cell that was left as it is.",
        )
    if series := trial.series():
        sure = ", with p=1 where p itself does not change" if "p" in trial.params else ""
        section.add(
            plots.value_series(f"{name}: one key at a time", series, labeled=mixes, leaky=leaky),
            f"sweep_{name}",
            f"{name}, stronger and stronger",
            f"One training cell and one seed; along a row only the key in front of it changes{sure}. The value marked (set) is the one above.",
        )


def _batch_chapter(config: Config, data: Data, cells: Cells, chain: list[Augmentation], epochs: int) -> tuple[Chapter, RunLength]:
    """Returns the chapter, and the length of the run."""
    choice = config.one("sampling")
    sampling = build("sampling", choice.name, choice.params, *data.training_labels())

    def first(augmentations: list[Augmentation]) -> tuple[list[np.ndarray], RunLength]:
        # No pixels are held in memory but those of the batch; they are the same however cells are read.
        batches = training_batches(
            cells,
            batch_size=config.batch_size,
            augmentations=augmentations,
            seed=config.seed,
            resident_gb=0,
            sampling=sampling,
            epochs=epochs,
        )
        with batches.reading():
            return [part.numpy()[:MOST_OF_BATCH] for part in next(iter(batches.dataset()))], batches.length

    (images, labels, *rest), length = first(chain)
    leaky = data.manifest.leaky
    names = ", then ".join(choice.name for choice in config.choices["aug"])
    size = min(config.batch_size, len(cells))
    shown = f"the first {len(images)} of its {size:,} cells" if len(images) < size else f"its {size:,} cells"
    section = Section(
        text=[
            f"The first batch of this run's training, {shown}, after the whole chain: {names}. Bars and numbers are labels; the orange"
            " fraction of a bar is parasitized."
        ]
    )
    if rest:
        section.text.append(f"Cells are weighted (sampling={choice.name}).")
    if chain and Chain(chain).copies == 1 and names != "none":
        (before, old_labels, *_), _ = first([])
        figure = plots.batch("Before augmentation", before, old_labels[:, 0], leaky=leaky)
        section.add(figure, "batch_before", "The batch before augmentation", "The same cells, in the same places.")
    figure = plots.batch("A training batch", images, labels[:, 0], rest[0] if rest else None, leaky=leaky)
    section.add(figure, "batch", "A training batch", "What the model is trained on in its first step.")
    return Chapter("A training batch", "batch", [section]), length


def _plain(value: Any) -> str:
    return "null" if value is None else str(value)
