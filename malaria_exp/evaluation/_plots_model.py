"""The picture of a net's architecture: its layers as boxes from the image to the logit."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from malaria_exp.evaluation._style import BLACK, GREY, TEXT
from malaria_exp.model_facts import LayerFact

# Nets of more layers are drawn by stages: layers in a row whose outputs have one size.
MOST_LAYERS = 20
# A tint for each family, light enough for black text; names of classes contain these words.
FAMILIES = (
    (("Conv", "PatchEmbedding"), "convolution", "#BBD9EE"),
    (("Dense", "Logit"), "dense", "#FBDDB0"),
    (("Attention", "Embedding"), "attention", "#EBCFE0"),
    (("Pool", "Flatten"), "pooling", "#BFE5D6"),
    (("Normalization", "Norm"), "normalisation", "#E4E4E4"),
)
OTHER = "#F6F6F6"
TIMES = "\u00d7"
WIDTH = 6.6


@dataclass(frozen=True)
class Box:
    """One box of the picture: its heading, what stands below, and its tint."""

    heading: str
    lines: tuple[str, ...]
    tint: str


def draw_architecture(name: str, input_shape: Sequence[int], layers: Sequence[LayerFact], flops: int) -> Figure:
    """Draws a net from its input at the top to its logit at the bottom.

    Args:
        name: of the net.
        input_shape: of one image.
        layers: in the order in which they compute.
        flops: operations of scoring one cell.
    """
    boxes = [Box(f"image {_shape(input_shape)}", (), "white")]
    boxes += [_of_layer(layer) for layer in layers] if len(layers) <= MOST_LAYERS else _of_stages(layers)
    heights = [0.34 + 0.2 * len(box.lines) for box in boxes]
    gap, top = 0.16, 0.75
    total = sum(heights) + gap * (len(boxes) - 1) + top + 0.2
    figure = Figure(figsize=(WIDTH, total))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, WIDTH)
    axes.set_ylim(total, 0)
    axes.axis("off")
    parameters = sum(layer.parameters for layer in layers)
    axes.text(0.3, 0.25, name, fontsize=TEXT + 3, weight="bold", va="center")
    axes.text(0.3, 0.52, f"{parameters:,} parameters, {human_flops(flops)} a cell", fontsize=TEXT, color=GREY, va="center")
    y = top
    for number, (box, height) in enumerate(zip(boxes, heights, strict=True)):
        if number:
            axes.annotate(
                "",
                (WIDTH / 2, y),
                (WIDTH / 2, y - gap),
                arrowprops={"arrowstyle": "-|>", "color": BLACK, "lw": 1, "shrinkA": 0, "shrinkB": 0},
            )
        axes.add_patch(
            FancyBboxPatch(
                (0.3, y), WIDTH - 0.6, height, boxstyle="round,pad=0,rounding_size=0.06", facecolor=box.tint, edgecolor=GREY, linewidth=0.9
            )
        )
        axes.text(0.42, y + 0.17, box.heading, fontsize=TEXT, va="center")
        for place, line in enumerate(box.lines):
            axes.text(0.42, y + 0.4 + 0.2 * place, line, fontsize=TEXT - 1, color="#303030", va="center")
        y += height + gap
    return figure


def human_flops(flops: int) -> str:
    """Returns a number of operations for people: "1.2 MFLOPs"."""
    for unit, size in (("GFLOPs", 1e9), ("MFLOPs", 1e6), ("kFLOPs", 1e3)):
        if flops >= size:
            return f"{flops / size:.3g} {unit}"
    return f"{flops} FLOPs"


def _shape(shape: Sequence[int]) -> str:
    return f" {TIMES} ".join(map(str, shape))


def _tint(kind: str) -> str:
    return next((tint for words, _, tint in FAMILIES if any(word in kind for word in words)), OTHER)


def _of_layer(layer: LayerFact) -> Box:
    parameters = f", {layer.parameters:,} parameters" if layer.parameters else ""
    return Box(f"{layer.kind}   {_shape(layer.shape)}{parameters}", (), _tint(layer.kind))


def _of_stages(layers: Sequence[LayerFact]) -> list[Box]:
    """Returns a box for each run of layers whose output has one height and width, or one number of tokens or units."""
    stages: list[list[LayerFact]] = []
    for layer in layers:
        # Padding belongs to the convolution that follows.
        if stages and (_size(stages[-1][-1]) == _size(layer) or all(one.kind == "ZeroPadding2D" for one in stages[-1])):
            stages[-1].append(layer)
        else:
            stages.append([layer])
    return [_of_stage(stage) for stage in stages]


def _size(layer: LayerFact) -> tuple[int, ...]:
    return layer.shape[:2] if len(layer.shape) == 3 else (len(layer.shape), layer.shape[0] if len(layer.shape) == 2 else 0)


def _of_stage(stage: list[LayerFact]) -> Box:
    kinds = Counter(layer.kind for layer in stage)
    parameters = sum(layer.parameters for layer in stage)
    blocks = len({layer.inside[-1] for layer in stage if layer.inside and "block" in layer.inside[-1]})
    words = [f"{number} {TIMES} {kind}" if number > 1 else kind for kind, number in kinds.most_common()]
    heading = f"{_shape(stage[-1].shape)}   " + (f"{parameters:,} parameters" if parameters else "")
    if blocks or kinds["Add"]:
        what, number = ("residual block", blocks) if blocks else ("residual connection", kinds["Add"])
        heading += f", {number} {what}{'s' if number > 1 else ''}"
    heaviest = max(stage, key=lambda layer: layer.parameters)
    return Box(heading, tuple(_wrap(words)), _tint(heaviest.kind))


def _wrap(words: list[str], width: int = 78) -> list[str]:
    lines = [""]
    for word in words:
        if lines[-1] and len(lines[-1]) + len(word) + 2 > width:
            lines.append("")
        lines[-1] += (", " if lines[-1] else "") + word
    return lines
