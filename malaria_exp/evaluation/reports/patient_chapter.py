"""The patient chapter of a run's report, in words: what the predictions of cells are worth for a patient."""

from collections.abc import Mapping
from typing import Any

from malaria_exp.evaluation.thresholds import HALF

# Among the signs of severe falciparum malaria in the WHO's guidelines is a parasitemia above this.
SEVERE = 0.1
# From here on a limit of detection is said to be high; and a fraction at which parasites are rare.
LIGHT = 0.01
# Of a patient's cells: an example.
EXAMPLE = 0.2
NO_DIAGNOSIS = (
    "This is no diagnosis. Cells were picked for these data, so their fraction is not that of the patient's blood, and all numbers are"
    " of patients, stain and microscope like these. A laboratory that wants to use the model has to measure it on patients of its own."
)


def patient_sentences(part: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Returns (question, answer) pairs, the plainest first; those that the data cannot answer say why.

    Args:
        part: of a subset, as `evaluate` gives it, with known patients.
    """
    found, counted = part["patient_level"], part["counted"]
    return [
        ("Infected or healthy?", _told_apart(found, counted)),
        ("How many parasites does it need?", _detection(found["detection"], counted)),
        ("How many of a patient's cells are parasitized?", _agreement(found["agreement"], found["fractions"])),
        ("A cell was predicted parasitized: is it?", _predictive_values(found["predictive_values"])),
    ]


def percent(cell: Mapping[str, Any], digits: int = 1) -> str:
    """Returns "6.5% (4.7% to 9.9%)", without brackets where there is no interval."""
    value = f"{cell['value']:.{digits}%}"
    return value if cell["low"] is None else f"{value} ({cell['low']:.{digits}%} to {cell['high']:.{digits}%})"


def _told_apart(found: Mapping[str, Any], counted: Mapping[str, int]) -> str:
    infected, healthy = counted["infected_patients"], counted["healthy_patients"]
    if not (infected and healthy):
        return f"Not known: there is no {'healthy' if infected else 'infected'} patient here."
    auc = found["auc"]
    text = (
        f"Take one of the {infected} infected and one of the {healthy} healthy patients: in {percent(auc)} of such pairs more of the"
        " infected patient's cells are predicted parasitized."
    )
    if min(infected, healthy) < 20:
        text += f" {min(infected, healthy)} {'healthy' if healthy < infected else 'infected'} patients are few to say so."
    return text


def _detection(detection: Mapping[str, Any], counted: Mapping[str, int]) -> str:
    blank, limit, above = detection["limit_of_blank"], detection["limit_of_detection"], detection["above"]
    if blank["value"] is None:
        return "Not known: that takes two or more healthy patients."
    healthy = counted["healthy_patients"]
    blanks = (
        f"Healthy patients have false alarms, too: in 95% of them, up to {percent(blank)} of the cells (limit of blank). {above['infected']} of the"
        f" {counted['infected_patients']} infected and {above['healthy']} of the {healthy} healthy patients lie above it"
    )
    if limit["value"] is None:
        return f"{blanks}."
    if limit["value"] >= 1:
        return f"No number of parasitized cells is large enough to tell an infected patient from a healthy one with certainty. {blanks}."
    text = (
        f"At least {percent(limit)} of a patient's cells must be parasitized, or the infection may be overlooked (limit of detection, at"
        f" {detection['cells']} cells a patient)."
    )
    if limit["value"] > LIGHT:
        text += f" That is much: above {SEVERE:.0%} is a sign of severe malaria (WHO), so a light infection cannot be told from none."
    return f"{text} {blanks}; of patients with {limit['value']:.1%} parasitized cells, 95 of 100 would."


def _agreement(found: Mapping[str, Any], fractions: list[Mapping[str, Any]]) -> str:
    raw, corrected = found["predicted"], found["corrected"]
    if raw is None:
        return "Not known from one patient."
    low, high = (min(max(EXAMPLE + raw[end]["value"], 0), 1) for end in ("lower_limit", "upper_limit"))
    text = (
        f"Of a patient with {EXAMPLE:.0%} parasitized cells it may say anything from {low:.0%} to {high:.0%}: the predicted fraction is {_points(raw)} (limits of"
        " agreement)."
    )
    if corrected is not None:
        held = [row["low"] <= row["labeled"] <= row["high"] for row in fractions if row["corrected"] is not None]
        text += (
            f" Corrected for the errors that the model makes in other patients, it is {_points(corrected)}. The interval that goes with it"
            f" held the labeled fraction in {sum(held)} of {len(held)} patients."
        )
    return text


def _points(found: Mapping[str, Any]) -> str:
    bias, low, high = (found[name]["value"] for name in ("bias", "lower_limit", "upper_limit"))
    mean = "right on average" if abs(bias) < 0.0005 else f"{100 * abs(bias):.1f} points too {'high' if bias > 0 else 'low'} on average"
    return f"{mean}, and for about 95 of 100 patients between {_side(low)} and {_side(high)} the labeled one"


def _side(value: float) -> str:
    return f"{100 * abs(value):.1f} points {'above' if value > 0 else 'below'}"


def _predictive_values(rows: list[Mapping[str, Any]]) -> str:
    if any(row["ppv"]["value"] is None for row in rows):
        return "Not known: that takes cells of both classes."
    texts = [
        f"{percent(row['ppv'], 0)} where {_one_in(row['prevalence'])} is parasitized"
        for row in rows
        if row["prevalence"] in (0.5, 0.01, 0.001)
    ]
    rare = next(row["ppv"]["value"] for row in rows if row["prevalence"] == LIGHT)
    return (
        f"Where parasites are rare, as in most blood, {'mostly not' if rare < HALF else 'mostly yes'}. Yes for {', '.join(texts)}. Accuracy among picked"
        " cells, half of them parasitized, says little about blood."
    )


def _one_in(prevalence: float) -> str:
    return f"1 cell in {1 / prevalence:,.0f}"
