"""The data report's chapters on the data, the cells, and the split."""

from malaria_exp.data.cell_table import CLASS_NAMES, POSITIVE, CellTable, count_cells
from malaria_exp.data.shards.shard_cache import ShardCache
from malaria_exp.data.split_manifest import EXCLUDED
from malaria_exp.data.subsets import Data
from malaria_exp.evaluation.plots import cells as cell_plots
from malaria_exp.evaluation.plots import data as data_plots
from malaria_exp.evaluation.plots.data import SUBSET_NAMES
from malaria_exp.evaluation.reports.data_report.page import Chapter, Section, Table
from malaria_exp.evaluation.reports.data_report.sample import Sample, groups_of, original_sizes, slides_known, slides_of_several

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
    section.add(
        data_plots.class_counts(count_cells(table.label, table.patient), patients_known=known, leaky=leaky),
        "classes",
        "Classes and patients" if known else "Classes",
        "All cells of the dataset. A patient is infected if any of the patient's cells is labeled parasitized.",
    )
    if known:
        section.add(
            data_plots.cells_per_patient(table.patient, table.label, leaky=leaky),
            "cells_per_patient",
            "Cells per patient",
            "Cells of one patient look alike, so many cells of a few patients tell less than as many cells of many patients.",
        )
    else:
        section.text.append("The patients are not known, so there are no counts by patient.")
    rule = data.pixel_cache.rule
    if isinstance(data.pixel_cache, ShardCache):
        section.text.append(f"The shards hold the cells resized to {rule.size} pixels; how large they were is not kept.")
    else:
        sizes, label, examples = original_sizes(table, sample)
        section.add(
            data_plots.cell_sizes(sizes, label, examples, rule.size, leaky=leaky),
            "cell_sizes",
            "Sizes",
            f"Height and width of {len(sizes):,} training cells before they are resized. Cells to the right of the dashed line lose pixels,"
            " cells to the left of it gain pixels by interpolation.",
        )
    return Chapter("The data", "data", [section])


def cells_chapter(data: Data, sample: Sample, *, samples: int, seed: int) -> Chapter:
    """Returns the chapter of the cells' pictures: grids, mean cells, stain."""
    leaky, known = data.manifest.leaky, data.manifest.patients_known
    size = sample.images.shape[1]
    grids = Section(
        text=[
            f"Training cells as the model sees them: {size} x {size} pixels, outside of the cell black. Nothing is smoothed: small pictures are"
            " enlarged by repeating pixels, and large ones shown as the averages of whole blocks of them."
        ]
    )
    for label in (POSITIVE, 1 - POSITIVE):
        places = sample.of_class(label, samples)
        if not len(places):
            continue
        chosen = "of as many patients as possible, whose names stand below" if known else "chosen at random"
        names = sample.patient[places].tolist() if known else [""] * len(places)
        grids.add(
            cell_plots.class_grid(sample.images[places], names, label, leaky=leaky),
            f"samples_{CLASS_NAMES[label]}",
            f"Cells labeled {CLASS_NAMES[label]}",
            f"{len(places):,} training cells, {chosen}.",
        )
    if known:
        grids.add(
            cell_plots.group_grid(groups_of(sample, sample.patient, seed), "Patient by patient", leaky=leaky),
            "samples_by_patient",
            "Patient by patient",
            "Each row is a patient; blue frames are uninfected cells, orange ones parasitized. Cells of a row share stain, light and focus,"
            " by which a model could recognize a patient.",
        )
    if slides_known(sample):
        several = slides_of_several(sample)
        remark = "Slides of patients with several come first." if len(several) else "No training patient has more than one slide."
        grids.add(
            cell_plots.group_grid(groups_of(sample, sample.slide, seed, several), "Slide by slide", leaky=leaky),
            "samples_by_slide",
            "Slide by slide",
            f"Each row is a slide; frames as above. {remark}",
        )
    else:
        grids.text.append("Slides are not known, so there is no grid by slide.")
    return Chapter("The cells", "cells", [grids, _averages(sample, patients_known=known, leaky=leaky)])


def _averages(sample: Sample, *, patients_known: bool, leaky: bool) -> Section:
    """Returns the section of mean cells and stain."""
    section = Section("Means and stain")
    section.add(
        cell_plots.mean_cells(sample.images, sample.label, leaky=leaky),
        "mean_cells",
        "The mean cell of each class",
        f"Over {len(sample):,} training cells of as many slides as possible, in steps of brightness from 0 to 255. Spread is the standard"
        " deviation at each pixel, averaged over the colors. Blue in the difference: parasitized cells are darker there. The two classes"
        " come from different patients and slides, so stain and size add to the difference.",
    )
    colors = cell_plots.cell_colors(sample.images)
    whose = "each patient's training cells" if patients_known else "each training cell, as patients are not known"
    section.add(
        cell_plots.stain_colors(colors, sample.label, sample.patient if patients_known else None, leaky=leaky),
        "stain",
        "Stain colors",
        f"The median color inside of a cell, averaged over {whose}; in CIELAB, where equal distances look equally large. Clusters may"
        " be laboratories, days or cameras. Where infected and healthy patients differ, a model may learn the stain instead of the parasite.",
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
        section.text.append("The patients are not known: any patient may have cells in several subsets.")
    elif crossing:
        section.text.append(f"{crossing:,} patients have cells in more than one subset.")
    else:
        section.text.append("No patient has cells in more than one subset.")
    unused = int((manifest.subset == EXCLUDED).sum())
    if unused:
        section.text.append(f"{unused:,} cells are in no subset.")
    columns = [key for key in COUNTED if known or key in ("cells", "parasitized", "uninfected")]
    rows: list[list[str | int]] = [[SUBSET_NAMES[name], *(row[key] for key in columns)] for name, row in counts.items()]
    section.tables.append(Table(f"Subsets of the split {manifest.protocol}", ["Subset", *(COUNTED[key] for key in columns)], rows))
    used = {SUBSET_NAMES[name]: row for name, row in counts.items() if row["cells"]}
    section.add(
        data_plots.split_bars(used, patients_known=known, leaky=manifest.leaky),
        "split",
        "What the split did",
        "Cells by class, and patients with and without parasites, in each subset; percentages are of all subsets together.",
    )
    if known:
        section.add(
            data_plots.split_patients(manifest),
            "split_patients",
            "Patients by subset",
            "Where subsets are alike, the three kinds of marks cover the same area. At the bottom are healthy patients.",
        )
    return Chapter("The split", "split", [section])
