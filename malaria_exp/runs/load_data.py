"""The data of a run: the dataset is read, decoded and split, and guarded against leaks."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from malaria_exp.config.registry import build, check_params
from malaria_exp.config.run_config import Choice, Config
from malaria_exp.data.bad_images import exclude_bad_images, total_images
from malaria_exp.data.cell_table import CLASS_NAMES, BadImage, CellTable, of_patients
from malaria_exp.data.pixel_cache import PixelCache, open_pixel_cache
from malaria_exp.data.resize import ResizeRule
from malaria_exp.data.split_manifest import Manifest, guard_against_leaks
from malaria_exp.data.subsets import Data
from malaria_exp.evaluation.subgroups.columns import subgroup_columns
from malaria_exp.runs.ensemble_members import member_folders, members_rule
from malaria_exp.runs.finished_runs import PARENT_SPLIT_FILE, read_parent_splits
from malaria_exp.runs.initial_weights import InitialWeights
from malaria_exp.runs.parent_leaks import guard_against_parent_runs, note_near_duplicates
from malaria_exp.runs.run_folder import RunFolder
from malaria_exp.utils.errors import ConfigError, DataError
from malaria_exp.utils.terminal_log import log


def names_dataset(overrides: Iterable[str]) -> bool:
    """Tells whether the user has named the data, of a task that else takes it from a run or needs none."""
    return any(item.lstrip("+").startswith(("dataset=", "dataset.")) for item in overrides)


def load_table(config: Config, choice: Choice | None = None) -> CellTable:
    """Reads or makes the table of a dataset, and tells the terminal what it holds.

    Args:
        config: the run's configuration.
        choice: another dataset than the configuration's, such as a parent run's.
    """
    choice = choice or config.one("dataset")
    table: CellTable = build("dataset", choice.name, choice.params, path=choice.path)
    counts = table.summary()
    health = "" if table.unknown_patients else f" ({counts['infected_patients']} infected, {counts['healthy_patients']} healthy)"
    log.info(
        f"dataset   {table.name}: {counts['cells']:,} cells ({counts['parasitized']:,} parasitized, {counts['uninfected']:,} uninfected)"
        f" {of_patients(counts, known=not table.unknown_patients)}{health}"
    )
    for note in table.remarks:
        log.warning(f"dataset   {note}")
    return table


def load_and_decode(config: Config, *, one_class: bool = False) -> tuple[CellTable, PixelCache, list[BadImage]]:
    """Reads the dataset and decodes its images, as only decoding shows which are bad.

    Args:
        config: the run's configuration.
        one_class: whether cells of a single class will do.

    Returns:
        The cells that can be used, their pixels, and the bad images.

    Raises:
        DataError: all cells are of one class, or the split needs patients that are not known, or the images cannot be used.
    """
    table = load_table(config)
    present = np.unique(table.label)
    if len(present) == 1:
        if one_class:
            return decode_images(config, table, resize_rule(config))
        raise DataError(
            f"dataset: all {len(table):,} cells of '{table.name}' are {CLASS_NAMES[present[0]]}, and from one class nothing can be learned."
            " Such cells can be looked at (task=explore), checked (task=verify), and scored by a finished run (task=evaluate run=outputs/...)."
        )
    policy = table.policy
    if table.unknown_patients > (policy.max_bad_fraction * total_images(table) if policy.on_bad_image == "skip" else 0):
        # Most splits need to know the patients. They say so now, and not after decoding, which takes longer; but if all of these cells
        # may yet turn out to be bad and be excluded, then the split of the others says it.
        build("split", config.one("split").name, config.one("split").params, table)
    return decode_images(config, table, resize_rule(config))


def decode_images(config: Config, table: CellTable, rule: ResizeRule) -> tuple[CellTable, PixelCache, list[BadImage]]:
    """Decodes and resizes the images of a table into the pixel cache; returns what `load_and_decode` returns."""
    pixel_cache = open_pixel_cache(table, rule, config.cache.path, config.cache.workers)
    return exclude_bad_images(table if pixel_cache.pixels is None else replace(table, pixels=pixel_cache.pixels), pixel_cache)


def resize_rule(config: Config) -> ResizeRule:
    """Returns how images are resized: to the size that the model takes."""
    choice = config.one("model")
    params = check_params("model", choice.name, choice.params)
    if not {"runs", "image_size"} & set(params):
        raise ConfigError(
            f"model: '{choice.name}' has no key image_size, to which images are resized. Every model needs the parameter image_size."
        )
    if "runs" not in params:
        return ResizeRule(params["image_size"], config.cache.resize)
    rule = members_rule(params["runs"])
    if rule.mode != config.cache.resize:
        raise ConfigError(
            f"cache.resize: received '{config.cache.resize}', but the runs of the ensemble were trained with '{rule.mode}'."
            f" Give cache.resize={rule.mode}."
        )
    return rule


def split(config: Config, table: CellTable, pixel_cache: PixelCache, folder: RunFolder, initial: InitialWeights | None) -> Data:
    """Splits the cells into training, validation and test, and guards against leaks.

    Args:
        config: the run's configuration.
        table: the cells.
        pixel_cache: their pixels, in the table's order.
        folder: the run's folder, for parent_split.csv.
        initial: the weights that training starts from, if it does.

    Raises:
        DataError: a column that evaluation.subgroups names makes no subgroups.
        LeakError: patients or images are in two subsets, or parent runs have learned from validation or test cells.
    """
    columns = subgroup_columns(table, config.evaluation.subgroups)
    choice = config.one("split")
    manifest: Manifest = build("split", choice.name, choice.params, table)
    guard_against_leaks(manifest, patients_may_cross=choice.name == "cell_level_leaky", allow_leak=config.allow_leak)
    parents = read_parent_splits(ensemble_run_folders(config) + ([initial.run] if initial and initial.run else []))
    manifest = guard_against_parent_runs(manifest, parents, allow_leak=config.allow_leak)
    manifest = note_near_duplicates(manifest, parents)
    if parents is not None:
        parents.write(folder / PARENT_SPLIT_FILE)
    if config.limit_cells is not None:
        manifest = manifest.limited(config.limit_cells, config.seed)
    known = manifest.patients_known
    subsets = ", ".join(f"{name} {count['cells']:,} cells {of_patients(count, known=known)}" for name, count in manifest.counts().items())
    log.info(f"split     {manifest.protocol}{' LEAKY' if manifest.leaky else ''}: {subsets} ({manifest.hash[:12]})")
    for warning in manifest.details.get("warnings", ()):
        log.warning(f"split     {warning}")
    return Data(manifest, pixel_cache, table.weight, columns)


def ensemble_run_folders(config: Config) -> list[Path]:
    """Returns the folders of the runs that an ensemble is made of; empty for every other model."""
    choice = config.one("model")
    runs = check_params("model", choice.name, choice.params).get("runs")
    return member_folders(runs) if runs else []
