"""The runner: builds the parts in the order of the data's way, hands them to the trainer, evaluates, writes.

dataset -> table -> pixel cache -> split -> manifest -> batches -> aug -> model -> trainer -> scores -> evaluation -> report
"""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from malaria_exp.config.registry import build, check_params
from malaria_exp.config.run_config import Config
from malaria_exp.data.bad_images import exclude_bad_images
from malaria_exp.data.cell_table import BadImage, CellTable, of_patients
from malaria_exp.data.open_batches import training_batches
from malaria_exp.data.pixel_cache import PixelCache, open_pixel_cache
from malaria_exp.data.resize import ResizeRule
from malaria_exp.data.split_manifest import Manifest, guard_against_leaks
from malaria_exp.data.subsets import Data
from malaria_exp.evaluation.evaluation_result import EvaluationResult
from malaria_exp.evaluation.metrics import direction
from malaria_exp.runs import provenance
from malaria_exp.runs.ensemble_members import member_folders, members_rule
from malaria_exp.runs.finished_runs import PARENT_SPLIT_FILE, guard_against_parent_runs, read_parent_splits
from malaria_exp.runs.initial_weights import InitialWeights, find_weights
from malaria_exp.runs.run_folder import RunFolder
from malaria_exp.runs.saved_model import save_model
from malaria_exp.runs.storage import open_storage
from malaria_exp.runs.write_results import write_excluded, write_result
from malaria_exp.tracking.logger_queue import Loggers
from malaria_exp.tracking.tracker import Tracker, open_tracker
from malaria_exp.training.predict import Scorer, predict
from malaria_exp.training.strategy import open_strategy
from malaria_exp.training.trainer_interface import Trained, Trainer, TrainerInputs
from malaria_exp.utils.atomic_files import write_json
from malaria_exp.utils.errors import ConfigError
from malaria_exp.utils.machine import machine
from malaria_exp.utils.tensorflow_setup import load_tensorflow
from malaria_exp.utils.terminal_log import log

if TYPE_CHECKING:
    import keras


def train_and_evaluate(config: Config, folder: RunFolder, overrides: list[str]) -> EvaluationResult:
    """Runs a whole experiment into its folder and returns what came out."""
    config.check_components()
    check_monitor(config)
    open_storage(config).check()
    tracker = open_tracker(config, folder.path, overrides)
    with tracker.recording():
        return _train_and_evaluate(config, folder, overrides, tracker)


def _train_and_evaluate(config: Config, folder: RunFolder, overrides: list[str], tracker: Tracker) -> EvaluationResult:
    initial = initial_weights(config, folder)
    record = provenance.collect(seed=config.seed, overrides=overrides)
    write_json(folder / "provenance.json", record)
    table, pixel_cache, excluded = load_and_decode(config)
    write_excluded(folder, excluded)
    data = split(config, table, pixel_cache, folder, initial)
    data.manifest.write(folder / "split.csv")
    record |= {"data_hash": table.data_hash, "split_hash": data.manifest.hash}
    write_json(folder / "provenance.json", record)
    tracker.data(table, data, initial.source if initial else None)
    trained = train(config, data, folder, initial, tracker)
    save_model(folder.path, config, data, trained)
    result = evaluate(config, data, trained)
    result.note_data(table, excluded)
    if initial:
        result.metrics["init_from"] = initial.counts()
        result.notes += initial.notes()
    # Again, as TensorFlow is loaded now and knows the GPUs.
    record["machine"] = machine()
    write_json(folder / "provenance.json", record)
    write_result(folder, config, result, record)
    tracker.evaluated(folder.path, result)
    return result


def train_as_worker(config: Config, folder: RunFolder) -> float:
    """Takes part in the training of several workers, of which another is the chief, who evaluates and writes the results.

    Returns:
        The best validation value of the monitor, which is the chief's too.
    """
    config.check_components()
    check_monitor(config)
    initial = initial_weights(config, folder)
    table, pixel_cache, _ = load_and_decode(config)
    trained = train(config, split(config, table, pixel_cache, folder, initial), folder, initial, Tracker(Loggers({})), worker=True)
    log.info("worker    done; the chief's folder holds the results")
    return trained.best


def check_monitor(config: Config) -> None:
    """Raises a ConfigError if the trainer's monitor is neither a metric of evaluation nor one of the run's own."""
    trainer = config.one("trainer")
    monitor = check_params("trainer", trainer.name, trainer.params).get("monitor")
    if monitor is not None and monitor not in [f"val_{choice.name}" for choice in config.choices["metric"]]:
        direction(monitor, "trainer.monitor")


def load_table(config: Config) -> CellTable:
    """Reads or draws the dataset's table."""
    choice = config.one("dataset")
    table: CellTable = build("dataset", choice.name, choice.params)
    describe_table(table)
    return table


def describe_table(table: CellTable) -> None:
    """Tells the terminal what the dataset holds."""
    counts = table.summary()
    health = "" if table.unknown_patients else f" ({counts['infected_patients']} infected, {counts['healthy_patients']} healthy)"
    log.info(
        f"dataset   {table.name}: {counts['cells']:,} cells ({counts['parasitized']:,} parasitized, {counts['uninfected']:,} uninfected)"
        f" {of_patients(counts, known=not table.unknown_patients)}{health}"
    )
    for note in table.notes:
        log.warning(f"dataset   {note}")


def load_and_decode(config: Config) -> tuple[CellTable, PixelCache, list[BadImage]]:
    """Reads the dataset and decodes it, as only decoding shows which images are bad; returns it without them, and what was left out."""
    table = load_table(config)
    if table.unknown_patients:
        # Most splits need to know them; that is said before the decoding, which takes longer.
        build("split", config.one("split").name, config.one("split").params, table)
    return exclude_bad_images(table, open_pixel_cache(table, resize_rule(config), config.cache.path, config.cache.workers))


def initial_weights(config: Config, folder: RunFolder) -> InitialWeights | None:
    """Returns the weights that training begins with, fetched if they lie elsewhere; None without init_from."""
    return find_weights(config.init_from, config.cache.path, folder.path) if config.init_from else None


def split(config: Config, table: CellTable, pixel_cache: PixelCache, folder: RunFolder, initial: InitialWeights | None) -> Data:
    """Splits the table, and guards against leaks."""
    choice = config.one("split")
    manifest: Manifest = build("split", choice.name, choice.params, table)
    guard_against_leaks(manifest, patients_may_cross=choice.name == "cell_level_leaky", allow_leak=config.allow_leak)
    earlier = read_parent_splits(parent_run_folders(config) + ([initial.run] if initial and initial.run else []))
    manifest = guard_against_parent_runs(manifest, earlier, allow_leak=config.allow_leak)
    if earlier is not None:
        earlier.write(folder / PARENT_SPLIT_FILE)
    if config.limit_cells is not None:
        manifest = manifest.limited(config.limit_cells, config.seed)
    known = manifest.patients_known
    parts = ", ".join(f"{name} {part['cells']:,} cells {of_patients(part, known=known)}" for name, part in manifest.counts().items())
    log.info(f"split     {manifest.protocol}{' LEAKY' if manifest.leaky else ''}: {parts} ({manifest.hash[:12]})")
    for warning in manifest.details.get("warnings", ()):
        log.warning(f"split     {warning}")
    return Data(manifest, pixel_cache)


def parent_run_folders(config: Config) -> list[Path]:
    """Returns the folders of the finished runs that this run's weights come from."""
    choice = config.one("model")
    runs = check_params("model", choice.name, choice.params).get("runs")
    return member_folders(runs) if runs else []


def resize_rule(config: Config) -> ResizeRule:
    """Returns how images are resized: to the model's own size."""
    choice = config.one("model")
    params = check_params("model", choice.name, choice.params)
    if not {"runs", "image_size"} & set(params):
        raise ConfigError(
            f"model: '{choice.name}' has no key image_size, to which images are resized. Every model needs the parameter image_size."
        )
    if "runs" not in params:
        return ResizeRule(params["image_size"], config.cache.resize)
    rule = members_rule(params["runs"])
    if rule.mode != config.cache.resize:
        raise ConfigError(
            f"cache.resize: received '{config.cache.resize}', but the runs of the ensemble were trained with '{rule.mode}'."
            f" Give cache.resize={rule.mode}."
        )
    return rule


def build_model(config: Config) -> "keras.Model":
    """Builds the untrained model in the precision that is set."""
    choice = config.one("model")
    try:
        model: keras.Model = build("model", choice.name, choice.params)
    except ValueError as error:
        # Keras spreads its reason over many lines and colors it.
        reason = " ".join(re.sub(r"\x1b\[\d*m", "", str(error)).partition("Arguments received")[0].split())
        raise ConfigError(f"model: '{choice.name}' cannot be built with these parameters. {reason}") from error
    # A net of the user's own may be anything; the project's are tested.
    found = getattr(model, "output_shape", None) if is_model(model) else None
    if not is_model(model) or (isinstance(found, tuple) and found[1:] != (1,)):
        what = f"a net with outputs of shape {found}" if found else f"{model!r} ({type(model).__name__})"
        raise ConfigError(f"model: '{choice.name}' built {what}; expected a Keras model that gives logits, (B, 1).")
    return model


def is_model(thing: Any) -> bool:
    """Tells whether a thing is a Keras model."""
    import keras

    return isinstance(thing, keras.Model)


def train(
    config: Config, data: Data, folder: RunFolder, initial: InitialWeights | None, tracker: Tracker, *, worker: bool = False
) -> Trained:
    """Assembles the parts and trains; a worker beside a chief writes no weights, and its tracker has no loggers."""
    load_tensorflow()
    # That of several workers has to be opened before TensorFlow computes anything.
    strategy = open_strategy(config.one("trainer").params.get("strategy", "none"))
    cells, val = data.training()

    def build_all(group: str, *context: Any) -> list[Any]:
        return [build(group, choice.name, choice.params, *context, path=choice.path) for choice in config.choices[group]]

    trainer: Trainer = build("trainer", config.one("trainer").name, config.one("trainer").params)
    batches = training_batches(
        cells,
        batch_size=config.batch_size,
        augmentations=build_all("aug"),
        seed=config.seed,
        resident_gb=config.cache.resident_gb,
        weights=data.patient_weights() if config.count_by == "patient" else None,
        epochs=trainer.settings.epochs,
    )
    loss, optimizer, schedule = (config.one(group) for group in ("loss", "optimizer", "schedule"))

    parts = TrainerInputs(
        build_model=lambda: initial(build_model(config)) if initial else build_model(config),
        loss=build("loss", loss.name, loss.params, cells.labels),
        build_multiplier=lambda length: build("schedule", schedule.name, schedule.params, length),
        build_optimizer=lambda factor: build("optimizer", optimizer.name, optimizer.params, factor),
        batches=batches,
        val=val,
        tracker=tracker,
        folder=folder.path,
        seed=config.seed,
        eval_batch_size=config.evaluation.batch_size,
        identity=speed_identity(config, batches.batch_size),
        cache=config.cache.path,
        build_metrics=lambda: build_all("metric"),
        build_callbacks=lambda course: build_all("callback", course),
        worker=worker,
        strategy=strategy,
    )
    with batches.reading():
        trained = trainer.train(parts)
    if trained.best_epoch:
        log.info(
            f"trained   {trained.model.count_params():,} parameters in {trained.seconds:.1f} s ({trained.precision});"
            f" best epoch {trained.best_epoch} by {trained.monitor}"
        )
    else:
        log.info(f"trained   nothing: {trained.model.count_params():,} parameters are evaluated as they are")
    return trained


def speed_identity(config: Config, batch_size: int) -> str:
    """Returns what the speed of a step depends on, as text. Rates and shares are no part of it: the trials of a sweep measure once."""
    model = config.one("model")
    shape = {key: value for key, value in model.params.items() if not isinstance(value, float)}
    return json.dumps([model.name, shape, config.one("loss").name, config.one("optimizer").name, batch_size])


def evaluate(config: Config, data: Data, trained: Trained) -> EvaluationResult:
    """Scores validation and test cells with the trained model, and judges them."""
    from malaria_exp.evaluation.evaluate import evaluate as judge

    scorer = trained.scorer or Scorer(trained.model, config.evaluation.batch_size)
    cells = [data.open("val", "choose the threshold"), data.open("test", "final evaluation")]
    predictions = predict(scorer, data.manifest, cells)
    settings = config.evaluation
    metrics = judge(
        predictions,
        target_sensitivity=settings.target_sensitivity,
        resamples=settings.resamples,
        confidence=settings.confidence,
        seed=config.seed,
    )
    return EvaluationResult.of_training(
        f"{config.one('model').name} on {config.one('dataset').name}",
        data,
        cells,
        predictions,
        metrics,
        training=trained.summary(),
        history=trained.history,
        best=trained.best,
        notes=trained.notes,
    )
