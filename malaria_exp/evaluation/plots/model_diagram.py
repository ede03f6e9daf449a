"""The boxes of an architecture's picture: one a layer for a small model, one a stage or a nested model for a deep one."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from malaria_exp.evaluation.model_summary import IMAGE, LayerFact, ModelFacts

# Models of more layers are drawn by stages: layers in a row whose outputs have one size.
MOST_LAYERS = 20
# A path of so few layers that leaves a stage's size and comes back, such as the gate of a squeeze-and-excitation, belongs to the stage.
DETOUR = 8
TIMES = "\u00d7"


@dataclass(frozen=True)
class Box:
    """One box.

    Attributes:
        lines: what stands in it.
        shape: of its output.
        parameters: of its layers.
        flops: of its layers.
        kind: the class of layer that has most of its parameters.
        inside: the outermost block around all of its layers, or "".
        merges: number of layers inside at which two paths meet.
        reads: places in the list of boxes that it reads.
    """

    lines: tuple[str, ...]
    shape: tuple[int, ...]
    parameters: int
    flops: int
    kind: str
    inside: str
    merges: int
    reads: tuple[int, ...]


def boxes_of(facts: ModelFacts) -> list[Box]:
    """Returns the boxes from the image, which is the first, to the logit."""
    layers = facts.layers
    small = len(layers) <= MOST_LAYERS
    groups = [[number] for number in range(len(layers))] if small else _models_side_by_side(layers) or _stages(layers)
    place = {IMAGE: 0} | {row: number for number, group in enumerate(groups, start=1) for row in group}
    boxes = [Box(("image",), facts.input_shape, 0, 0, "", "", 0, ())]
    for number, group in enumerate(groups, start=1):
        reads = sorted({place[source] for row in group for source in layers[row].reads} - {number})
        boxes.append(_box([layers[row] for row in group], tuple(reads)))
    return boxes


def describe_shape(shape: Sequence[int]) -> str:
    """Returns a shape as text: "32 x 32 x 16", with the sign of multiplication."""
    return f" {TIMES} ".join(map(str, shape))


def _models_side_by_side(layers: Sequence[LayerFact]) -> list[list[int]]:
    """Returns a group for each model of an ensemble, all of which read the image; empty if the model is no ensemble."""
    names = {layer.inside[0] for layer in layers if layer.inside and IMAGE in layer.reads}
    if len(names) < 2:
        return []
    groups: list[list[int]] = []
    for row, layer in enumerate(layers):
        name = layer.inside[0] if layer.inside else ""
        if name in names and groups and layers[groups[-1][-1]].inside[:1] == (name,):
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups


def _stages(layers: Sequence[LayerFact]) -> list[list[int]]:
    """Returns the runs of layers whose outputs have one height and width, or one number of tokens or units."""
    most = Counter(layer.inside[0] for layer in layers if layer.inside).most_common(1)
    # A nested model that holds most layers, such as a backbone, shares no box with the other layers.
    nested = most[0][0] if most and most[0][1] > len(layers) / 2 else None
    sizes = [(nested is not None and layer.inside[:1] == (nested,), *_size(layer.shape)) for layer in layers]
    for row in reversed(range(len(layers) - 1)):
        if layers[row].kind == "ZeroPadding2D":
            # Padding belongs to the convolution that follows.
            sizes[row] = sizes[row + 1]
    groups = []
    start = 0
    while start < len(layers):
        end = start + 1
        while back := next((row for row in range(end, min(end + DETOUR, len(layers))) if sizes[row] == sizes[start]), None):
            end = back + 1
        groups.append(list(range(start, end)))
        start = end
    return groups


def _size(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Returns what stays the same in a stage: height and width of a picture, the number of tokens, nothing of a vector."""
    return (len(shape), *shape[:-1])


def _box(layers: Sequence[LayerFact], reads: tuple[int, ...]) -> Box:
    outermost = {layer.inside[0] if layer.inside else "" for layer in layers}
    residual = sum(layer.kind == "Add" and len(layer.reads) > 1 for layer in layers)
    merges = residual + sum(layer.kind == "Concatenate" and len(layer.reads) > 1 for layer in layers)
    if len(layers) == 1:
        words, merges = [_describe(layers[0])], 0
    else:
        kinds = Counter(" ".join([layer.kind, *_kernel(layer)]) for layer in layers)
        words = [f"{number} {TIMES} {kind}" if number > 1 else kind for kind, number in kinds.items()]
    lines = [re.sub(r"(?<=\d)x(?=\d)", TIMES, line) for line in _wrap(words)]
    if residual and len(layers) > 1:
        lines.append(f"{residual} residual connection{'s' if residual > 1 else ''}")
    return Box(
        tuple(lines),
        layers[-1].shape,
        sum(layer.parameters for layer in layers),
        sum(layer.flops for layer in layers),
        max(layers, key=lambda layer: layer.parameters).kind,
        outermost.pop() if len(outermost) == 1 else "",
        merges,
        reads,
    )


def _describe(layer: LayerFact) -> str:
    """Returns "Conv2D 3x3, stride 2, relu" or "Dense, relu"."""
    return f"{layer.kind}{' ' if _kernel(layer) else ', '}{layer.detail}" if layer.detail else layer.kind


def _kernel(layer: LayerFact) -> list[str]:
    """Returns the size of the kernel if the layer has one."""
    return [layer.detail.partition(",")[0]] if layer.detail[:1].isdigit() else []


def _wrap(words: Sequence[str], width: int = 40) -> list[str]:
    """Joins words with commas to lines of at most `width` characters, or one word."""
    lines = [""]
    for word in words:
        if lines[-1] and len(lines[-1]) + len(word) + 2 > width:
            lines[-1] += ","
            lines.append("")
        lines[-1] += (", " if lines[-1] else "") + word
    return lines
