"""What stands in a model card, in order, whatever it is written as."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

# Importing them makes their facts known.
from malaria_exp.deployment.card import facts_of_data, facts_of_model, facts_of_results  # noqa: F401
from malaria_exp.deployment.card.checklists import ANSWERED, AUTHOR, IN_PART, Answer, Checklist, answer
from malaria_exp.deployment.card.claim_2024 import CLAIM
from malaria_exp.deployment.card.facts import FACTS, Fact, facts
from malaria_exp.deployment.card.record import CardRecord
from malaria_exp.deployment.card.stard_ai import STARD_AI
from malaria_exp.evaluation.metrics import METRICS
from malaria_exp.evaluation.reports.results_files import Result
from malaria_exp.evaluation.reports.templates import interval, number
from malaria_exp.evaluation.summary import first_threshold, reported_subset, shown_cells

# Titles, and the facts below each.
SECTIONS = {
    "Intended use": ("intended", "limits"),
    "Results": (
        "accuracy",
        "tuning_accuracy",
        "thresholds",
        "calibration",
        "confusion",
        "per_patient",
        "external",
        "uncertainty",
        "test_access",
    ),
    "Data": (
        "data_source",
        "pooled",
        "labels",
        "partitions",
        "disjoint",
        "baseline",
        "effective",
        "excluded",
        "never_tested",
        "preprocessing",
    ),
    "Model": ("technology", "architecture", "foreign", "initial_weights", "ensemble", "training", "selection"),
    "Reproducing it": ("command", "software", "hashes", "weights", "audit"),
}
# Ids of https://hf.co/metrics where it has them.
HUB_METRICS = {
    "auc": "roc_auc",
    "accuracy": "accuracy",
    "sensitivity": "recall",
    "specificity": "specificity",
    "ppv": "precision",
    "f1": "f1",
}
HUB_METRICS |= {"mcc": "matthews_correlation", "brier": "brier_score"}
TAGS = ["malaria", "microscopy", "thin-blood-smear", "medical-imaging", "tensorflow", "malaria_exp"]


class Line(NamedTuple):
    """A fact with what it is about."""

    about: str
    fact: Fact


@dataclass(frozen=True)
class Card:
    """A model card.

    Attributes:
        title: of the page.
        leaky: training and evaluation share patients or images.
        sections: title to lines.
        subset: that the results are of.
        results: metric, threshold or "", value, interval; a row each.
        level: of the intervals, "95%".
        checklists: with their answers.
        metadata: the Hugging Face front matter.
    """

    title: str
    leaky: bool
    sections: dict[str, list[Line]]
    subset: str
    results: list[tuple[str, str, str, str]]
    level: str
    checklists: list[tuple[Checklist, list[Answer]]]
    metadata: dict[str, Any]


def make_card(record: CardRecord, *, license: str | None) -> Card:
    """Puts a card together.

    Args:
        record: of the run.
        license: of the model, an id of https://hf.co/docs/hub/repositories-licenses; None if the author has not said.
    """
    known = facts(record)
    lines = {title: [Line(_about(name), known[name]) for name in names if name in known] for title, names in SECTIONS.items()}
    what = record.model["model"]["name"] if record.model else record.metrics["pooled"]["what"]
    return Card(
        title=f"{what} for malaria in single blood cells: {record.folder.name}",
        leaky=record.leaky,
        sections={title: found for title, found in lines.items() if found},
        subset=reported_subset(record.metrics),
        results=[
            (METRICS[metric].label, threshold, number(cell["value"]), interval(cell))
            for metric, threshold, cell in Result("", "", record.metrics, record.folder).rows()
        ],
        level=f"{record.metrics['interval']['confidence']:.0%}",
        checklists=[(checklist, answer(checklist, known)) for checklist in (CLAIM, STARD_AI)],
        metadata=_metadata(record, license),
    )


def tally(answers: list[Answer]) -> str:
    """Returns how many items are answered, in part, and left for the author, in a sentence."""
    counts = {state: sum(one.state == state for one in answers) for state in (ANSWERED, IN_PART, AUTHOR)}
    return f"Of {len(answers)} items the record answers {counts[ANSWERED]}, and {counts[IN_PART]} in part; {counts[AUTHOR]} are left for the author."


def _about(name: str) -> str:
    """Returns what a fact is about: the first line of its function's docstring."""
    return (FACTS[name][1].__doc__ or name).strip().splitlines()[0].rstrip(".")


def _metadata(record: CardRecord, license: str | None) -> dict[str, Any]:
    subset, first = reported_subset(record.metrics), first_threshold(record.metrics)
    cells: Mapping[str, Any] = shown_cells(record.metrics, subset)
    dataset, threshold = record.dataset or "unknown", f"{record.metrics['thresholds'][first]['value']:.3g}"
    results = [
        {
            "type": kind,
            "value": round(cells[name]["value"], 4),
            "name": METRICS[name].label + (f" at threshold {threshold}" if METRICS[name].needs_threshold else ""),
        }
        for name, kind in HUB_METRICS.items()
        if name in cells and cells[name]["value"] is not None
    ]
    return {
        "license": license or "unknown",
        "library_name": "keras",
        "pipeline_tag": "image-classification",
        "tags": [*TAGS, *([record.model["model"]["name"]] if record.model else []), *(["leaky"] if record.leaky else [])],
        "metrics": [one["type"] for one in results],
        "model-index": [
            {
                "name": record.folder.name,
                "results": [
                    {
                        "task": {"type": "image-classification", "name": "parasitized or uninfected, one blood cell an image"},
                        "dataset": {
                            "type": dataset,
                            "name": f"{dataset} (LEAKY)" if record.leaky else dataset,
                            "split": subset,
                        },
                        "metrics": results,
                    }
                ],
            }
        ],
    }
