"""The chapters on subgroups and usefulness of a run's report, in words for readers who know no statistics."""

from collections.abc import Mapping, Sequence
from typing import Any

from malaria_exp.evaluation.intervals.interval_interface import complement
from malaria_exp.evaluation.reports.patient_chapter import percent
from malaria_exp.evaluation.subgroups.groupings import COLUMN
from malaria_exp.evaluation.subgroups.permutation_test import FEWEST

LEVEL = 0.05
# Of which cells a rate is a fraction, and what the model does with those that it counts.
CELLS, DOES = {"sensitivity": "parasitized", "specificity": "uninfected"}, {"sensitivity": "finds", "specificity": "clears"}
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
            "That is not shown for any group: what differs here between groups, in parasitized cells found or uninfected cells cleared, may be chance"
            f" ({len(tests)} tests over patients; in {100 * (1 - LEVEL):.0f} of 100 such tables not one would find a difference that is not there, by Holm's"
            " correction)."
        )
    texts = [
        f"of 100 {CELLS[rate]} cells it {DOES[rate]} {abs(100 * test['difference']):.1f} {'more' if test['difference'] > 0 else 'fewer'} for {_name(row)} than"
        f" for all others ({rate}, p = {test['p_holm']:.3g})"
        for row, rate, test in found
    ]
    return f"There are differences beyond chance: {'; '.join(texts)}. {len(tests)} tests over patients, corrected for their number (Holm)."


def _weakest(rows: Sequence[Mapping[str, Any]], at: Mapping[str, Any], rate: str) -> str:
    known = [row for row in rows if row[rate]["low"] is not None]
    if not known:
        return ""
    row = min(known, key=lambda row: float(row[rate]["value"]))
    return f"Of the {CELLS[rate]} cells it {DOES[rate]} the fewest for {_name(row)}: {percent(row[rate])}, for all patients {percent(at[rate])} ({rate})."


def _too_few(rows: Sequence[Mapping[str, Any]]) -> str:
    few = [row for row in rows if any(test["p"] is None and "a test needs" in test["reason"] for test in row["tests"].values())]
    if not few:
        return "Every group has patients enough for a test."
    names = "; ".join(f"{_name(row)} ({row['patients']})" for row in few)
    return f"Of groups in which fewer than {FEWEST} patients have such cells, or {FEWEST} of all others: {names}. Their numbers rest on too few patients."


def _name(row: Mapping[str, Any]) -> str:
    if row["grouping"].startswith(COLUMN):
        return f"{row['grouping'].removeprefix(COLUMN)} {row['group']}"
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
        person = (
            f"A person who looks at the {whole['answered'] - last['answered']:,} most doubtful of {whole['answered']:,} cells can correct"
        )
        return f"{person} {errors - kept:,} of {errors:,} errors; the others are made in cells of which the model is sure. {text}"
    return text


def _promise(rows: Sequence[Mapping[str, Any]] | None) -> str:
    if not rows:
        return "Not known: that takes infected patients of whom the model has scores and who are not those reported here, such as validation patients."
    texts = [
        f"At the threshold {row['threshold']:.3g} at most {row['alpha']:.0%} of a new patient's parasitized cells are missed, on average over patients; the"
        f" price are false alarms in {percent(complement(row['specificity']))} of the uninfected cells. The threshold was chosen on {row['patients']} infected"
        f" patients; in others, those here, {percent(row['missed'])} were missed."
        for row in rows
        if row["threshold"] is not None
    ]
    if refused := [row for row in rows if row["threshold"] is None]:
        bounds, needed = (
            " or ".join(found) for found in zip(*((f"{row['alpha']:.0%}", str(row["needed"])) for row in refused), strict=True)
        )
        patients = refused[0]["patients"]
        texts.append(
            f"{'But no' if texts else 'No: no'} threshold can promise that at most {bounds} of a new patient's parasitized cells are missed: that takes {needed}"
            f" infected patients to choose it on, and there are {patients}. Of so few, even a model that misses nothing in them could promise no less than"
            f" {1 / (patients + 1):.0%}."
        )
    return ("Yes. " if rows[-1]["threshold"] is not None else "") + " ".join(texts)


def _decisions(found: Mapping[str, Any]) -> str:
    low, high = found["useful"] or (0.0, 0.0)
    if high - low < NARROW:
        return "That is not shown: it may be no better than one of the two (over no range of probabilities does the band of its net benefit lie above both)."
    row = next((row for row in found["rows"] if low <= row["threshold"] <= high), None)
    text = f"Yes, for whoever acts on cells from a probability between {low:.0%} and {high:.0%} on: there the whole band of its net benefit lies above both."
    if row:
        one = round((1 - row["threshold"]) / row["threshold"])
        text = (
            f"Yes. For example, whoever holds one missed parasite for as bad as {one} false alarm{'s' if one > 1 else ''} acts from {row['threshold']:.0%} on,"
            f" and has {row['fewer_alarms']:,.0f} false alarms fewer in 1,000 such cells than by the better of the two, without a miss more. It holds"
            f"{text.removeprefix('Yes,')}"
        )
    return text
