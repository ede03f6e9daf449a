"""Training with a loop written out: what Keras fit does, step by step."""

from typing import TYPE_CHECKING

import numpy as np

from malaria_exp.config.registry import register
from malaria_exp.config.shared_parameters import with_parameters
from malaria_exp.config.validation import PositiveInt
from malaria_exp.data.seeds import to_unit
from malaria_exp.data.subsets import Cells
from malaria_exp.training.session import Session
from malaria_exp.training.settings import Settings, Stage, TrainingParameters
from malaria_exp.training.trainer_interface import Trained, Trainer, TrainerInputs
from malaria_exp.utils.rows import Row

if TYPE_CHECKING:
    import tensorflow as tf


@register("trainer", "loop")
@with_parameters(TrainingParameters)
def loop(shared: TrainingParameters, /, *, epochs: PositiveInt = 12) -> Trainer:
    """Trains with a custom loop that shows each step; its results are those of trainer=fit.

    Args:
        epochs: passes over the training cells.
    """
    return LoopTrainer(Settings((Stage(epochs),), **vars(shared)))


class LoopTrainer:
    """A training loop; the session keeps the records and tells the callbacks, as with fit.

    Args:
        settings: see `loop`.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def train(self, inputs: TrainerInputs) -> Trained:
        """Trains and returns the model with the weights that are kept."""
        import keras
        import tensorflow as tf

        session = Session(self.settings, inputs)
        if session.nothing_to_train:
            return session.untrained()
        model = session.compile(self.settings.stages[0], 0)
        optimizer, strategy = model.optimizer, session.strategy
        replicas = strategy.num_replicas_in_sync
        with strategy.scope():
            mean_loss, metrics = keras.metrics.Mean("loss"), inputs.build_metrics()
            session.step_metrics = [mean_loss, *metrics]

        def train_step(
            images: "tf.Tensor", labels: "tf.Tensor", weights: "tf.Tensor | None" = None, places: "tf.Tensor | None" = None
        ) -> None:
            with tf.GradientTape() as tape:
                logits = model(images, training=True)
                # Keras' losses are divided by the number of replicas, so that their sum over replicas is the mean; penalties are not.
                loss = inputs.loss(labels, logits, weights) + sum(model.losses) / replicas
                # In float16 small gradients would vanish: the optimizer scales the loss up and the gradients down again.
                scaled = optimizer.scale_loss(loss)
            variables = model.trainable_variables
            optimizer.apply(tape.gradient(scaled, variables), variables)
            mean_loss.update_state(loss * replicas)
            for metric in metrics:
                metric.update_state(labels, logits)
            if session.cell_losses is not None:
                session.cell_losses.update_state(labels, logits, places)

        def step(batch: tuple["tf.Tensor", ...]) -> None:
            strategy.run(train_step, args=batch)

        def validation_step(images: "tf.Tensor") -> "tf.Tensor":
            return tf.cast(model(images, training=False), tf.float32)

        if not self.settings.eager:
            step = tf.function(step, jit_compile=self.settings.jit_compile)
            validation_step = tf.function(validation_step)

        def validate(cells: Cells) -> np.ndarray:
            starts = range(0, len(cells), inputs.eval_batch_size)
            batches = (to_unit(cells.images(start, start + inputs.eval_batch_size)) for start in starts)
            return np.concatenate([validation_step(images).numpy()[:, 0] for images in batches]).astype(np.float64)

        def values() -> Row:
            return {metric.name: float(metric.result()) for metric in (mean_loss, *metrics)}

        session.score = validate
        with session.running():
            batches = iter(() if session.cell_losses else session.batches)
            session.begin_stage()
            for epoch in range(session.epoch, session.stage_end):
                for metric in (mean_loss, *metrics):
                    metric.reset_state()
                session.begin_epoch(epoch)
                for number in range(session.progress.step, session.length.steps_in(epoch)):
                    session.begin_step(number)
                    step(next(session.of_epoch(batches)))
                    session.end_step(number, values())
                session.end_epoch(epoch, values())
                if model.stop_training:
                    break
            session.end_stage()
        return session.trained()
