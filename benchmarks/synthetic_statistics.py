"""How synthetic cells compare with real ones in numbers: the table of docs/synthetic-worth.md.

    python benchmarks/synthetic_statistics.py cell_images.zip

Only real patients with odd patient numbers are measured: the simulator was fitted to them, and patients with even numbers were kept out
to test it. Prints the median (and 5% to 95%) over cells, at most 60 of a patient, and how much patients differ.
"""

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from malaria_exp.components.dataset.nih import nih
from malaria_exp.components.dataset.synthetic import synthetic
from malaria_exp.data.cell_table import CellTable

CELLS_OF_A_PATIENT = 60
MARGIN, INNER = 3, 9  # pixels
Measures = dict[str, float]


def main() -> int:
    """Prints the table."""
    if len(sys.argv) != 2:
        print(__doc__)
        return 2
    real = nih(path=sys.argv[1])
    odd = np.array([int(patient[1:]) % 2 == 1 for patient in real.patient.tolist()])
    simulated = synthetic(infected_patients=60, healthy_patients=15, cells_per_patient=60)
    tables = {"real": measure(real, odd), "synthetic": measure(simulated, np.ones(len(simulated), bool))}
    print("| | real, uninfected | synthetic, uninfected | real, parasitized | synthetic, parasitized |\n|---|---|---|---|---|")
    for name in next(iter(tables.values()))[0]:
        cells = [
            spread(np.array([found[name] for found in rows if found["label"] == label])) for label in (0, 1) for rows in tables.values()
        ]
        if name not in ("label", "patient", "log of the size"):
            print(f"| {name} | " + " | ".join(cells) + " |")
    print("\n| deviation between patients of their median | real | synthetic |\n|---|---|---|")
    for name in ("red of the body", "green of the body", "blue of the body", "log of the size"):
        print(f"| {name} | " + " | ".join(f"{between(rows, name):.3g}" for rows in tables.values()) + " |")
    return 0


def measure(table: CellTable, wanted: np.ndarray) -> list[Measures]:
    """Measures cells of the wanted rows, at most so many of a patient."""
    rng, rows = np.random.default_rng(0), []
    for patient in np.unique(table.patient[wanted]):
        own = np.flatnonzero(table.patient == patient)
        rows.extend(rng.permutation(own)[:CELLS_OF_A_PATIENT].tolist())
    numbers = {patient: float(number) for number, patient in enumerate(np.unique(table.patient).tolist())}
    with ThreadPoolExecutor() as pool:
        found = pool.map(measures_of, map(table.source.read, rows))
        return [
            {**one, "label": float(table.label[row]), "patient": numbers[table.patient[row]]} for one, row in zip(found, rows, strict=True)
        ]


def measures_of(picture: np.ndarray) -> Measures:
    """Returns the measures of one cell, RGB, uint8 (height, width, 3); colors in gray levels of 0 to 255."""
    colors = picture.astype(np.float32)
    inside: np.ndarray = np.any(picture, axis=-1)
    green = colors[..., 1]
    inner = shrunk(inside, INNER)
    inner = inner if inner.sum() > 100 else inside
    margin = shrunk(inside, 1) & ~shrunk(inside, MARGIN)
    body = np.median(colors[inner], axis=0)
    rows, columns = np.nonzero(inside)
    radius = np.sqrt(inside.sum() / np.pi)
    down, right = np.ogrid[: inside.shape[0], : inside.shape[1]]
    away = np.hypot(down - rows.mean(), right - columns.mean()) / radius
    smooth = sum(np.roll(green, (down, right), (0, 1)) for down in (-1, 0, 1) for right in (-1, 0, 1)) / 9
    slope = np.hypot(np.gradient(green, axis=0), np.gradient(green, axis=1))
    edges = sum(np.count_nonzero(np.diff(np.pad(inside, 1).astype(np.int8), axis=axis)) for axis in (0, 1))
    median: Callable[[np.ndarray], float] = partial(_median, green)
    return {
        "height": float(inside.shape[0]),
        "width": float(inside.shape[1]),
        "fraction of the frame that is filled": float(inside.mean()),
        "outline, beside a circle's": float(edges / (8 * radius)),
        "red of the body": float(body[0]),
        "green of the body": float(body[1]),
        "blue of the body": float(body[2]),
        "green of the margin, less the body's": median(margin) - float(body[1]),
        "green of the center, less that halfway out": median(inside & (away < 0.3)) - median(inside & (away > 0.5) & (away < 0.7)),
        "noise of green": float(1.48 * np.median(np.abs(green - smooth)[inner])),
        "green's change from pixel to pixel, steepest 0.5%": float(np.percentile(slope[inner], 99.5)),
        "green of the darkest 0.7%, less the body's": float(np.percentile(green[inner], 0.35) - body[1]),
        "log of the size": float(np.log(radius)),
    }


def shrunk(mask: np.ndarray, pixels: int) -> np.ndarray:
    """Returns the mask without what lies within `pixels` of its outline, along either axis."""
    padded = np.pad(mask, pixels)
    for axis in (0, 1):
        padded = np.logical_and.reduce([np.roll(padded, step, axis) for step in range(-pixels, pixels + 1)])
    return padded[pixels:-pixels, pixels:-pixels]


def _median(values: np.ndarray, mask: np.ndarray) -> float:
    return float(np.median(values[mask])) if mask.any() else float("nan")


def spread(values: np.ndarray) -> str:
    """Returns "median (5% to 95%)"."""
    low, middle, high = np.nanpercentile(values, [5, 50, 95])
    largest = max(abs(low), abs(high))
    digits = 2 if largest < 5 else 1 if largest < 15 else 0
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def between(rows: list[Measures], name: str) -> float:
    """Returns the deviation between patients of their cells' median."""
    patient, value = (np.array([row[key] for row in rows]) for key in ("patient", name))
    return float(np.std([np.median(value[patient == one]) for one in np.unique(patient)]))


if __name__ == "__main__":
    sys.exit(main())
