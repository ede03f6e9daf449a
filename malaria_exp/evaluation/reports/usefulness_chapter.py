"""The chapters on subgroups and usefulness of a run's report, in words for readers who know no statistics."""

from collections.abc import Mapping, Sequence
from typing import Any

from malaria_exp.evaluation.reports.patient_chapter import percent

LEVEL = 0.05
# A shorter range of probabilities in which acting by the score is best may be chance.
NARROW = 0.1
SUBGROUP_CLOSING = (
    "A difference that is not shown is not shown to be absent: where intervals are wide, the groups may well differ. Groups overlap, and a group may"
    " differ for another reason than its name, such as how many cells its patients have."
)
USE_CLOSING = (
    "All of this is about cells of patients, stain and microscope like these, picked as these were. A promise about new patients holds for patients like"
    " those it was made on, and is one about many patients, not about each."
)


def subgroup_sentences(rows: Sequence[Mapping[str, Any]], at: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Returns (question, answer) pairs on the subgroup table.

    Args:
        rows: as `subgroups` gives them.
        at: the metrics of all cells at the first threshold.
    """
    return [
        ("Is it worse for some?", _differences(rows)),
        ("Where is it weakest?", " ".join(filter(None, (_weakest(rows, at, rate) for rate in ("sensitivity", "specificity"))))),
        ("Of whom can nothing be said?", _too_few(rows)),
    ]


def _differences(rows: Sequence[Mapping[str, Any]]) -> str:
    tests = [(row, rate, test) for row in rows for rate, test in row["tests"].items() if test["p"] is not None]
    if not tests:
        return "Not known: no group has enough patients for a test."
    found = [(row, rate, test) for row, rate, test in tests if test["p_holm"] < LEVEL]
    if not found:
        return (
            f"No group was shown to differ from all others in sensitivity or specificity: {len(tests)} tests over patients, together wrong in at most"
            f" {LEVEL:.0%} of cases (Holm)."
        )
    texts = [
        f"{_name(row)}: {rate} {abs(100 * test['difference']):.1f} points {'above' if test['difference'] > 0 else 'below'} all others"
        f" (p = {test['p_holm']:.3g})"
        for row, rate, test in found
    ]
    return f"Yes: {'; '.join(texts)}. {len(tests)} tests over patients, corrected for their number (Holm)."


def _weakest(rows: Sequence[Mapping[str, Any]], at: Mapping[str, Any], rate: str) -> str:
    known = [row for row in rows if row[rate]["low"] is not None]
    if not known:
        return ""
    row = min(known, key=lambda row: float(row[rate]["value"]))
    return f"{rate.capitalize()} is lowest for {_name(row)}: {percent(row[rate])}, over all {percent(at[rate])}."


def _too_few(rows: Sequence[Mapping[str, Any]]) -> str:
    few = [row for row in rows if any(test["p"] is None and "a test needs" in test["reason"] for test in row["tests"].values())]
    if not few:
        return "Every group has patients enough for a test."
    names = "; ".join(f"{_name(row)} ({row['patients']})" for row in few)
    return (
        f"Of groups with fewer than five patients that have such cells, or whose rest has: {names}. Their numbers rest on too few patients."
    )


def _name(row: Mapping[str, Any]) -> str:
    words = {
        "infected": "{} patients",
        "parasites": "patients with {} parasitized cells",
        "month": "{}",
        "kind": "slides named {}",
        "slide": "slide {}",
    }
    return words.get(row["grouping"], "{}").format(row["group"])


def use_sentences(part: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Returns (question, answer) pairs on abstaining, the bound on misses, and decisions.

    Args:
        part: of a subset, with the entries of `further_chapters`.
    """
    return [
        ("What if it may leave doubtful cells to a person?", _abstaining(part["risk_coverage"])),
        ("Can it promise to miss few parasites?", _promise(part["conformal"])),
        ("Is acting on it better than checking every cell, or none?", _decisions(part["decision_curve"])),
    ]


def _abstaining(found: Mapping[str, Any]) -> str:
    whole, *rest = found["rows"]
    texts = [f"{percent(row['error'])} if it answers the surest {row['coverage']:.0%}" for row in rest]
    last = rest[-1]
    errors, kept = whole["missed"] + whole["alarms"], last["missed"] + last["alarms"]
    text = f"It is wrong in {percent(whole['error'])} of all cells, {', '.join(texts)}."
    if errors:
        text += (
            f" So a person who looks at the {whole['answered'] - last['answered']:,} most doubtful of {whole['answered']:,} cells can correct"
            f" {errors - kept:,} of {errors:,} errors; the others are made in cells of which the model is sure."
        )
    return text


def _promise(rows: Sequence[Mapping[str, Any]] | None) -> str:
    if not rows:
        return "Not known: that takes infected patients of whom the model has scores and who are not those reported here, such as validation patients."
    texts = [
        f"At the threshold {row['threshold']:.3g} at most {row['alpha']:.0%} of a new patient's parasitized cells are missed, on average over patients, as"
        f" chosen on {row['patients']} other infected patients. In the patients here {percent(row['missed'])} were missed, and {percent(row['specificity'])} of the"
        " uninfected cells were cleared."
        for row in rows
        if row["threshold"] is not None
    ]
    if refused := [row for row in rows if row["threshold"] is None]:
        bounds, needed = (
            " or ".join(found) for found in zip(*((f"{row['alpha']:.0%}", str(row["needed"])) for row in refused), strict=True)
        )
        patients = refused[0]["patients"]
        texts.append(
            f"No threshold can promise that at most {bounds} of a new patient's parasitized cells are missed: that takes {needed} infected patients to choose it"
            f" on, and there are {patients}. Of so few, even a model that misses nothing in them could promise no less than {1 / (patients + 1):.0%}."
        )
    return " ".join(texts)


def _decisions(found: Mapping[str, Any]) -> str:
    low, high = found["useful"] or (0.0, 0.0)
    if high - low < NARROW:
        return "Not shown: over no range of probabilities does the band of its net benefit lie above both."
    row = next((row for row in found["rows"] if low <= row["threshold"] <= high), None)
    text = f"Yes, for whoever acts on cells from a probability between {low:.0%} and {high:.0%} on: there the whole band of its net benefit lies above both."
    if row:
        one = round((1 - row["threshold"]) / row["threshold"])
        text += (
            f" Example: acting from {row['threshold']:.0%} on holds one missed parasite for as bad as {one} false alarm{'s' if one > 1 else ''}. Then the"
            f" score is worth {row['fewer_alarms']:,.0f} false alarms less in 1,000 such cells than the better of the two, without a miss more."
        )
    return text
