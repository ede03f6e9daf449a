"""The training of a run: builds the model and everything around it, and hands it all to the trainer."""

import json
import re
from typing import TYPE_CHECKING, Any

from malaria_exp.config.registry import build, check_params
from malaria_exp.config.run_config import Choice, Config
from malaria_exp.data.open_batches import training_batches
from malaria_exp.data.subsets import Data
from malaria_exp.evaluation.metrics import direction
from malaria_exp.runs.initial_weights import InitialWeights
from malaria_exp.runs.run_folder import RunFolder
from malaria_exp.tracking.tracker import Tracker
from malaria_exp.training.checkpoint import Checkpoint
from malaria_exp.training.contracts import checked
from malaria_exp.training.predict import Scorer
from malaria_exp.training.strategy import open_strategy
from malaria_exp.training.trainer_interface import Trained, Trainer, TrainerInputs
from malaria_exp.utils.errors import ConfigError
from malaria_exp.utils.tensorflow_setup import load_tensorflow
from malaria_exp.utils.terminal_log import log

if TYPE_CHECKING:
    import keras


def check_monitor(config: Config) -> None:
    """Raises a ConfigError if the trainer's monitor is neither a metric of the evaluation nor one of `metric=[...]`."""
    trainer = config.one("trainer")
    monitor = check_params("trainer", trainer.name, trainer.params).get("monitor")
    if monitor is not None and monitor not in [f"val_{choice.name}" for choice in config.choices["metric"]]:
        direction(monitor, "trainer.monitor")


def train(
    config: Config,
    data: Data,
    folder: RunFolder,
    initial: InitialWeights | None,
    tracker: Tracker,
    checkpoint: Checkpoint | None = None,
) -> Trained:
    """Builds everything that training takes, and trains.

    Args:
        config: the run's configuration.
        data: the split.
        folder: the run's folder.
        initial: the weights to start from, if any.
        tracker: is told what happens in training.
        checkpoint: what a run that was cut off goes on from.
    """
    load_tensorflow()
    # Before TensorFlow computes anything: a strategy of several workers cannot be opened later.
    strategy = open_strategy(config.one("trainer").params.get("strategy", "none"))
    trainer: Trainer = _build_one(config, "trainer")
    cells, val = data.training()
    batches = training_batches(
        cells,
        batch_size=config.batch_size,
        augmentations=_build_all(config, "aug"),
        seed=config.seed,
        resident_gb=config.cache.resident_gb,
        sampling=_build_one(config, "sampling", *data.training_labels()).weighted(data.training_weights()),
        epochs=trainer.settings.epochs,
    )
    parts = TrainerInputs(
        build_model=lambda: initial(build_model(config)) if initial else build_model(config),
        loss=_build_one(config, "loss", cells.labels),
        build_multiplier=lambda length: _build_one(config, "schedule", length),
        build_optimizer=lambda multiplier: _build_one(config, "optimizer", multiplier),
        batches=batches,
        val=val,
        tracker=tracker,
        folder=folder.path,
        seed=config.seed,
        eval_batch_size=config.evaluation.batch_size,
        identity=speed_identity(config, batches.batch_size),
        cache=config.cache.path,
        build_metrics=lambda: _build_all(config, "metric"),
        build_callbacks=lambda context: _build_all(config, "callback", context),
        strategy=strategy,
        checkpoint=checkpoint,
    )
    with batches.reading():
        trained = trainer.train(parts)
    if config.evaluation.views > 1:
        from malaria_exp.training.views import with_views

        trained.scorer = Scorer(with_views(trained.model, config.evaluation.views), config.evaluation.batch_size)
        trained.notes.append(f"A cell's score is that of the mean logit over {config.evaluation.views} views of it, flipped or turned.")
    if trained.best_epoch:
        log.info(
            f"trained   {trained.model.count_params():,} parameters in {trained.seconds:.1f} s ({trained.precision});"
            f" kept epoch {trained.best_epoch}, {trained.monitor} {trained.best:.4f}"
        )
    else:
        log.info(f"trained   nothing: {trained.model.count_params():,} parameters are evaluated as they are")
    return trained


def build_choice(choice: Choice, *context: Any) -> Any:
    """Builds a chosen component; a ConfigError if it is not what its group's components are."""
    return checked(choice.group, choice.name, build(choice.group, choice.name, choice.params, *context, path=choice.path))


def _build_one(config: Config, group: str, *context: Any) -> Any:
    """Builds the component of a group that holds one."""
    return build_choice(config.one(group), *context)


def _build_all(config: Config, group: str, *context: Any) -> list[Any]:
    """Builds the components of a group that holds several, in their order."""
    return [build_choice(choice, *context) for choice in config.choices[group]]


def speed_identity(config: Config, batch_size: int) -> str:
    """Returns what the speed of a training step depends on, as text.

    Learning rates and other fractions are not in it, so the trials of a search measure the speed once.
    """
    model = config.one("model")
    shape = {key: value for key, value in model.params.items() if not isinstance(value, float)}
    return json.dumps([model.name, shape, config.one("loss").name, config.one("optimizer").name, batch_size])


def build_model(config: Config) -> "keras.Model":
    """Builds the untrained model in the precision that is set.

    Raises:
        ConfigError: it cannot be built with these parameters, or is no Keras model with logits of shape (B, 1).
    """
    choice = config.one("model")
    try:
        model = build("model", choice.name, choice.params)
    except ValueError as error:
        # Keras spreads its reason over many lines and colors it.
        reason = " ".join(re.sub(r"\x1b\[\d*m", "", str(error)).partition("Arguments received")[0].split())
        raise ConfigError(f"model: '{choice.name}' cannot be built with these parameters. {reason}") from error
    found: keras.Model = checked("model", choice.name, model)
    return found
