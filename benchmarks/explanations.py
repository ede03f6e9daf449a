"""How well occlusion maps find the parasites of synthetic cells, for patches and fills: the table and the pictures of docs/occlusion-maps.md.

    python benchmarks/occlusion.py outputs/... [--cells 60] [--sheet docs/images/explanations.png]

Takes a finished run. The simulator draws every cell a second time without its parasites; where the two differ is a parasite. Prints for
each fill and patch:
    hit         fraction of found parasitized cells whose map is highest on a parasite, or a pixel beside it (the pointing game, Zhang et al.
                2016, https://arxiv.org/abs/1608.00507)
    on parasite fraction of everything in their maps that speaks for parasitized that lies on the parasite
    by itself   the map's largest change of the log-odds, up or down, in cells without parasites that the model clears, mean over cells:
                next to nothing there should count, so this is mostly what the patch does by itself
    ms          a cell
"""

import argparse
import io
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
from PIL import Image
from scipy.ndimage import binary_dilation

from malaria_exp.components.dataset.synthetic import Drawings, synthetic
from malaria_exp.data.resize import resize
from malaria_exp.data.seeds import to_unit
from malaria_exp.deployment.occlusion import PATCH, STRIDE, draw_map, occlusion_map
from malaria_exp.evaluation.plots.image_sheet import Tile, enlarged, sheet, wrapped_grid
from malaria_exp.evaluation.plots.style import save_png
from malaria_exp.evaluation.predictions import sigmoid
from malaria_exp.evaluation.thresholds import HALF
from malaria_exp.runs.saved_model import SavedModel, load_model
from malaria_exp.utils.machine import machine

ACROSS = 8  # pictures a row of the sheet; each cell has two
# Of the largest difference of a color between the two drawings: where they differ by less is a parasite's blurred edge.
EDGE, LEAST = 0.3, 12
Score = Callable[[np.ndarray], np.ndarray]
FILLS = {"mean color": None, "gray": (128, 128, 128), "black": (0, 0, 0)}
TRIES = [(fill, PATCH, STRIDE) for fill in FILLS] + [("mean color", *tried) for tried in ((1 / 8, 1 / 16), (1 / 4, 1 / 16), (1 / 4, 1 / 8))]


def parasite(drawings: Drawings, clean: Drawings, index: int, saved: SavedModel) -> tuple[np.ndarray, np.ndarray]:
    """Returns a cell as the model takes it, uint8 (size, size, 3), and where its parasites are, bool (size, size)."""
    image, without = (resize(drawn.read(index), saved.rule) for drawn in (drawings, clean))
    difference = np.abs(image.astype(int) - without).max(axis=2)
    return image, difference > max(LEAST, EDGE * difference.max())


def scorer(saved: SavedModel) -> Score:
    """Returns the model as uint8 (N, size, size, 3) to scores (N,)."""
    import tensorflow as tf

    size = saved.rule.size

    @tf.function(input_signature=[tf.TensorSpec((None, size, size, 3), tf.uint8)], autograph=False)
    def logits(images: tf.Tensor) -> tf.Tensor:
        return tf.cast(saved.model(to_unit(images), training=False), tf.float32)

    return lambda images: sigmoid(logits(images).numpy()[:, 0].astype(np.float64))


def examples(saved: SavedModel, score: Score, cells: int) -> tuple[list[tuple[np.ndarray, np.ndarray]], list[np.ndarray]]:
    """Returns parasitized cells that the model finds, with their parasites, and others that it clears: at most so many of each."""
    table = synthetic(seed=77, infected_patients=40, healthy_patients=4, cells_per_patient=20)
    drawings = cast("Drawings", table.source)
    clean = replace(drawings, parasitized=np.zeros(len(table), bool))
    found: list[tuple[np.ndarray, np.ndarray]] = []
    cleared: list[np.ndarray] = []
    for index in np.random.default_rng(0).permutation(len(table)).tolist():
        image, mask = parasite(drawings, clean, index, saved)
        positive = score(image[None])[0] >= HALF
        if positive and mask.any() and len(found) < cells:
            found.append((image, mask))
        elif not positive and not drawings.parasitized[index] and len(cleared) < cells:
            cleared.append(image)
    return found, cleared


def main() -> None:
    """Prints the table and writes the sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--cells", type=int, default=60)
    parser.add_argument("--sheet", type=Path)
    arguments = parser.parse_args()
    saved = load_model(arguments.run)
    score = scorer(saved)
    found, cleared = examples(saved, score, arguments.cells)
    print(machine())
    print(f"{len(found)} parasitized cells that the model finds, {len(cleared)} others that it clears, {saved.rule.size} px")
    print(f"{'fill':<12}{'patch':>7}{'stride':>8}{'hit':>7}{'on parasite':>13}{'by itself':>11}{'ms':>7}")
    for fill, patch, stride in TRIES:
        draw = partial(occlusion_map, score, patch=patch, stride=stride, fill=FILLS[fill])
        began = time.perf_counter()
        maps = [draw(image) for image, _ in found]
        spent = 1000 * (time.perf_counter() - began) / len(found)
        hits = [binary_dilation(mask).ravel()[values.argmax()] for values, (_, mask) in zip(maps, found, strict=True)]
        on = [values[mask].clip(0).sum() / max(values.clip(0).sum(), 1e-9) for values, (_, mask) in zip(maps, found, strict=True)]
        itself = [np.abs(draw(image)).max() for image in cleared]
        print(
            f"{fill:<12}{patch:>7.3f}{stride:>8.3f}{np.mean(hits):>7.2f}{np.mean(on):>13.2f}{np.mean(itself):>11.2f}{spent:>7.0f}",
            flush=True,
        )
    by_chance = np.mean([binary_dilation(mask)[image.max(axis=2) > 0].mean() for image, mask in found])
    print(f"a place of the cell taken at random hits {by_chance:.2f}")
    if arguments.sheet is not None:
        tiles = []
        for image in [image for image, _ in found[:ACROSS]] + cleared[: ACROSS // 2]:
            values = occlusion_map(score, image)
            picture = np.asarray(Image.open(io.BytesIO(draw_map(image, values))))
            tiles += [Tile(enlarged(image, len(picture)), f"score {score(image[None])[0]:.2f}"), Tile(picture, "its map")]
        save_png(sheet(wrapped_grid(tiles, ACROSS), "Cells, and what speaks for and against parasitized in them"), arguments.sheet)


if __name__ == "__main__":
    main()
