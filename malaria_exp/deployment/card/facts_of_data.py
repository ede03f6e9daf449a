"""What the record says of data."""

from malaria_exp.data.cell_table import of_patients
from malaria_exp.deployment.card.facts import fact
from malaria_exp.deployment.card.record import CardRecord
from malaria_exp.evaluation.evaluation_result import PROTOCOLS, describe_never_tested

SOURCE_NAMES = {
    "nih": "the NIH set of cell images from thin blood smears (Rajaraman et al. 2018, https://peerj.com/articles/4568)",
    "synthetic": "synthetic cells, drawn by a simulator",
}


@fact("config.yaml: dataset; provenance.json: data_hash")
def data_source(record: CardRecord) -> str | None:
    """Data set."""
    name = record.dataset
    known = f", {SOURCE_NAMES[name]}" if name in SOURCE_NAMES else ""
    return f"The dataset option {name}{known}; SHA-256 of the data: {record.provenance['data_hash']}"


@fact("metrics.json: pooled, data_hash")
def pooled(record: CardRecord) -> str | None:
    """What was pooled."""
    found = record.metrics["pooled"]
    return (
        f"{found['what']}, {len(found['runs'])} runs. SHA-256 of their data: {record.metrics['data_hash']}. The card of a run (task=card) has model,"
        " training and environment."
    )


@fact("config.yaml: dataset")
def labels(record: CardRecord) -> str | None:
    """Reference standard."""
    if record.choice("dataset") == "synthetic":
        return "The simulator knows which cells it drew parasites into; label_noise of the dataset says which fraction is wrong on purpose."
    return (
        "The class under which the dataset has each cell: 1 is parasitized, 0 is uninfected. Every cell has one; nothing was labeled anew."
    )


@fact("metrics.json: protocol, subsets.*.counted; of a run also split, subset_counts, and split.csv")
def partitions(record: CardRecord) -> str | None:
    """Subsets."""
    counts = record.metrics.get("subset_counts") or {name: one["counted"] for name, one in record.metrics["subsets"].items()}
    known = all(one["patients"] is not None for one in counts.values())
    sizes = "; ".join(
        f"{name} {one['cells']:,} cells ({one['parasitized']:,} parasitized) {of_patients(one, known=known)}"
        for name, one in counts.items()
    )
    seed = record.metrics.get("split", {}).get("seed")
    return f"{record.metrics['protocol']}{'' if seed is None else f', seed {seed}'}: {sizes}."


@fact("metrics.json: protocol, leaky")
def disjoint(record: CardRecord) -> str | None:
    """What is apart."""
    if record.leaky:
        return "LEAKY: training and evaluation share patients or images; these results say nothing about new patients."
    said = PROTOCOLS.get(record.metrics["protocol"], "")
    return f"{said} No image is in two subsets, by a comparison of pixels.".strip()


@fact("metrics.json: subsets.*.counted; of a run also subset_counts")
def baseline(record: CardRecord) -> str | None:
    """Patients."""
    counts = record.metrics.get("subset_counts") or {name: one["counted"] for name, one in record.metrics["subsets"].items()}
    rows = [
        f"{name} {one['infected_patients']:,} infected and {one['healthy_patients']:,} healthy patients" for name, one in counts.items()
    ]
    return "; ".join(rows) + ". Of the patients nothing else is recorded."


@fact("metrics.json: excluded; config.yaml: limit_cells")
def excluded(record: CardRecord) -> str | None:
    """Excluded images."""
    limit = record.config.get("limit_cells")
    count = record.metrics["excluded"]
    left = f"{count:,} images that could not be used were excluded" + ("; excluded.csv lists them." if count else ".")
    return left + (f" At most {limit:,} cells of each subset were used (limit_cells), to try something out." if limit else "")


@fact("metrics.json: split.never_tested")
def never_tested(record: CardRecord) -> str | None:
    """Patients that are never tested."""
    return describe_never_tested(record.metrics["split"]["never_tested"])


@fact("model.json: input; config.yaml: aug")
def preprocessing(record: CardRecord) -> str | None:
    """Preprocessing."""
    taken = record.model["input"]
    how = {"pad": "centered on a black square and resized", "stretch": "stretched"}[taken["mode"]]
    return (
        f"RGB, {how} to {taken['size']} x {taken['size']} pixels (area average when shrinking), scaled as {taken['scale']}."
        f" In training alone, augmentation: {record.choice('aug') or 'none'}."
    )
