"""Does a map show what the model has learned? Weights are randomized from the top layer down, and the maps should change.

Adebayo et al. 2018, Sanity Checks for Saliency Maps, https://arxiv.org/abs/1810.03292, section 3: the cascading randomization. A method
whose maps stay the same shows the picture, such as its edges, and not the model.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from malaria_exp.deployment.explanations.explained_model import inside
from malaria_exp.evaluation.layer_calls import replaced_calls

if TYPE_CHECKING:
    import keras

# Fractions of the layers with weights that are randomized, from the top down; the first stage is the top layer alone.
STAGES = (0.0, 0.25, 0.5, 0.75, 1.0)
# Maps that are still as alike as this when all weights are random, by rank correlation, hardly depend on them.
ALIKE = 0.5
# Of structural similarity (Wang et al. 2004, https://doi.org/10.1109/TIP.2003.819861), for maps in [-1, 1]; sigma in pixels.
SIGMA, C1, C2 = 1.5, 0.02**2, 0.06**2
Maps = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Stage:
    """What is left of maps at a stage.

    Attributes:
        layers: how many layers are randomized, from the top down.
        top: name of the lowest of them.
        spearman: by method, the rank correlation with the maps of the trained model, mean over cells.
        ssim: by method, their structural similarity, mean over cells.
    """

    layers: int
    top: str
    spearman: dict[str, float]
    ssim: dict[str, float]


def randomize(network: "keras.Model", fresh: "keras.Model", images: np.ndarray, draw: Callable[[], Maps]) -> list[Stage]:
    """Compares maps with those after more and more layers have got new weights; the network has its own weights again afterwards.

    Args:
        network: the trained model.
        fresh: the same model with new weights.
        images: the cells, uint8 (N, size, size, 3).
        draw: computes, by method, the maps of these cells with the network's present weights, float (N, size, size).
    """
    new = {id(old): one for old, one in zip(network.weights, fresh.weights, strict=True)}
    kept = [weight.numpy() for weight in network.weights]
    layers = layers_from_top(network, images[:1])
    cells = [inside(image) for image in images]
    stages: list[Stage] = []
    try:
        before, done = draw(), 0
        for number in sorted({max(1, round(fraction * len(layers))) for fraction in STAGES}):
            for _, weights in layers[done:number]:
                for weight in weights:
                    weight.assign(new[id(weight)])
            done, after = number, draw()
            alike = {name: [similarity(*three) for three in zip(before[name], after[name], cells, strict=True)] for name in before}
            means = {name: np.mean(values, axis=0).tolist() for name, values in alike.items()}
            stages.append(Stage(number, layers[number - 1][0], *({name: pair[which] for name, pair in means.items()} for which in (0, 1))))
    finally:
        for weight, value in zip(network.weights, kept, strict=True):
            weight.assign(value)
    return stages


def layers_from_top(network: "keras.Model", image: np.ndarray) -> list[tuple[str, list[Any]]]:
    """Returns the name of every layer with weights of its own, however deep in the model, and these weights, from the last one called down.

    Args:
        network: any model, also a subclassed one.
        image: uint8 (1, size, size, 3), that it is called with.
    """
    called: dict[int, tuple[str, list[Any]]] = {}

    def note(layer: "keras.Layer", call: Callable[..., Any]) -> Callable[..., Any]:
        inner = {id(weight) for one in layer._flatten_layers(include_self=False) for weight in one.weights}
        own = [weight for weight in layer.weights if id(weight) not in inner]

        def noted(*args: Any, **kwargs: Any) -> Any:
            if own:
                called.pop(id(layer), None)
                called[id(layer)] = (layer.name, own)
            return call(*args, **kwargs)

        return noted

    with replaced_calls(network, note):
        network(image.astype(np.float32) / 255, training=False)
    return list(reversed(called.values()))


def similarity(first: np.ndarray, second: np.ndarray, cell: np.ndarray) -> tuple[float, float]:
    """Returns rank correlation and structural similarity of two maps within a cell; 0 where a map is the same everywhere.

    Args:
        first: (size, size).
        second: (size, size).
        cell: bool (size, size), where the cell is.
    """
    from scipy import ndimage, stats  # imported late, as in `clopper_pearson`

    if not cell.any() or any(np.ptp(values[cell]) == 0 for values in (first, second)):
        return 0.0, 0.0
    ranks = [stats.rankdata(values[cell]) for values in (first, second)]
    a, b = (values / np.abs(values[cell]).max() for values in (first, second))
    blur = [ndimage.gaussian_filter(values, SIGMA) for values in (a, b, a * a, b * b, a * b)]
    mean_a, mean_b, square_a, square_b, product = blur
    variances = square_a - mean_a**2 + square_b - mean_b**2
    local = (2 * mean_a * mean_b + C1) * (2 * (product - mean_a * mean_b) + C2) / ((mean_a**2 + mean_b**2 + C1) * (variances + C2))
    return float(np.corrcoef(*ranks)[0, 1]), float(local[cell].mean())


def hardly_changed(stages: Sequence[Stage]) -> list[str]:
    """Returns a sentence for each method whose maps, with all weights random, are still as alike as `ALIKE` says."""
    return [
        f"With all weights random, the maps of {name.replace('_', ' ')} are still much like those of the trained model (rank correlation"
        f" {value:.2f}): they show the picture more than what the model has learned."
        for name, value in (stages[-1].spearman.items() if stages else ())
        if value >= ALIKE
    ]
