"""What the record says of results."""

from malaria_exp.data.cell_table import of_patients
from malaria_exp.deployment.card.facts import SHOWN, estimates, fact
from malaria_exp.deployment.card.record import CardRecord
from malaria_exp.evaluation.intervals.interval_interface import PATIENTS_UNKNOWN
from malaria_exp.evaluation.metrics import METRICS
from malaria_exp.evaluation.reports.templates import interval, number
from malaria_exp.evaluation.summary import cautions, first_threshold, reported_subset, shown_cells


@fact("README.md of the program")
def intended(record: CardRecord) -> str | None:  # noqa: ARG001
    """Intended use."""
    return "Research and teaching. It is not a medical device and was not tested as one: no decision about a patient may rest on it."


@fact("status.json: task")
def goal(record: CardRecord) -> str | None:
    """What was done."""
    if not record.model:
        return "Models were trained and tested, and their results pooled."
    seen = "patients or images it had seen: LEAKY" if record.leaky else "cells it had not seen"
    tested = f"and tested on {seen}" if "test" in record.metrics["subsets"] else "and validated; its test subset stayed sealed"
    return f"A model was trained, calibrated {tested}."


@fact("metrics.json: subsets, interval")
def accuracy(record: CardRecord) -> str | None:
    """Result."""
    subset, used = reported_subset(record.metrics), record.metrics["interval"]
    counted = record.metrics["subsets"][subset]["counted"]
    known = record.metrics["subsets"][subset]["no_interval"] != PATIENTS_UNKNOWN
    first = first_threshold(record.metrics)
    return (
        f"On {counted['cells']:,} {subset} cells {of_patients(counted, known=known)}, at the threshold {first}: {estimates(record, subset)}."
        f" In brackets: {used['confidence']:.0%} intervals ({used['method']})."
    )


@fact("metrics.json: subsets.val")
def tuning_accuracy(record: CardRecord) -> str | None:
    """Result on validation cells."""
    if reported_subset(record.metrics) == "val" or "val" not in record.metrics["subsets"]:
        return None
    return f"On validation cells, on which epoch, calibration and thresholds were chosen: {estimates(record, 'val', SHOWN[:4])}."


@fact("metrics.json: thresholds")
def thresholds(record: CardRecord) -> str | None:
    """Thresholds."""
    texts = []
    for name, one in record.metrics["thresholds"].items():
        chance = f", which left-out validation patients kept in {one['chance']:.0%} of resamples" if one["chance"] is not None else ""
        promise = f"; it promises {one['promise']}{chance}" if one["promise"] else ""
        texts.append(f"{name} = {one['value']:.4g}: {one['rule']}{promise}")
    return "A cell is predicted parasitized if its score is at least the threshold. " + ". ".join(texts) + "."


@fact("metrics.json: subsets.*.calibration; plots/reliability.png")
def calibration(record: CardRecord) -> str | None:
    """Calibration."""
    found = record.metrics["subsets"][reported_subset(record.metrics)]["calibration"]
    name = record.metrics.get("calibration", {}).get("name", "each run's own")
    texts = [f"{key} {number(found[key]['value'], 2)} ({interval(found[key])})" for key in ("slope", "intercept") if interval(found[key])]
    return (
        f"Fitted on validation cells: {name}. On {reported_subset(record.metrics)} cells: {', '.join([*texts, ''])}expected calibration error"
        f" {number(found['ece'])}, Brier score {number(found['brier'])}."
    )


@fact("metrics.json: subsets.*.at; plots/confusion_matrix_*.png")
def confusion(record: CardRecord) -> str | None:
    """Right and wrong predictions."""
    found = record.metrics["subsets"][reported_subset(record.metrics)]["at"]
    return "; ".join(
        f"{name}: {one['tp']:,} parasitized found, {one['fn']:,} missed, {one['tn']:,} uninfected cleared, {one['fp']:,} false alarms"
        for name, one in found.items()
    )


@fact("plots/worst_errors.png; predictions.csv has the score of every cell")
def errors(record: CardRecord) -> str | None:
    """Errors in pictures."""
    return "The worst errors are shown as pictures." if "worst_errors.png" in record.files else None


@fact("metrics.json: subsets.*.per_patient; plots/per_patient.png")
def per_patient(record: CardRecord) -> str | None:
    """Patient by patient."""
    part, first = record.metrics["subsets"][reported_subset(record.metrics)], first_threshold(record.metrics)
    found, texts = part["per_patient"], []
    for rate in ("sensitivity", "specificity"):
        values = sorted(value for one in found if (value := one["at"][first][rate]) is not None)
        if values:
            texts.append(
                f"{rate} of {len(values)} patients from {values[0]:.3f} to {values[-1]:.3f}, median {values[len(values) // 2]:.3f}"
            )
    groups = ", ".join(dict.fromkeys(str(row["title"]).lower() for row in part.get("subgroups") or ()))
    more = f"The report compares groups, with tests: {groups}." if groups else "No other subgroup is recorded."
    return f"At the threshold {first}: {'; '.join(texts)}. {more}" if texts else None


@fact("metrics.json of the evaluations given as runs=")
def external(record: CardRecord) -> str | None:
    """Other data."""
    texts = []
    for name, metrics in record.external.items():
        cells, counted = shown_cells(metrics, "external"), metrics["subsets"]["external"]["counted"]
        rates = ", ".join(f"{METRICS[key].label} {number(cells[key]['value'])} ({interval(cells[key])})" for key in SHOWN[:4])
        texts.append(f"{name}: {counted['cells']:,} cells of {counted['patients']:,} patients, {rates}")
    return "; ".join(texts) + "." if texts else None


@fact("metrics.json: interval; docs/interval-coverage.md of the program says how often such intervals hold")
def uncertainty(record: CardRecord) -> str | None:
    """Uncertainty."""
    used = record.metrics["interval"]
    return f"{used['confidence']:.0%} intervals over patients: {used['method']}. No significance test stands in this record."


@fact("metrics.json: subsets.*.ranking, subsets.*.at; docs/run-folder.md of the program defines each")
def metrics_used(record: CardRecord) -> str | None:
    """Metrics."""
    cells = shown_cells(record.metrics, reported_subset(record.metrics))
    return ", ".join(METRICS[name].label for name in METRICS if name in cells) + "."


@fact("metrics.json: subsets.*.at.*.sensitivity.patients")
def effective(record: CardRecord) -> str | None:
    """Sample size."""
    cells = shown_cells(record.metrics, reported_subset(record.metrics))
    rates = [f"{cells[name]['patients']:.1f} for {name}" for name in ("sensitivity", "specificity") if cells[name]["patients"]]
    return (
        f"The sample was not chosen by a calculation that is recorded. Effective number of patients: {', '.join(rates)}." if rates else None
    )


@fact("metrics.json: subsets, thresholds, split")
def limits(record: CardRecord) -> str | None:
    """Limits."""
    counted = record.metrics["subsets"][reported_subset(record.metrics)]["counted"]
    prevalence = counted["parasitized"] / counted["cells"]
    said = [
        *cautions(record.metrics, nih=record.dataset == "nih"),
        f"PPV and NPV hold for cells of which {prevalence:.0%} are parasitized, and change with that fraction.",
    ]
    if not record.external:
        said.insert(0, "Tested on cells of the data set it was trained on alone: how it does on another laboratory's is not known.")
    if record.dataset == "synthetic":
        said.insert(0, "The cells were drawn by a simulator: a score on them says nothing about malaria.")
    return " ".join(said)


@fact("metrics.json: test_access; test_access_log.jsonl beside the runs")
def test_access(record: CardRecord) -> str | None:
    """Openings of the test subset."""
    found = record.metrics["test_access"]
    if found["openings"] is None:
        return "How often the test subset had been opened could not be read."
    times, settings = (
        f"{found[key]} {word}{'' if found[key] == 1 else 's'}" for key, word in (("openings", "time"), ("configurations", "configuration"))
    )
    return f"When this run opened its test subset, it had been opened {times}, by {settings}, this one included."


@fact("metrics.json: access_log")
def blind(record: CardRecord) -> str | None:
    """Blinding."""
    opened = next(one["reason"] for one in record.metrics["access_log"] if one["subset"] == "test")
    return f"The model is given pixels alone. Training never reads the test subset; it was opened for one reason: {opened}."
