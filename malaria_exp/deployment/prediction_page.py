"""The page of a prediction: counts, patients, and pictures of the cells sorted by score. It loads nothing; names of files are escaped."""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from malaria_exp.deployment.deployed_model import ModelFacts
from malaria_exp.deployment.prediction_counts import Counts
from malaria_exp.deployment.predictions_file import PredictedImage
from malaria_exp.evaluation.reports.templates import template
from malaria_exp.utils.errors import by_reason

# Rows of the table of patients, those with the highest fractions first; patients.csv has all.
MOST_PATIENTS = 30
GROUPS = {
    "high": ("Highest scores", "The model is most sure that these cells are parasitized."),
    "unsure": (
        "Least certain",
        "Their scores are nearest to the threshold {first}: a little more or less, and the model would have said the other. Look at these"
        " yourself.",
    ),
    "low": ("Lowest scores", "The model is most sure that these cells are uninfected."),
    "foreign": (
        "Do not look like the training data",
        "A score says nothing about what the model has never seen. Those with the highest scores are shown: they would be taken for parasitized"
        " cells.",
    ),
}


@dataclass(frozen=True)
class ShownCell:
    """A cell of the page.

    Attributes:
        image: what was predicted.
        predicted: its class at the first threshold.
        pictures: PNG bytes and what they show; several stand side by side.
    """

    image: PredictedImage
    predicted: str
    pictures: Sequence[tuple[bytes, str]]

    @property
    def sources(self) -> list[tuple[str, str]]:
        """The pictures as data URLs, with what they show."""
        return [("data:image/png;base64," + base64.b64encode(png).decode(), words) for png, words in self.pictures]


def render_page(
    facts: ModelFacts,
    counts: Counts,
    patients: Sequence[Mapping[str, Any]],
    pictures: Callable[[PredictedImage, int], Sequence[tuple[bytes, str]]],
    *,
    title: str,
    leaky: bool,
    confidence: float,
    rates: Mapping[str, tuple[float, float]],
    notes: Sequence[str],
) -> str:
    """Returns the page as HTML.

    Args:
        facts: of the model.
        counts: what was predicted.
        patients: as `parasitemia` returns them.
        pictures: what is shown of an image and its place in a group: PNG bytes, and what they show, in words.
        title: of the page.
        leaky: the model was trained on a split in which patients are on both sides.
        confidence: level of the intervals.
        rates: by threshold, mean sensitivity and specificity of the model over test patients.
        notes: sentences of caution.
    """
    first, threshold = next(iter(facts.thresholds.items()))
    groups = []
    for name, (heading, words) in GROUPS.items():
        cells = [
            ShownCell(image, facts.classes[(image.score or 0) >= threshold.value], pictures(image, place))
            for place, image in enumerate(counts.shown[name].images)
        ]
        if cells:
            groups.append((heading, words.format(first=f"{first} = {threshold.value:.3g}"), cells))
    own = [row for row in patients if row["threshold"] == first]
    return template("predictions.html.j2").render(
        title=title,
        subtitle=f"Scored by {facts.folder.resolve().name}",
        leaky=leaky,
        tiles=_tiles(facts, counts, first),
        notes=notes,
        facts=facts,
        counts=counts,
        first=first,
        patients=sorted(own, key=lambda row: -row["fraction"])[:MOST_PATIENTS],
        all_patients=len(own),
        confidence=confidence,
        rates=rates,
        groups=groups,
        errors=by_reason(counts.listed),
    )


def _tiles(facts: ModelFacts, counts: Counts, first: str) -> list[tuple[str, str, str]]:
    hits, scored = counts.all.parasitized.get(first, 0), counts.all.scored
    tiles = [
        ("Cells", f"{scored:,}", "scored"),
        (f"Predicted {facts.classes[1]}", f"{hits:,}", f"{hits / scored:.2%} of them, at {first}" if scored else ""),
    ]
    if facts.ood:
        tiles.append(
            ("Unlike the training data", f"{counts.all.foreign:,}", f"{counts.all.foreign / scored:.2%} of them" if scored else "")
        )
    return [*tiles, ("Not scored", f"{counts.errors:,}", "files that cannot be used")]
