"""The learning rate of every step of a run, without training."""

from typing import TYPE_CHECKING

import numpy as np

from malaria_exp.config.durations import RunLength
from malaria_exp.config.registry import build
from malaria_exp.config.run_config import Config
from malaria_exp.training.settings import Settings, Stage
from malaria_exp.utils.atomic_files import write_csv
from malaria_exp.utils.errors import ConfigError
from malaria_exp.utils.terminal_log import log

if TYPE_CHECKING:
    from malaria_exp.runs.run_folder import RunFolder


def explore_schedule(config: Config, folder: "RunFolder") -> None:
    """Draws the learning rate of every step of the run as it is configured: schedule.png, and schedule.csv with the numbers.

    A callback such as plateau may lower it further during the training; that is not known beforehand.
    """
    from malaria_exp.data.open_batches import training_batches
    from malaria_exp.evaluation.plots.schedule import draw_schedule
    from malaria_exp.evaluation.plots.style import save_png
    from malaria_exp.runs.load_data import load_and_decode, split
    from malaria_exp.utils.tensorflow_setup import load_tensorflow

    stages = stages_of(config)
    load_tensorflow()
    # Those that repeat the cells make epochs longer.
    chain = [build("aug", choice.name, choice.params, path=choice.path) for choice in config.choices["aug"]]
    table, pixel_cache, _ = load_and_decode(config)
    data = split(config, table, pixel_cache, folder, None)
    choice = config.one("sampling")
    length = training_batches(
        data.training()[0],
        batch_size=config.batch_size,
        augmentations=chain,
        seed=config.seed,
        resident_gb=0,
        sampling=build("sampling", choice.name, choice.params, *data.training_labels(), path=choice.path),
        epochs=sum(stage.epochs for stage in stages),
    ).length
    firsts = np.cumsum([0, *(stage.epochs for stage in stages)]).tolist()
    parts = [stage_rates(config, stage, length.part(first, stage.epochs)) for first, stage in zip(firsts, stages, strict=False)]
    multipliers, rates = (np.concatenate(column) for column in zip(*parts, strict=True))
    rows = [
        [step + 1, float(length.epochs_at(step)), float(multiplier), float(rate)]
        for step, (multiplier, rate) in enumerate(zip(multipliers, rates, strict=True))
    ]
    optimizer, schedule = config.one("optimizer").name, config.one("schedule").name
    title = f"{optimizer} with {schedule}: {length.describe()}"
    write_csv(folder / "schedule.csv", ["step", "epoch", "multiplier", "learning_rate"], rows)
    save_png(draw_schedule(title, rates, length, [stage.epochs for stage in stages]), folder / "schedule.png")
    log.info(f"schedule  {title}; peak {rates.max():.3g}, last {rates[-1]:.3g}")
    log.info(f"explored  {folder / 'schedule.png'}, {folder / 'schedule.csv'}")


def stages_of(config: Config) -> tuple[Stage, ...]:
    """Returns the stages that the trainer would run, one for a trainer without stages.

    Raises:
        ConfigError: the trainer does not train, or does not say for how long.
    """
    choice = config.one("trainer")
    settings = getattr(build("trainer", choice.name, choice.params), "settings", None)
    if choice.name == "none" or not isinstance(settings, Settings):
        raise ConfigError(
            f"trainer: '{choice.name}' has no epochs, so there is no learning rate to draw. Choose another, such as trainer=fit trainer.epochs=10."
        )
    return settings.stages


def stage_rates(config: Config, stage: Stage, length: RunLength) -> tuple[np.ndarray, np.ndarray]:
    """Returns what the optimizer answers at each step of a stage: the multiplier of optimizer.learning_rate and the rate, each float32 (steps,)."""
    import tensorflow as tf

    schedule, choice = config.one("schedule"), config.one("optimizer")
    plain = build("schedule", schedule.name, schedule.params, length)

    def multiplier(step: "tf.Tensor") -> "tf.Tensor":
        return stage.learning_rate * plain(step)

    optimizer = build("optimizer", choice.name, choice.params, multiplier)

    @tf.function
    def walk() -> tuple["tf.Tensor", "tf.Tensor"]:
        def at(step: "tf.Tensor") -> tuple["tf.Tensor", "tf.Tensor"]:
            optimizer.iterations.assign(step)
            return tf.cast(multiplier(step), tf.float32), tf.cast(optimizer.learning_rate, tf.float32)

        # One after another, as all of them set the optimizer's one counter.
        return tf.map_fn(at, tf.range(length.steps), fn_output_signature=(tf.float32, tf.float32), parallel_iterations=1)

    multipliers, rates = walk()
    return multipliers.numpy(), rates.numpy()
