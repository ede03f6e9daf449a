"""Whether synthetic cells look as they are meant to: forms of parasites, look-alikes, patients' looks, outlines, grain, and what each parameter does.

    python benchmarks/synthetic_properties.py

Each line is a property of many cells, with what was measured; ends with 1 if one does not hold. That the same seed draws the same cells, that
nothing leaves its cell and that size tells nothing about the class are tests: tests/components/dataset/.
"""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.ndimage import label as connected
from sklearn.metrics import roc_auc_score

from malaria_exp.components.dataset.drawing import forms, lookalikes
from malaria_exp.components.dataset.drawing.body import draw_body
from malaria_exp.components.dataset.drawing.canvas import Canvas, camera_grain, grain
from malaria_exp.components.dataset.drawing.forms import applique, gametocyte, infect, ring, schizont, trophozoite
from malaria_exp.components.dataset.drawing.look import Look, draw_look
from malaria_exp.components.dataset.drawing.outline import ODDITIES, draw_outline, folded, joined
from malaria_exp.components.dataset.drawing.pen import Pen, place
from malaria_exp.components.dataset.synthetic import synthetic
from malaria_exp.data.cell_table import CellTable

RADIUS = 62.0
CHECKS: list[Callable[[], tuple[bool, str]]] = []


def check(function: Callable[[], tuple[bool, str]]) -> Callable[[], tuple[bool, str]]:
    """Adds a property: whether it holds, and what was measured. Its docstring says what it is."""
    CHECKS.append(function)
    return function


def main() -> int:
    """Prints every property and returns the exit code."""
    failed = 0
    for function in CHECKS:
        holds, measured = function()
        failed += not holds
        print(f"{'holds ' if holds else 'FAILS '} {(function.__doc__ or '').strip()} {measured}", flush=True)
    return int(failed > 0)


def look_of(seed: int, slide: int = 0, field: int = 0) -> Look:
    """Returns the look of a patient's photograph."""
    patient, own, photograph = (np.random.default_rng(key) for key in ([seed, 0], [seed, 1, slide], [seed, 2, field]))
    return draw_look(patient, own, photograph)


def empty_cell(seed: int, *, softness: float = 2.5, noise: float = 1.0) -> tuple[Canvas, np.random.Generator, Look]:
    """Returns a cell without a parasite, ready to be painted on."""
    look, rng = look_of(seed), np.random.default_rng([seed, 9])
    return draw_body(rng, look, RADIUS, softness=softness, noise=noise, odd_shape_fraction=0.5), rng, look


def change(form: Callable[[Pen], None], seed: int) -> tuple[np.ndarray, Canvas]:
    """Returns by how much a form changes each pixel of a cell, and the cell."""
    canvas, rng, look = empty_cell(seed)
    before = canvas.finish()
    y, x = place(rng, canvas, RADIUS, *forms.ZONES.get(form, forms.ANYWHERE))
    form(Pen(canvas, rng, look, y, x, RADIUS, 0.9))
    return np.abs(canvas.finish().astype(int) - before).max(axis=-1), canvas


def small(**changes: Any) -> CellTable:
    """Returns a few patients' cells."""
    given: dict[str, Any] = {"infected_patients": 4, "healthy_patients": 2, "cells_per_patient": 12, **changes}
    return synthetic(**given)


@check
def _sizes_of_forms() -> tuple[bool, str]:
    """Late forms are larger than rings, and a schizont is the largest of them."""
    kinds = (ring, trophozoite, gametocyte, schizont)
    area = [float(np.median([(change(form, seed)[0] > 15).sum() for seed in range(25)])) for form in kinds]
    return area == sorted(set(area)), f"pixels: {area}"


@check
def _merozoites() -> tuple[bool, str]:
    """A schizont holds many separate merozoites."""
    counts = []
    for seed in range(15):
        canvas, rng, look = empty_cell(seed, noise=0.0, softness=0.5)
        schizont(Pen(canvas, rng, look, *canvas.center, RADIUS, 1.0))
        counts.append(connected(np.abs(canvas.planes - look.chromatin[:, None, None]).max(axis=0) < 30)[1])
    return bool(np.median(counts) >= 7), f"median {np.median(counts):.0f}"


@check
def _margins() -> tuple[bool, str]:
    """Applique forms lie at the margin, and rings anywhere."""

    def distance(form: Callable[[Pen], None]) -> float:
        away = []
        for seed in range(40):
            changed, canvas = change(form, seed)
            rows, columns = np.nonzero(changed > 30)
            if len(rows):
                away.append(np.hypot(rows.mean() - canvas.center[0], columns.mean() - canvas.center[1]))
        return float(np.mean(away)) / RADIUS

    found = distance(applique), distance(ring)
    return found[0] > 0.75 and found[1] < 0.65, f"radii from the center: {found[0]:.2f}, {found[1]:.2f}"


@check
def _late_fraction() -> tuple[bool, str]:
    """late_fraction is the mean over patients, and a fifth of the cells hold two parasites."""
    found, early, late = [], forms.EARLY, forms.LATE
    seen: list[list[str]] = []
    forms.EARLY, forms.LATE = ((lambda _: seen[-1].append("early"), 1.0),), ((lambda _: seen[-1].append("late"), 1.0),)
    canvas, rng, _ = empty_cell(0)
    try:
        for wanted in (0.0, 0.15, 0.5, 0.8, 1.0):
            seen.clear()
            for patient in range(400):
                for _ in range(4):
                    seen.append([])
                    infect(Pen(canvas, rng, look_of(patient), *canvas.center, RADIUS, 0.9), wanted)
            found.append((wanted, np.mean(["late" in kinds for kinds in seen]), np.mean([len(kinds) > 1 for kinds in seen])))
    finally:
        forms.EARLY, forms.LATE = early, late
    return all(abs(w - got) < 0.05 and abs(two - 0.2) < 0.05 for w, got, two in found), str([f"{w}: {got:.2f}" for w, got, _ in found])


@check
def _looks_of_patients() -> tuple[bool, str]:
    """A patient's photographs are more alike than patients; background is lighter and chromatin darker than the cell."""
    within = np.mean([np.std([look_of(patient, field=field).cell for field in range(12)], axis=0) for patient in range(30)])
    between = np.mean(np.std([look_of(patient).cell for patient in range(200)], axis=0))
    looks = [look_of(patient) for patient in range(200)]
    ordered = all(one.chromatin[1] < one.cytoplasm[1] < one.cell[1] < one.background[1] for one in looks)
    return bool(1 < within < between / 3 and ordered), f"deviation {within:.1f} within, {between:.1f} between"


@check
def _outlines() -> tuple[bool, str]:
    """Roughness makes outlines longer; a fold is darker and a seam paler than the body."""

    def perimeter(seed: int, roughness: float) -> float:
        mask = draw_outline(np.random.default_rng(seed), 60.0, roughness, 0.0, ODDITIES)[1]
        return float(sum(np.count_nonzero(np.diff(mask.astype(int), axis=axis)) for axis in (0, 1)) / np.sqrt(mask.sum()))

    lengths = [np.mean([perimeter(seed, roughness) for seed in range(40)]) for roughness in (0.0, 1.5, 4.0)]
    fold, seam = (np.asarray(draw_outline(np.random.default_rng(1), 60.0, 1.0, 1.0, (oddity,))[0].pale) for oddity in (folded, joined))
    return bool(lengths[0] < lengths[1] < lengths[2] and fold.min() < -0.05 and seam.max() > 0.05), f"lengths {np.round(lengths, 2)}"


@check
def _grain() -> tuple[bool, str]:
    """Grain is of unit strength and seamless, and color noise is slower than brightness."""
    strength = [float(tile.std()) for tile in (grain(2), grain(5), *camera_grain())]
    seamless = np.abs(grain(5)[0] - grain(5)[-1]).mean() < 0.6 < np.abs(grain(5)[0] - grain(5)[200]).mean()
    red, _, blue = camera_grain()
    quick = [float(np.diff(tile, axis=1).std() / tile.std()) for tile in (red - blue, camera_grain().mean(axis=0))]
    return bool(
        seamless and max(abs(one - 1) for one in strength) < 0.15 and quick[0] < 0.7 * quick[1]
    ), f"strength {np.round(strength, 2)}"


@check
def _lookalikes() -> tuple[bool, str]:
    """Look-alikes come at their rate in both classes, each at its own fraction."""
    given: dict[str, Any] = {
        "infected_patients": 12,
        "cells_per_patient": 60,
        "contrast": 0.0,
        "cell_size": 40,
        "parasitized_fraction": 0.5,
    }
    without, with_them = (synthetic(lookalike_fraction=chance, **given) for chance in (0.0, 0.4))
    changed = np.array([not np.array_equal(without.source.read(row), with_them.source.read(row)) for row in range(len(without))])
    rates = [changed[without.label == label].mean() for label in (0, 1)]
    total = sum(fraction for _, fraction in lookalikes.LOOKALIKES)
    return all(abs(rate - 0.4) < 0.07 for rate in rates) and abs(total - 1) < 1e-9, f"of 0.4: {np.round(rates, 2)}"


@check
def _colors_and_classes() -> tuple[bool, str]:
    """Mean color tells little about the class, and the darkest purple much, yet not all: some parasites are faint, and look-alikes are dark."""
    table = synthetic()
    insides = [picture[picture.any(axis=-1)].astype(float) for picture in map(table.source.read, range(len(table)))]

    def area(scores: np.ndarray) -> float:
        found = float(roc_auc_score(table.label, scores))
        return max(found, 1 - found)

    colors = max(area(np.array([inside.mean(axis=0)[channel] for inside in insides])) for channel in range(3))
    depth = np.array([np.median(inside[:, 1]) - np.percentile(inside[:, 1], 0.5) for inside in insides])
    ratios = []
    for slide in np.unique(table.slide[table.infected]):
        sick, plain = (depth[(table.slide == slide) & (table.label == label)] for label in (1, 0))
        ratios += [float(np.median(sick) / np.median(plain))] if min(len(sick), len(plain)) >= 5 else []
    holds = colors < 0.7 and 0.75 < area(depth) < 0.99 and len(ratios) > 10 and min(ratios) > 1.5
    return holds, f"AUC {colors:.2f}, {area(depth):.2f}; darker on each slide by {min(ratios):.1f} and more"


@check
def _contrast() -> tuple[bool, str]:
    """Contrast makes parasites stand out."""

    def depth(contrast: float) -> float:
        table = small(contrast=contrast, lookalike_fraction=0.0)
        greens = [picture[..., 1][picture.any(axis=-1)] for picture in map(table.source.read, np.flatnonzero(table.label).tolist())]
        return float(np.mean([np.median(green) - np.percentile(green, 0.5) for green in greens]))

    found = [depth(contrast) for contrast in (0.0, 0.4, 1.0)]
    return found == sorted(set(found)), f"levels of green: {np.round(found, 1)}"


@check
def _softness_and_noise() -> tuple[bool, str]:
    """Softness blurs parasites, and noise roughens bodies."""

    def steps(**changes: float) -> np.ndarray:
        found = []
        for picture in map(small(**changes).source.read, range(40)):
            inside = np.any(picture, axis=-1)
            found.append(np.abs(np.diff(picture[..., 1].astype(int), axis=1))[inside[:, 1:] & inside[:, :-1]])
        return np.concatenate(found)

    blur = np.percentile(steps(softness=3.0), 99.8) / np.percentile(steps(softness=0.0), 99.8)
    rough = np.mean(steps(noise=0.0)) / np.mean(steps(noise=4.0))
    return bool(blur < 0.7 and rough < 0.5), f"steepest {blur:.2f}, mean {rough:.2f} of the other"


@check
def _stain_shift() -> tuple[bool, str]:
    """A stain shift of the healthy lets color betray them."""

    def betrayed(shift: float) -> float:
        table = synthetic(infected_patients=30, healthy_patients=30, cells_per_patient=6, cell_size=30, stain_shift=shift)
        pictures = map(table.source.read, range(len(table)))
        red_to_blue = [float(np.subtract(*np.median(picture[picture.any(axis=-1)], axis=0)[[0, 2]])) for picture in pictures]
        area = float(roc_auc_score(table.infected, red_to_blue))
        return max(area, 1 - area)

    found = betrayed(0.0), betrayed(3.0)
    return found[0] < 0.7 and found[1] > 0.95, f"AUC {found[0]:.2f}, {found[1]:.2f}"


if __name__ == "__main__":
    sys.exit(main())
