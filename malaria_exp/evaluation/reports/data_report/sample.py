"""The cells that the data report shows: a sample of the training cells, read once. No picture of another subset is read."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from malaria_exp.data.cell_table import UNKNOWN, CellTable
from malaria_exp.data.shards.shard_cache import ShardCache
from malaria_exp.data.subsets import Cells, Data
from malaria_exp.utils.progress_bars import track

MOST_CELLS, MOST_BYTES = 2000, 256e6
# Reading single records of shards is slow.
MOST_FROM_SHARDS = 600
MOST_SIZES = 600
EXAMPLES = 9
GROUPS = 8


@dataclass(frozen=True, eq=False)
class Sample:
    """Training cells of as many slides, patients and classes as possible, in random order.

    Attributes:
        rows: int64 (n,), rows of the table.
        images: uint8 (n, size, size, 3), as the model sees them.
        label: int8 (n,), 1 = parasitized.
        patient, slide: str (n,).
        total: number of training cells that there are.
    """

    rows: np.ndarray
    images: np.ndarray
    label: np.ndarray
    patient: np.ndarray
    slide: np.ndarray
    total: int

    def __len__(self) -> int:
        return len(self.rows)

    def of_class(self, label: int, most: int) -> np.ndarray:
        """Returns the places of up to so many cells of a class, of as many patients as possible."""
        places = np.flatnonzero(self.label == label)
        return places[np.argsort(_rank(self.patient[places]), kind="stable")][:most]

    def batch(self, size: int) -> np.ndarray:
        """Returns the places of up to so many cells, half of each class as far as there are; the classes take turns."""
        by_class = [self.of_class(label, size) for label in (1, 0)]
        places = np.concatenate(by_class)
        turn = np.concatenate([np.arange(len(part)) for part in by_class])
        return places[np.argsort(turn, kind="stable")][:size]


def training_sample(data: Data, seed: int) -> tuple[Cells, Sample]:
    """Reads the sample.

    Returns:
        The training cells, and the sample of them.
    """
    cells = data.training()[0]
    manifest, pixel_cache = data.manifest, cells.pixel_cache
    each = pixel_cache.rule.size**2 * 3
    most = max(8, min(MOST_FROM_SHARDS if isinstance(pixel_cache, ShardCache) else MOST_CELLS, int(MOST_BYTES // each)))
    shuffled = np.random.default_rng([seed, 1]).permutation(cells.rows)
    # The first cell of every slide and class, then the second of each, and so on.
    groups = np.char.add(manifest.slide[shuffled].astype(str), manifest.label[shuffled].astype("U1"))
    rows = shuffled[np.argsort(_rank(groups), kind="stable")[:most]]
    # Read in the order in which they are stored, which is the fastest.
    order = np.argsort(rows, kind="stable")
    images = np.empty((len(rows), pixel_cache.rule.size, pixel_cache.rule.size, 3), np.uint8)
    images[order] = pixel_cache.take(rows[order])
    sample = Sample(rows, images, manifest.label[rows], manifest.patient[rows], manifest.slide[rows], len(cells))
    return cells, sample


def groups_of(sample: Sample, names: np.ndarray, seed: int, prefer: np.ndarray | None = None) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Returns the cells of some patients or slides, images and labels by name, groups with both classes and with one by turns.

    Args:
        sample: the cells.
        names: str (n,), the group of each.
        seed: of which groups are taken.
        prefer: names that come first.
    """
    found = np.random.default_rng([seed, 2]).permutation(np.unique(names))
    both = np.isin(found, names[sample.label == 1]) & np.isin(found, names[sample.label == 0])
    turn = np.empty(len(found), np.int64)
    for kind in (True, False):
        # Three groups with both classes, then one with a single class.
        turn[both == kind] = np.arange((both == kind).sum()) * (1 if kind else 3) + (0 if kind else 2)
    if prefer is not None:
        turn = turn + len(found) * 4 * ~np.isin(found, prefer)
    chosen = sorted(found[np.argsort(turn, kind="stable")][:GROUPS].tolist())
    return {name: (sample.images[names == name], sample.label[names == name]) for name in chosen}


def slides_of_several(sample: Sample) -> np.ndarray:
    """Returns the slides of patients who have several among these cells, str (m,)."""
    pairs = np.unique(np.stack([sample.patient, sample.slide], axis=1), axis=0)
    patients, number = np.unique(pairs[:, 0], return_counts=True)
    several: np.ndarray = pairs[np.isin(pairs[:, 0], patients[number > 1]), 1]
    return several


def slides_known(sample: Sample) -> bool:
    """Returns whether anything is known of slides beyond whose they are."""
    return bool((sample.slide != UNKNOWN).any() and (sample.slide != sample.patient).any())


def original_sizes(table: CellTable, sample: Sample) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Decodes some of the sample's cells at their own size.

    Returns:
        Height and width, int64 (m, 2); labels, int8 (m,); and a few of the images, from the smallest to the largest.
    """
    rows, label = sample.rows[:MOST_SIZES], sample.label[:MOST_SIZES]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        shapes = list(
            track(pool.map(lambda row: table.source.read(row).shape[:2], rows.tolist()), "reading original sizes", total=len(rows))
        )
    sizes = np.array(shapes, np.int64)
    order = np.argsort(sizes.max(axis=1), kind="stable")
    picked = order[np.unique(np.linspace(0, len(order) - 1, min(EXAMPLES, len(order))).astype(int))]
    return sizes, label, [table.source.read(int(rows[place])) for place in picked]


def _rank(groups: np.ndarray) -> np.ndarray:
    """Returns each item's number within its group, in the order given, int64 (n,)."""
    _, number = np.unique(groups, return_inverse=True)
    order = np.argsort(number, kind="stable")
    first = np.concatenate([[0], np.cumsum(np.bincount(number))[:-1]])
    rank = np.empty(len(groups), np.int64)
    rank[order] = np.arange(len(groups)) - first[number[order]]
    return rank
