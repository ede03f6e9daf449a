"""How well explanations find the parasites of synthetic cells, by method and model: the tables of docs/explain.md and docs/occlusion-maps.md.

    python benchmarks/explanations.py outputs/... [outputs/...] [--cells 60]        every built-in method, for each finished run
    python benchmarks/explanations.py outputs/... --occlusion [--sheet docs/images/explanations.png]    patches and fills of occlusion

The simulator knows where it drew parasites. Prints for each method:
    hit         fraction of found parasitized cells whose map is highest on a parasite, or a pixel beside it (the pointing game, Zhang et al.
                2016, https://arxiv.org/abs/1608.00507), with its 95 % interval over patients
    random      how alike the maps still are when all weights are random: rank correlation, mean over 8 cells (Adebayo et al. 2018)
    on parasite fraction of everything in their maps that speaks for parasitized that lies on the parasite
    by itself   the map's largest value, up or down, in cells without parasites that the model clears, mean over cells: next to nothing there
                should count, so of occlusion this is mostly what the patch does by itself
    ms          a cell
"""

import argparse
import io
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import keras
import numpy as np
from PIL import Image

from malaria_exp.components.dataset.synthetic import synthetic
from malaria_exp.config.registry import build, options
from malaria_exp.data.cell_table import parasites_of
from malaria_exp.data.resize import resize
from malaria_exp.deployment.explanations.explained_model import ExplainedModel, Explanation
from malaria_exp.deployment.explanations.occlusion import PATCH, STRIDE, draw_map, occlusion_map
from malaria_exp.deployment.explanations.overlay import to_cell
from malaria_exp.deployment.explanations.pointing_game import Target, hit_rate
from malaria_exp.deployment.explanations.randomization import randomize
from malaria_exp.evaluation.plots.image_sheet import Tile, enlarged, sheet, wrapped_grid
from malaria_exp.evaluation.plots.style import save_png
from malaria_exp.evaluation.thresholds import HALF
from malaria_exp.runs.saved_model import SavedModel, load_model
from malaria_exp.utils.machine import machine

ACROSS = 8  # pictures a row of the sheet; each cell has two
CHECKED = 8
FILLS = {"mean color": None, "gray": (128, 128, 128), "black": (0, 0, 0)}
TRIES = [(fill, PATCH, STRIDE) for fill in FILLS] + [("mean color", *tried) for tried in ((1 / 8, 1 / 16), (1 / 4, 1 / 16), (1 / 4, 1 / 8))]
Draw = Callable[[np.ndarray], np.ndarray]


def examples(saved: SavedModel, model: ExplainedModel, cells: int) -> tuple[list[Target], list[str], list[np.ndarray]]:
    """Returns parasitized cells that the model finds, their patients, and others that it clears, as it takes them: at most so many of each."""
    table = synthetic(seed=77, infected_patients=40, healthy_patients=4, cells_per_patient=20)
    found: list[Target] = []
    patients: list[str] = []
    cleared: list[np.ndarray] = []
    for index in np.random.default_rng(0).permutation(len(table)).tolist():
        image, parasites = table.source.read(index), parasites_of(table.source, index)
        positive = model.score(resize(image, saved.rule)[None])[0] >= HALF
        if positive and parasites is not None and parasites.any() and len(found) < cells:
            found.append(Target(image, parasites))
            patients.append(str(table.patient[index]))
        elif not positive and not table.label[index] and len(cleared) < cells:
            cleared.append(resize(image, saved.rule))
    return found, patients, cleared


def measure(
    name: str, draw: Draw, saved: SavedModel, found: list[Target], patients: list[str], cleared: list[np.ndarray], more: str
) -> None:
    """Prints a row of a table.

    Args:
        name: of the method.
        draw: from a cell, uint8 (size, size, 3), to its map.
        saved: the model.
        found: parasitized cells that it finds.
        patients: theirs.
        cleared: cells without parasites that it clears.
        more: a column of its own.
    """
    squares = [resize(target.image, saved.rule) for target in found]
    draw(squares[0])
    began = time.perf_counter()
    maps = [draw(square) for square in squares]
    spent = 1000 * (time.perf_counter() - began) / len(found)
    hits = np.array([target.hit(one, saved.rule) for target, one in zip(found, maps, strict=True)])
    rate = hit_rate(hits, np.array(patients), build("interval", "clustered", {}), resamples=0, confidence=0.95, seed=0)
    own = [to_cell(one, target.parasites.shape, saved.rule).clip(0) for target, one in zip(found, maps, strict=True)]
    on = [values[target.wide(saved.rule)].sum() / max(values.sum(), 1e-9) for values, target in zip(own, found, strict=True)]
    itself = [np.abs(draw(square)).max() for square in cleared]
    print(
        f"{name:<36}{rate['value']:>6.2f} ({rate['low']:.2f} to {rate['high']:.2f}){more:>9}{np.mean(on):>13.2f}{np.mean(itself):>11.2f}{spent:>7.0f}",
        flush=True,
    )


def still_alike(saved: SavedModel, model: ExplainedModel, draws: Mapping[str, Draw], found: list[Target]) -> dict[str, float]:
    """Returns by method how alike maps are when all weights are random."""
    squares = np.stack([resize(target.image, saved.rule) for target in found[:CHECKED]])
    keras.utils.set_random_seed(0)
    fresh = build("model", saved.record["model"]["name"], saved.record["model"]["params"])

    def maps() -> dict[str, np.ndarray]:
        shape = squares.shape[1:3]
        return {name: np.stack([to_cell(draw(square), shape, saved.rule) for square in squares]) for name, draw in draws.items()}

    return randomize(model.network, fresh, squares, maps)[-1].spearman


def one_map(model: ExplainedModel, method: Explanation, square: np.ndarray) -> np.ndarray:
    """Returns the map of one cell, (m, m)."""
    return method(model, square[None])[0]


def main() -> None:
    """Prints the tables and writes the sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--cells", type=int, default=60)
    parser.add_argument("--occlusion", action="store_true")
    parser.add_argument("--sheet", type=Path)
    arguments = parser.parse_args()
    print(machine())
    for run in arguments.runs:
        saved = load_model(run, "float32")
        model = ExplainedModel.of(saved)
        found, patients, cleared = examples(saved, model, arguments.cells)
        print(
            f"\n{saved.record['model']['name']} ({run}), {saved.rule.size} px: {len(found)} parasitized cells of {len(set(patients))} patients that"
            f" the model finds, {len(cleared)} others that it clears"
        )
        print(f"{'method':<36}{'hit':>6} {'(95 %)':<14}{'random':>9}{'on parasite':>13}{'by itself':>11}{'ms':>7}")
        if arguments.occlusion:
            for fill, patch, stride in TRIES:
                draw: Draw = partial(occlusion_map, model.score, patch=patch, stride=stride, fill=FILLS[fill])
                measure(f"{fill}, patch {patch:.3f}, step {stride:.3f}", draw, saved, found, patients, cleared, "")
        else:
            methods = {name: build("explanation", name, {}) for name in options("explanation")}
            draws: dict[str, Draw] = {name: partial(one_map, model, method) for name, method in methods.items()}
            alike = still_alike(saved, model, draws, found)
            for name, draw in draws.items():
                measure(name, draw, saved, found, patients, cleared, f"{alike[name]:.2f}")
        print(f"{'a place of the cell at random':<36}{np.mean([target.chance(saved.rule) for target in found]):>6.2f}")
        if arguments.sheet is not None:
            tiles = []
            for square in [resize(target.image, saved.rule) for target in found[:ACROSS]] + cleared[: ACROSS // 2]:
                picture = np.asarray(Image.open(io.BytesIO(draw_map(square, occlusion_map(model.score, square)))))
                tiles += [Tile(enlarged(square, len(picture)), f"score {model.score(square[None])[0]:.2f}"), Tile(picture, "its map")]
            save_png(sheet(wrapped_grid(tiles, ACROSS), "Cells, and what speaks for and against parasitized in them"), arguments.sheet)


if __name__ == "__main__":
    main()
