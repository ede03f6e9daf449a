"""What the cell numbers in the names of the NIH set tell, and whether they are places.

    python benchmarks/nih_names.py [cell_images.zip]

From the index that comes with the package: how a photograph's numbers divide its classes. With the zip also whether cells touch the edge of
their photograph, and whether cells of neighboring numbers are more alike in color than others of the photograph.
"""

import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from malaria_exp.config.registry import build
from malaria_exp.data.readers.index import read_index

# A side of the mask longer than this fraction of the image's is straight, as the edge of a photograph makes it.
STRAIGHT, BLACK = 0.55, 8
PHOTOGRAPHS, FEWEST, SHUFFLES = 300, 8, 10


def main() -> None:
    """Prints what the names tell, and what the images add."""
    photographs: dict[str, list[tuple[int, bool]]] = defaultdict(list)
    for known in read_index().values():
        photographs[known.parts.field].append((int(known.cell_id.rpartition("_")[2]), known.class_name == "parasitized"))
    pairs = [([n for n, sick in one if sick], [n for n, sick in one if not sick]) for one in photographs.values()]
    both = [(sick, well) for sick, well in pairs if sick and well]
    several = [sick for sick, _ in pairs if len(sick) > 1]
    print(f"{len(pairs):,} photographs, {len(both)} with both classes")
    print(f"every parasitized number above every uninfected one: {sum(min(sick) > max(well) for sick, well in both)} of {len(both)}")
    print(f"parasitized numbers without a gap: {sum(max(sick) - min(sick) + 1 == len(sick) for sick in several)} of {len(several)}")
    drawn = sum(len(well) for _, well in both) / sum(min(sick) - 1 for sick, _ in both)
    print(f"of the numbers below the first parasitized one, in the set: {drawn:.1%}")
    if len(sys.argv) > 1:
        images(sys.argv[1])


def images(archive: str) -> None:
    """Prints how many of some photographs' cells have a straight side, and how alike neighbors by number are in color."""
    table = build("dataset", "nih", {"path": archive})
    number = np.array([int(name.rpartition("_")[2]) for name in table.cell_id.tolist()])
    rng = np.random.default_rng(0)
    chosen = rng.permutation(np.unique(table.field))[:PHOTOGRAPHS]
    rows = np.flatnonzero(np.isin(table.field, chosen))
    straight, color = 0, np.zeros((len(table), 3))
    for row in rows.tolist():
        image = table.source.read(row)
        inside = image.max(axis=2) > BLACK
        straight += any(side.mean() > STRAIGHT for side in (inside[0], inside[-1], inside[:, 0], inside[:, -1]))
        color[row] = np.median(image[inside], axis=0)
    print(f"{len(chosen)} photographs: {straight} of {len(rows):,} cells have a straight side")
    for label, words in enumerate(("uninfected", "parasitized")):
        found = []
        for field in chosen:
            own = rows[(table.field[rows] == field) & (table.label[rows] == label)]
            if len(own) >= FEWEST:
                values = color[own[np.argsort(number[own])]]
                values = values - values.mean(axis=0)
                found.append(_neighbors(values) - np.mean([_neighbors(rng.permutation(values)) for _ in range(SHUFFLES)]))
        half = 1.96 * np.std(found, ddof=1) / np.sqrt(len(found))
        print(
            f"{words}: colors of neighbors by number correlate {np.mean(found):+.3f} more than shuffled ones (+- {half:.3f}, {len(found)} photographs)"
        )


def _neighbors(values: np.ndarray) -> float:
    """Returns the correlation of each row with the next, of values with mean 0."""
    return float((values[1:] * values[:-1]).sum() / max(np.square(values).sum(), 1e-9))


if __name__ == "__main__":
    main()
