"""The chapters of the picture book on the data, the cells, and the split."""

from malaria_exp.components.task._explore_book_cells import Sample, groups_of, original_sizes, slides_known, slides_of_several
from malaria_exp.components.task._explore_book_page import Chapter, Picture, Section, Table
from malaria_exp.data.cell_table import CLASS_NAMES, POSITIVE, CellTable, count_cells
from malaria_exp.data.shards.shard_cache import ShardCache
from malaria_exp.data.split_manifest import EXCLUDED
from malaria_exp.data.subsets import Data
from malaria_exp.evaluation.plots import cells as cell_plots
from malaria_exp.evaluation.plots import data as data_plots
from malaria_exp.evaluation.plots.data import SUBSET_NAMES
from malaria_exp.evaluation.plots.style import png_bytes

COUNTED = {
    "patients": "Patients",
    "infected_patients": "infected",
    "healthy_patients": "healthy",
    "cells": "Cells",
    "parasitized": "parasitized",
    "uninfected": "uninfected",
}


def data_chapter(table: CellTable, data: Data, sample: Sample) -> Chapter:
    """Returns the chapter of counts and sizes."""
    leaky, known = data.manifest.leaky, not table.unknown_patients
    section = Section()
    figure = data_plots.class_counts(count_cells(table.label, table.patient), patients_known=known, leaky=leaky)
    section.pictures.append(
        Picture(
            "classes",
            "Classes" if not known else "Classes and patients",
            "All cells of the dataset. A patient is infected if any cell of theirs is labeled parasitized.",
            png_bytes(figure),
        )
    )
    if known:
        figure = data_plots.cells_per_patient(table.patient, table.label, leaky=leaky)
        section.pictures.append(
            Picture(
                "cells_per_patient",
                "Cells per patient",
                "Cells of one patient look alike, so a few large patients count for less than their cells do.",
                png_bytes(figure),
            )
        )
    else:
        section.text.append("Nobody knows whose cells these are, so there are no counts by patient.")
    if isinstance(data.pixel_cache, ShardCache):
        section.text.append(f"The shards hold the cells brought to {data.pixel_cache.rule.size} pixels; how large they were is not kept.")
    else:
        sizes, label, examples = original_sizes(table, sample)
        figure = data_plots.cell_sizes(sizes, label, examples, data.pixel_cache.rule.size, leaky=leaky)
        section.pictures.append(
            Picture(
                "cell_sizes",
                "Sizes",
                f"Height and width of {len(sizes):,} training cells before they are brought to one size. To the right of the dashed line pixels"
                " are lost, to the left they are invented.",
                png_bytes(figure),
            )
        )
    return Chapter("The data", "data", [section])


def cells_chapter(data: Data, sample: Sample, *, samples: int, seed: int) -> Chapter:
    """Returns the chapter of the cells' pictures: grids, mean cells, stain."""
    leaky, known = data.manifest.leaky, data.manifest.patients_known
    size = sample.images.shape[1]
    grids = Section(
        text=[
            f"Training cells as the net sees them: {size} x {size} pixels, outside of the cell black. Nothing is smoothed: small pictures are"
            " enlarged by repeating pixels, and large ones shown as the averages of whole blocks of them."
        ]
    )
    for label in (POSITIVE, 1 - POSITIVE):
        places = sample.of_class(label, samples)
        if len(places):
            figure = cell_plots.class_grid(
                sample.images[places], sample.patient[places].tolist() if known else [""] * len(places), label, leaky=leaky
            )
            of_people = "of as many patients as possible, whose names stand below" if known else "drawn at random"
            caption = f"{len(places):,} training cells, {of_people}."
            grids.pictures.append(
                Picture(f"samples_{CLASS_NAMES[label]}", f"Cells labeled {CLASS_NAMES[label]}", caption, png_bytes(figure))
            )
    if known:
        figure = cell_plots.group_grid(groups_of(sample, sample.patient, seed), "Patient by patient", leaky=leaky)
        grids.pictures.append(
            Picture(
                "samples_by_patient",
                "Patient by patient",
                "Each row is a patient; blue frames are uninfected cells, orange ones parasitized. Cells of a row share stain, light and focus:"
                " what a net could know a patient by.",
                png_bytes(figure),
            )
        )
    if slides_known(sample):
        several = slides_of_several(sample)
        figure = cell_plots.group_grid(groups_of(sample, sample.slide, seed, several), "Slide by slide", leaky=leaky)
        remark = "Slides of patients with several come first." if len(several) else "No training patient has more than one slide."
        caption = f"Each row is a slide; frames as above. {remark}"
        grids.pictures.append(Picture("samples_by_slide", "Slide by slide", caption, png_bytes(figure)))
    else:
        grids.text.append("Slides are not known, so there is no grid by slide.")
    return Chapter("The cells", "cells", [grids, _averages(sample, patients_known=known, leaky=leaky)])


def _averages(sample: Sample, *, patients_known: bool, leaky: bool) -> Section:
    """Returns the section of mean cells and stain."""
    section = Section("Means and stain")
    section.pictures.append(
        Picture(
            "mean_cells",
            "The mean cell of each class",
            f"Over {len(sample):,} training cells of as many slides as possible, in steps of brightness from 0 to 255. Spread is the standard"
            " deviation at each pixel, averaged over the colors. Blue in the difference: parasitized cells are darker there. Other people and"
            " slides stand behind one class than behind the other, so stain and size have their part in it.",
            png_bytes(cell_plots.mean_cells(sample.images, sample.label, leaky=leaky)),
        )
    )
    colors = cell_plots.cell_colors(sample.images)
    people = sample.patient if patients_known else None
    figure = cell_plots.stain_colors(colors, sample.label, people, leaky=leaky)
    whose = "each patient's training cells" if patients_known else "each training cell, as patients are not known"
    section.pictures.append(
        Picture(
            "stain",
            "Stain colors",
            f"The median color inside of a cell, averaged over {whose}; in CIELAB, where equal distances look equally large. Clusters may"
            " be laboratories, days or cameras. Where infected and healthy people differ, a net may learn the stain instead of the parasite.",
            png_bytes(figure),
        )
    )
    return section


def split_chapter(data: Data) -> Chapter:
    """Returns the chapter of what the split did: counts of all subsets, no picture of any cell."""
    manifest = data.manifest
    known, counts = manifest.patients_known, manifest.counts()
    section = Section()
    if manifest.protocol == "none":
        section.text.append("No split was made.")
    crossing = len(manifest.crossing_patients)
    if not known:
        section.text.append("Whose cells these are is not known: any patient may stand in several subsets.")
    elif crossing:
        section.text.append(f"{crossing:,} patients have cells in more than one subset.")
    else:
        section.text.append("No patient has cells in more than one subset.")
    unused = int((manifest.subset == EXCLUDED).sum())
    if unused:
        section.text.append(f"{unused:,} cells stand in no subset.")
    columns = [key for key in COUNTED if known or key in ("cells", "parasitized", "uninfected")]
    rows: list[list[str | int]] = [[SUBSET_NAMES[name], *(row[key] for key in columns)] for name, row in counts.items()]
    section.tables.append(Table(f"Subsets of the split {manifest.protocol}", ["Subset", *(COUNTED[key] for key in columns)], rows))
    used = {SUBSET_NAMES[name]: row for name, row in counts.items() if row["cells"]}
    section.pictures.append(
        Picture(
            "split",
            "What the split did",
            "Cells by class, and people with and without parasites, in each subset; percentages are of all subsets together.",
            png_bytes(data_plots.split_bars(used, patients_known=known, leaky=manifest.leaky)),
        )
    )
    if known:
        section.pictures.append(
            Picture(
                "split_patients",
                "Patients by subset",
                "Where subsets are alike, the three kinds of marks cover the same area. At the bottom are healthy people.",
                png_bytes(data_plots.split_patients(manifest)),
            )
        )
    return Chapter("The split", "split", [section])
