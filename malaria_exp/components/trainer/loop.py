"""Training with a loop written out: what Keras fit does, in plain sight."""

from typing import TYPE_CHECKING

import numpy as np

from malaria_exp.config.registry import register
from malaria_exp.config.validation import Fraction, PositiveInt
from malaria_exp.data.seeds import to_unit
from malaria_exp.data.subsets import Cells
from malaria_exp.training.precision import Precision
from malaria_exp.training.session import Session
from malaria_exp.training.settings import Monitor, Settings, Stage, StrategyName
from malaria_exp.training.trainer_interface import Parts, Trained, Trainer
from malaria_exp.utils.rows import Row

if TYPE_CHECKING:
    import tensorflow as tf


@register("trainer", "loop")
def loop(
    *,
    epochs: PositiveInt = 10,
    monitor: Monitor = "val_auc",
    checkpoint: bool = True,
    precision: Precision = "auto",
    accumulate: PositiveInt = 1,
    ema: Fraction | None = None,
    eager: bool = False,
    jit_compile: bool = False,
    strategy: StrategyName = "none",
) -> Trainer:
    """Trains with a custom loop in plain sight; gives what trainer=fit gives.

    Args:
        epochs: passes over the training cells.
        monitor: validation metric that chooses the best epoch, val_loss or val_ and a metric's name; its direction is known.
        checkpoint: write the best weights so far to checkpoint.weights.h5 after each epoch that improves.
        precision: float32, bfloat16 or float16 (mixed: weights stay float32); auto measures once which is fastest here.
        accumulate: batches whose averaged gradients make one update, as if batch_size were so many times larger.
        ema: keep a running average of the weights, of which a step keeps this share (0.99, say); the average is validated and saved. null for none.
        eager: run every step as plain Python, to stop in it with a debugger; several times slower.
        jit_compile: compile with XLA; for these nets slower than plain graphs on a CPU, and on a GPU not the same to the last bit each time.
        strategy: how tf.distribute divides each batch: none; mirrored among this machine's GPUs; multi_worker among machines; auto as found.
    """
    return LoopTrainer(Settings((Stage(epochs),), monitor, checkpoint, precision, accumulate, ema, eager, jit_compile, strategy))


class LoopTrainer:
    """A training loop; the session keeps the records and tells the callbacks, as it does under fit.

    Args:
        settings: see `loop`.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def train(self, parts: Parts) -> Trained:
        """Trains and returns the model with the weights of its best epoch."""
        import keras
        import tensorflow as tf

        session = Session(self.settings, parts)
        if session.nothing_to_train:
            return session.untrained()
        model = session.compile(self.settings.stages[0], 0)
        optimizer, strategy = model.optimizer, session.strategy
        replicas = strategy.num_replicas_in_sync
        with strategy.scope():
            mean_loss, metrics = keras.metrics.Mean("loss"), parts.build_metrics()
            optimizer.build(model.trainable_variables)

        def train_step(images: "tf.Tensor", labels: "tf.Tensor", weights: "tf.Tensor | None" = None) -> None:
            with tf.GradientTape() as tape:
                logits = model(images, training=True)
                # Keras' losses divide by the replicas by themselves, so that the replicas' sum is the mean; penalties do not.
                loss = parts.loss(labels, logits, weights) + sum(model.losses) / replicas
                # In float16 small gradients would vanish: the optimizer scales the loss up, and the gradients down again.
                scaled = optimizer.scale_loss(loss)
            variables = model.trainable_variables
            optimizer.apply(tape.gradient(scaled, variables), variables)
            mean_loss.update_state(loss * replicas)
            for metric in metrics:
                metric.update_state(labels, logits)

        def step(batch: tuple["tf.Tensor", ...]) -> None:
            strategy.run(train_step, args=batch)

        def validation_step(images: "tf.Tensor") -> "tf.Tensor":
            return tf.cast(model(images, training=False), tf.float32)

        if not self.settings.eager:
            step = tf.function(step, jit_compile=self.settings.jit_compile)
            validation_step = tf.function(validation_step)

        def validate(cells: Cells) -> np.ndarray:
            starts = range(0, len(cells), parts.eval_batch_size)
            batches = (to_unit(cells.images(start, start + parts.eval_batch_size)) for start in starts)
            return np.concatenate([validation_step(images).numpy()[:, 0] for images in batches]).astype(np.float64)

        def values() -> Row:
            return {metric.name: float(metric.result()) for metric in (mean_loss, *metrics)}

        session.score = validate
        session.start()
        batches = iter(session.batches())
        session.begin_stage()
        for epoch in range(self.settings.epochs):
            session.begin_epoch(epoch)
            for metric in (mean_loss, *metrics):
                metric.reset_state()
            for number in range(session.length.steps_per_epoch):
                session.begin_step(number)
                step(next(batches))
                session.end_step(number, values())
            session.end_epoch(epoch, values())
            if model.stop_training:
                break
        session.end_stage()
        return session.trained()
