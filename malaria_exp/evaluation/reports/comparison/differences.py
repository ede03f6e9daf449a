"""Which configurations are compared with which, on which cells, and what may be said of the difference."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

from malaria_exp.evaluation.holm import holm
from malaria_exp.evaluation.metrics import METRICS
from malaria_exp.evaluation.paired_tests import Difference, compare_models
from malaria_exp.evaluation.reports.comparison.configurations import Configuration, best_first
from malaria_exp.evaluation.reports.comparison.shared_cells import Read, Replicate, pair, replicates
from malaria_exp.utils.errors import ConfigError, DataError, RunFolderError, did_you_mean

# So many configurations are compared in pairs; of more, each with the reference.
MOST_IN_PAIRS = 4
# Of more configurations those that are best on validation are tested: Holm's correction for hundreds leaves nothing to find.
MOST_TESTED = 30
MOST_SENTENCES = 8
Verdict = Literal["better", "worse", "not worse by the margin", "worse, by less than the margin", "no difference shown", "not tested"]


@dataclass(frozen=True)
class Settings:
    """What is asked of a comparison.

    Attributes:
        metrics: names of METRICS, at least one.
        reference: a run, or the label of a configuration, that all others are compared with; None for the first.
        margin: how much worse counts as not worse; None for no such test.
        confidence: of the intervals; 1 - confidence is the level of the tests.
        seed: of the resamples.
    """

    metrics: Sequence[str] = ("auc",)
    reference: str | None = None
    margin: float | None = None
    confidence: float = 0.95
    seed: int = 0


@dataclass(frozen=True)
class Comparison:
    """Two configurations and the difference of one metric, model minus reference.

    Attributes:
        model: label of the one that is judged.
        reference: label of the one that it is compared with.
        seeds: how many of each.
        difference: what was found.
        settings: what was asked.
        tests: how many tests Holm's correction is for.
    """

    model: str
    reference: str
    seeds: tuple[int, int]
    difference: Difference
    settings: Settings
    tests: int = 1

    @property
    def verdict(self) -> Verdict:
        """What may be said after Holm's correction."""
        found, level = self.difference, 1 - self.settings.confidence
        if found.value is None or found.p_holm is None:
            return "not tested"
        gain = found.value * (1 if METRICS[found.metric].direction == "max" else -1)
        # One-sided at half the level, as the lower end of a two-sided interval would have it.
        within = found.p_margin_holm is not None and found.p_margin_holm < level / 2
        if found.p_holm < level:
            return "better" if gain > 0 else "worse, by less than the margin" if within else "worse"
        return "not worse by the margin" if within else "no difference shown"

    @property
    def sentence(self) -> str:
        """The verdict with its numbers, in words."""
        found = self.difference
        name = f"{METRICS[found.metric].label}{', where less is better,' if METRICS[found.metric].direction == 'min' else ''}"
        margin = f"{self.settings.margin or 0:g}"
        said = {
            "better": f"{self.model} is better than {self.reference}",
            "worse": f"{self.model} is worse than {self.reference}",
            "worse, by less than the margin": f"{self.model} is worse than {self.reference}, by less than {margin}",
            "not worse by the margin": f"{self.model} is not worse than {self.reference} by {margin} or more",
            "no difference shown": f"No difference is shown between {self.model} and {self.reference}",
            "not tested": f"{self.model} and {self.reference} are not tested",
        }[self.verdict]
        if found.p_holm is None:
            return f"{said}: {name}, {found.reason}."
        seeds = f", {self.seeds[0]} and {self.seeds[1]} seeds" if max(self.seeds) > 1 else ""
        p = found.p_margin_holm if self.verdict == "not worse by the margin" else found.p_holm
        shown = "< 0.001" if p is not None and p < 0.001 else f"= {p:.3f}"
        correction = f" (Holm, {self.tests} tests)" if self.tests > 1 else ""
        return f"{said}: {name} {difference_text(found)}, p {shown}{correction}; {found.patients} patients{seeds}."


def difference_text(found: Difference) -> str:
    """Returns "+0.031 (+0.012 to +0.055)", "" for no difference at all."""
    if found.value is None:
        return ""
    return f"{found.value:+.4f}" + ("" if found.low is None or found.high is None else f" ({found.low:+.4f} to {found.high:+.4f})")


def said(comparisons: Sequence[Comparison]) -> list[str]:
    """Returns a sentence a comparison; of many only those that say something, and the number of the others."""
    if len(comparisons) <= MOST_SENTENCES:
        return [one.sentence for one in comparisons]
    quiet = [one for one in comparisons if one.verdict in ("no difference shown", "not tested")]
    telling = [one.sentence for one in comparisons if one not in quiet]
    more = [f"... and {len(telling) - MOST_SENTENCES} more, in the table."] if len(telling) > MOST_SENTENCES else []
    return [*telling[:MOST_SENTENCES], *more, f"Of {len(comparisons)} comparisons {len(quiet)} show no difference, or could not be tested."]


def compare_configurations(groups: Sequence[Configuration], subset: str, read: Read, settings: Settings) -> list[Comparison]:
    """Compares configurations on the cells that both scored; of a single one its seeds.

    Args:
        groups: all configurations; those without results are passed over.
        subset: of the predictions.
        read: reads the predictions of a run.
        settings: what is asked.

    Returns:
        A comparison for each pair and metric, with p values corrected for all of them; empty if there are no two.

    Raises:
        ConfigError: the reference is none of them.
    """
    groups = [group for group in groups if group.done]
    if len(groups) == 1:
        groups = groups[0].by_seed
    reference = _reference(groups, settings.reference)
    if len(groups) > MOST_TESTED:
        groups = [reference, *[group for group in best_first(groups)[0] if group is not reference][: MOST_TESTED - 1]]
    if settings.reference is None and len(groups) <= MOST_IN_PAIRS:
        pairs = [(model, one) for one, model in combinations(groups, 2)]
    else:
        pairs = [(group, reference) for group in groups if group is not reference]
    scored: dict[int, list[Replicate] | str] = {}
    for group in groups if pairs else ():
        try:
            scored[id(group)] = replicates(group, subset, read)
        except (DataError, RunFolderError) as error:
            scored[id(group)] = str(error)
    found = [one for model, other in pairs for one in _compare(model, other, scored[id(model)], scored[id(other)], settings)]
    tests = sum(one.difference.p is not None for one in found)
    p, p_margin = (holm([getattr(one.difference, name) for one in found]) for name in ("p", "p_margin"))
    return [
        replace(one, tests=tests, difference=replace(one.difference, p_holm=own, p_margin_holm=of_margin))
        for one, own, of_margin in zip(found, p, p_margin, strict=True)
    ]


def _reference(groups: Sequence[Configuration], name: str | None) -> Configuration:
    if name is None:
        return groups[0]
    for group in groups:
        if name == group.label or any(name in (run.name, str(run.path)) for run in group.runs):
            return group
    known = [text for group in groups for text in (group.label, *(run.name for run in group.runs))]
    raise ConfigError(
        f"task.reference: no run or configuration '{name}' with results.{did_you_mean(name, known)} There are: {', '.join(dict.fromkeys(known))}."
    )


def _compare(
    model: Configuration,
    reference: Configuration,
    of_model: list[Replicate] | str,
    of_reference: list[Replicate] | str,
    settings: Settings,
) -> list[Comparison]:
    def comparison(difference: Difference, seeds: tuple[int, int] = (0, 0)) -> Comparison:
        return Comparison(model.label, reference.label, seeds, difference, settings)

    reason, cells = "", []
    if model.leaky != reference.leaky:
        reason = "one of them is LEAKY"
    elif isinstance(of_model, str) or isinstance(of_reference, str):
        reason = of_model if isinstance(of_model, str) else str(of_reference)
    else:
        try:
            cells = pair(of_model, of_reference)
        except DataError as error:
            reason = str(error)
    if not cells:
        return [comparison(Difference(metric, None, None, None, 0, 0, reason=reason)) for metric in settings.metrics]
    sides = sum(len(one.model.score) for one in cells), sum(len(one.reference.score) for one in cells)
    return [
        comparison(compare_models(cells, metric, confidence=settings.confidence, margin=settings.margin, seed=settings.seed), sides)
        for metric in settings.metrics
    ]
