"""What the record says of the model, its training and its environment."""

from malaria_exp.config.run_files import MODEL_FILE
from malaria_exp.deployment.card.facts import anonymous, fact
from malaria_exp.deployment.card.record import CardRecord
from malaria_exp.utils.filesystems import file_sha256


@fact("model.json: model, parameters")
def technology(record: CardRecord) -> str | None:
    """Method."""
    return (
        f"Deep learning: a neural network ({record.choice('model')}) with {record.model['parameters']:,} parameters, trained to tell parasitized"
        " from uninfected cells."
    )


@fact("model.json: model, input, views, calibration; config.yaml: model; docs/models.md of the program draws it")
def architecture(record: CardRecord) -> str | None:
    """Model."""
    shape = " x ".join(str(size) for size in record.model["input"]["shape"][1:])
    name, params = record.model["model"]["name"], record.model["model"]["params"]
    said = ", ".join(f"{key} {anonymous(str(value))}" for key, value in params.items())
    views = record.model.get("views", 1)
    averaged = f", the mean over {views} flipped or turned views of the image," if views > 1 else ","
    return (
        f"{name} ({said}), {record.model['parameters']:,} parameters; input {shape} {record.model['input']['dtype']}; output a logit{averaged}"
        f" calibrated by {record.model['calibration']['name']}, whose sigmoid is the score: the probability of parasitized."
    )


@fact("model.json: ood")
def foreign(record: CardRecord) -> str | None:
    """Detector of images unlike the training data."""
    found = record.model["ood"]
    if found is None:
        return "None: the model scores whatever it is given, also what is no blood cell."
    rate = "" if found["false_warnings"] is None else f"; of validation cells it warned of {found['false_warnings']:.1%}"
    return f"{found['name']}, which looks at {', '.join(found['parts'])}{rate}."


@fact("config.yaml: init_from, model, seed")
def initial_weights(record: CardRecord) -> str | None:
    """Initial weights."""
    start, weights = record.config.get("init_from"), record.config["model"].get("weights")
    drawn = f"drawn at random (seed {record.config['seed']})"
    if record.choice("model") == "ensemble":
        return "Those of the finished runs that it averages."
    if start:
        return f"Those of {anonymous(str(start))}."
    return f"The backbone's from {anonymous(str(weights))}; the others {drawn}." if weights else f"{drawn.capitalize()}."


@fact("config.yaml: model")
def ensemble(record: CardRecord) -> str | None:
    """Ensemble."""
    if record.choice("model") != "ensemble":
        return "One model; nothing is averaged." if record.model else None
    return f"The mean of {len(record.config['model']['runs'])} finished runs; config.yaml names them, model.json holds what they are."


@fact("config.yaml: loss, optimizer, schedule, trainer, sampling, batch_size, aug; history.csv")
def training(record: CardRecord) -> str | None:
    """Training."""
    parts = [
        f"{group} {record.choice(group)}" + (f" ({said})" if (said := record.settings(group)) else "")
        for group in ("loss", "optimizer", "schedule", "trainer", "sampling")
        if group in record.config
    ]
    seconds = record.metrics.get("training", {}).get("train_seconds")
    spent = f" {seconds:,.0f} seconds." if seconds else ""
    return f"{'; '.join(parts)}; batches of {record.config['batch_size']}; augmentation {record.choice('aug') or 'none'}.{spent}"


@fact("metrics.json: training.monitor, training.best_epoch; config.yaml: trainer.keep")
def selection(record: CardRecord) -> str | None:
    """Selection of the model."""
    found = record.metrics["training"]
    if record.config["trainer"].get("keep") == "last":
        return f"None: the weights are those of the last epoch, {found['best_epoch']}."
    return f"Of {found['epochs']} epochs the one with the best {found['monitor']}: epoch {found['best_epoch']}."


@fact("provenance.json: command")
def command(record: CardRecord) -> str | None:
    """Command."""
    return f"{anonymous(record.provenance['command'])} (paths without their folders)"


@fact("provenance.json: malaria_exp, git, python, packages, machine")
def software(record: CardRecord) -> str | None:
    """Environment."""
    found, git = record.provenance, record.provenance.get("git")
    code = "" if not git else f" (commit {git['commit'][:12]}{', with local changes' if git['changed'] else ''})"
    packages = ", ".join(f"{name} {version}" for name, version in found["packages"].items())
    machine = found["machine"]
    hardware = f"{machine['processor']}, {machine['cores']} cores" + "".join(f", {gpu}" for gpu in machine.get("gpus", []))
    return f"malaria_exp {found['malaria_exp']}{code}, Python {found['python']}, {packages}; on {machine['system']}, {hardware}."


@fact("provenance.json: code_hash, data_hash, split_hash")
def hashes(record: CardRecord) -> str | None:
    """Hashes."""
    return "; ".join(f"{key} {record.provenance[key]}" for key in ("code_hash", "data_hash", "split_hash"))


@fact("SHA-256 of the file in the run folder")
def weights(record: CardRecord) -> str | None:
    """Hash of the weights."""
    return f"{MODEL_FILE} {file_sha256(record.folder / MODEL_FILE)}"


@fact("predictions.csv")
def audit(record: CardRecord) -> str | None:
    """What is kept."""
    kept = [name for name in ("predictions.csv", "config.yaml", "run.log") if name in record.files]
    return f"Kept in the folder, with the score of every evaluated cell in predictions.csv: {', '.join(kept)}." if kept else None
