"""The picture of a model's architecture: boxes from the image to the logit, with arrows for what reads what."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from malaria_exp.evaluation.model_summary import ModelFacts
from malaria_exp.evaluation.plots.model_diagram import Box, boxes_of, describe_shape
from malaria_exp.evaluation.plots.style import BLACK, GRAY, TEXT

# A tint for each family, light enough for black text; names of classes contain these words. The text says the same as the tint.
FAMILIES = (
    ("convolution", ("Conv", "PatchEmbedding"), "#BBD9EE"),
    ("attention", ("Attention", "Embedding"), "#EBCFE0"),
    ("dense", ("Dense", "Logit"), "#FBDDB0"),
    ("pooling, flattening", ("Pool", "Flatten"), "#BFE5D6"),
    ("normalization", ("Norm",), "#DADADA"),
)
OTHER = ("other", (), "#F6F6F6")
# Inches: the picture, the boxes' left and right, the right ends of the columns, lines, gaps.
WIDTH, LEFT, RIGHT = 7.4, 0.5, 6.75
COLUMNS = {"output": 4.6, "parameters": 5.6, "FLOPs a cell": 6.65}
LINE, PADDING, GAP, HEAD, FOOT, LANE = 0.19, 0.15, 0.15, 1.0, 0.45, 0.11


def draw_architecture(name: str, facts: ModelFacts) -> Figure:
    """Draws a model from its input at the top to its logit at the bottom.

    Args:
        name: of the model.
        facts: what it is made of.
    """
    boxes = boxes_of(facts)
    heights = [PADDING + LINE * len(box.lines) for box in boxes]
    tops = [HEAD + sum(heights[:number]) + GAP * number for number in range(len(boxes))]
    total = tops[-1] + heights[-1] + FOOT
    figure = Figure(figsize=(WIDTH, total))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, WIDTH), ylim=(total, 0))
    axes.axis("off")
    axes.text(LEFT, 0.26, name, fontsize=TEXT + 3, weight="bold", va="center")
    size = f"{facts.parameters:,} parameters, {human_flops(facts.flops)} to score a cell, {len(facts.layers)} layers"
    axes.text(LEFT, 0.53, size, fontsize=TEXT, color=GRAY, va="center")
    for column, x in COLUMNS.items():
        axes.text(x, HEAD - 0.13, column, fontsize=TEXT - 2, color=GRAY, ha="right", va="center")
    for box, top, height in zip(boxes, tops, heights, strict=True):
        _draw_box(axes, box, top, height)
    _draw_arrows(axes, boxes, tops, heights)
    _draw_blocks(axes, boxes, tops, heights)
    _draw_legend(axes, [_family(box) for box in boxes[1:]], total - 0.22)
    return figure


def human_flops(flops: int) -> str:
    """Returns a number of operations as text: "1.2 MFLOPs"."""
    return f"{_human(flops)}FLOPs"


def _human(flops: int) -> str:
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        # 999,999 is shown as 1.00 M, not as 1e+03 k.
        if flops >= 0.9995 * size:
            digits = max(0, 3 - len(str(int(flops / size + 0.5))))
            return f"{flops / size:.{digits}f} {unit}"
    return f"{flops} "


def _family(box: Box) -> tuple[str, str]:
    """Returns the family's name and its tint."""
    found = next((family for family in FAMILIES if any(word in box.kind for word in family[1])), OTHER)
    return found[0], found[2]


def _draw_box(axes: Any, box: Box, top: float, height: float) -> None:
    tint = _family(box)[1] if box.kind else "white"
    style = "round,pad=0,rounding_size=0.05"
    axes.add_patch(FancyBboxPatch((LEFT, top), RIGHT - LEFT, height, boxstyle=style, facecolor=tint, edgecolor=GRAY, linewidth=0.9))
    first = top + (PADDING + LINE) / 2
    for number, line in enumerate(box.lines):
        axes.text(LEFT + 0.1, first + LINE * number, line, fontsize=TEXT - 1, va="center")
    numbers = (describe_shape(box.shape), f"{box.parameters:,}" if box.parameters else "", _human(box.flops) if box.flops else "")
    for x, text in zip(COLUMNS.values(), numbers, strict=True):
        axes.text(x, first, text, fontsize=TEXT - 1, ha="right", va="center")


def _draw_arrows(axes: Any, boxes: Sequence[Box], tops: Sequence[float], heights: Sequence[float]) -> None:
    """Draws an arrow to the next box, a path along the right side to a later one, or a small loop for paths around layers of a box."""
    # For each lane at the right the box at which it becomes free; the nearest free one is taken, the last one is shared.
    lanes: list[int] = [0] * int((WIDTH - RIGHT - 0.1) / LANE)
    for number, box in enumerate(boxes):
        for source in box.reads:
            if source == number - 1:
                _arrow(axes, [(LEFT + 0.45, tops[number] - GAP), (LEFT + 0.45, tops[number])])
                continue
            lane = next((at for at, free in enumerate(lanes) if free <= source), len(lanes) - 1)
            lanes[lane] = max(lanes[lane], number)
            x = RIGHT + LANE * (lane + 1)
            start, end = tops[source] + 0.75 * heights[source], tops[number] + 0.3 * heights[number]
            _arrow(axes, [(RIGHT, start), (x, start), (x, end), (RIGHT, end)])
        # A loop would not be seen among paths along the side; the box's text says the same.
        if box.merges and not any(lanes):
            high, low = tops[number] + 0.25 * heights[number], tops[number] + 0.75 * heights[number]
            _arrow(axes, [(RIGHT, high), (RIGHT + 1.6 * LANE, high), (RIGHT + 1.6 * LANE, low), (RIGHT, low)])


def _arrow(axes: Any, points: Sequence[tuple[float, float]]) -> None:
    axes.plot(*zip(*points[:-1], strict=True), color=BLACK, linewidth=1, solid_joinstyle="round")
    look = {"arrowstyle": "-|>", "color": BLACK, "lw": 1, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 8}
    axes.annotate("", points[-1], points[-2], arrowprops=look)


def _draw_blocks(axes: Any, boxes: Sequence[Box], tops: Sequence[float], heights: Sequence[float]) -> None:
    """Draws a bracket with the name at the left of boxes that lie in one nested model or block."""
    for name, run in groupby(range(len(boxes)), key=lambda number: boxes[number].inside):
        members = list(run)
        if not name:
            continue
        top, bottom = tops[members[0]], tops[members[-1]] + heights[members[-1]]
        axes.plot([LEFT - 0.06, LEFT - 0.14, LEFT - 0.14, LEFT - 0.06], [top, top, bottom, bottom], color=GRAY, linewidth=1)
        longest = max(3, int((bottom - top) / 0.075))
        short = name if len(name) <= longest else f"{name[: longest - 1]}\u2026"
        axes.text(LEFT - 0.27, (top + bottom) / 2, short, fontsize=TEXT - 1, color=GRAY, rotation=90, ha="center", va="center")


def _draw_legend(axes: Any, families: Sequence[tuple[str, str]], y: float) -> None:
    """Names the tints that are used, in the order of FAMILIES."""
    order = [family[0] for family in (*FAMILIES, OTHER)]
    x = LEFT
    for name, tint in sorted(set(families), key=lambda family: order.index(family[0])):
        axes.add_patch(FancyBboxPatch((x, y - 0.06), 0.16, 0.12, boxstyle="square,pad=0", facecolor=tint, edgecolor=GRAY, linewidth=0.8))
        axes.text(x + 0.22, y, name, fontsize=TEXT - 2, color=GRAY, va="center")
        x += 0.42 + 0.073 * len(name)
