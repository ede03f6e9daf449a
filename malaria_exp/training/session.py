"""A training in progress: what fit and loop share, so that they differ in nothing but who walks through the batches."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from malaria_exp.config.durations import RunLength
from malaria_exp.data.subsets import Cells
from malaria_exp.training.averaging import averaged_weights
from malaria_exp.training.callback_context import CallbackContext
from malaria_exp.training.learning_rate_multiplier import Multiplier
from malaria_exp.training.precision import choose_precision, set_precision
from malaria_exp.training.predict import Scorer
from malaria_exp.training.settings import Settings, Stage, check_updates
from malaria_exp.training.strategy import check_divisible, check_optimizer, distributed, open_strategy, steps_per_epoch
from malaria_exp.training.trainable_layers import set_trainable
from malaria_exp.training.trainer_interface import CHECKPOINT_FILE, Parts, Trained
from malaria_exp.training.validation import own_metrics, validation_row
from malaria_exp.training.xla import check_compiled, prepare_kernels
from malaria_exp.utils.atomic_files import write_atomically
from malaria_exp.utils.errors import UserError
from malaria_exp.utils.rows import Row
from malaria_exp.utils.terminal_log import log

if TYPE_CHECKING:
    import keras


class _NothingToTrainError(Exception):
    """There is no training whose speed could be measured."""


class Session:
    """The net, what it is compiled with, and what happens at the end of every step and epoch.

    Attributes:
        settings: how it is trained.
        parts: what the runner assembled.
        length: of the whole training.
        strategy: in whose scope everything with variables is built.
        net: the network that is saved.
        shell: a model of the same layers that is compiled: the net itself stays uncompiled, so that what is saved holds the
            network and nothing of this run's optimizer, loss and schedule. Made anew for each stage.
        score: the cells of a subset to their logits (N,), by the net as it is; a trainer may put its own here.
        history: a row an epoch.
    """

    net: "keras.Model"
    shell: "keras.Model"
    score: Callable[[Cells], np.ndarray]

    def __init__(self, settings: Settings, parts: Parts) -> None:
        self.settings, self.parts = settings, parts
        batches = parts.batches
        prepare_kernels(settings)
        self.strategy = parts.strategy or open_strategy(settings.strategy)
        check_divisible(batches, self.strategy)
        self.length = RunLength(settings.epochs, steps_per_epoch(batches, self.strategy), batches.batch_size)
        check_updates(settings, self.length.steps_per_epoch)
        self.history: list[Row] = []
        self.steps = 0
        self.best, self.best_epoch = float("nan"), 0
        self._gradient: Callable[..., Any] | None = None
        self._build()
        self._best_weights = self.net.get_weights()
        self._started = time.perf_counter()

    def _build(self) -> None:
        """Builds the net and the callbacks; everything a user can have wrong is found here, before the first step."""
        import keras

        parts, stages = self.parts, self.settings.stages
        with self.strategy.scope():
            self._scale = keras.Variable(1.0, trainable=False, name="rate_scale")
        self.precision: str = self.settings.precision
        if self.precision == "auto" and self.strategy.num_replicas_in_sync > 1:
            log.info("precision float32 (auto measures one device; set trainer.precision=bfloat16 for several)")
            self.precision = "float32"
        if self.precision == "auto":
            try:
                self.precision = choose_precision(self._trial, self._first_batch, identity=parts.identity, root=parts.cache)
            except _NothingToTrainError:
                self.precision = "float32"
        # Also after measuring, which drew from Keras' generators: a run never depends on whether it had to measure.
        keras.utils.clear_session()
        keras.utils.set_random_seed(parts.seed)
        set_precision(self.precision)
        with self.strategy.scope():
            self.net = parts.build_model()
            self._own_metrics = own_metrics(parts)
        if remark := getattr(self.net, "remark", None):
            log.info(f"model     {remark}")
        for number, stage in enumerate(stages):
            set_trainable(self.net, stage.train, freeze_norms=stage.freeze_norms, path=f"trainer.stages[{number}].train")
            # A schedule too long for a later stage is no news for after the first.
            self._factor(stage)
        directions = {f"val_{metric.name}": getattr(metric, "direction", None) for metric in self._own_metrics}
        course = CallbackContext(parts.folder, self.length, self.settings.monitor, self.net, self._scale, directions)
        self._mode = course.direction(self.settings.monitor, "trainer.monitor")
        self._callbacks = parts.build_callbacks(course)
        self._scorer = Scorer(self.net, parts.eval_batch_size)
        self.score = self._scorer.logits

    def _trial(self) -> "keras.Model":
        """Returns a net to measure with."""
        net = self.parts.build_model()
        if not net.trainable_variables:
            raise _NothingToTrainError
        return self._compiled(net, self.settings.stages[0])

    def _first_batch(self) -> tuple[np.ndarray, ...]:
        return tuple(part.numpy() for part in next(iter(self.parts.batches.dataset())))

    def batches(self, epoch: int = 0) -> Any:
        """Returns the training batches from an epoch on, dealt out to the strategy's devices."""
        return distributed(self.parts.batches, self.strategy, epoch)

    def _validate(self, logits: np.ndarray) -> Row:
        return validation_row(self.parts, logits, self._own_metrics)

    @property
    def nothing_to_train(self) -> bool:
        """Whether the net has no weight that training could change."""
        return not self.net.trainable_variables

    def compile(self, stage: Stage, number: int) -> "keras.Model":
        """Sets which layers a stage trains, and returns the shell, compiled with a new optimizer."""
        set_trainable(self.net, stage.train, freeze_norms=stage.freeze_norms, path=f"trainer.stages[{number}].train")
        self.shell = self._compiled(self.net, stage)
        for callback in self._callbacks:
            callback.set_model(self.shell)
            callback.set_params({"epochs": self.settings.epochs, "steps": self.length.steps_per_epoch, "verbose": 0})
        if len(self.settings.stages) > 1:
            count = sum(int(np.prod(variable.shape)) for variable in self.net.trainable_variables)
            log.info(f"stage     {number + 1}/{len(self.settings.stages)}: {stage.epochs} epochs, {count:,} parameters are trained")
        return self.shell

    def _factor(self, stage: Stage) -> Multiplier:
        return self.parts.build_multiplier(RunLength(stage.epochs, self.length.steps_per_epoch, self.length.batch_size))

    def _compiled(self, net: "keras.Model", stage: Stage) -> "keras.Model":
        import keras

        settings, parts = self.settings, self.parts
        factor = self._factor(stage)
        with self.strategy.scope():
            # Keras asks for the rate by the batch, also where several make one update.
            optimizer = parts.build_optimizer(lambda step: stage.learning_rate * self._scale * factor(step))
            check_optimizer(optimizer, settings, self.precision, self.strategy)
            if settings.accumulate > 1:
                optimizer.gradient_accumulation_steps = settings.accumulate
            if settings.ema is not None:
                optimizer.use_ema, optimizer.ema_momentum = True, settings.ema
            inputs = keras.Input(net.input_shape[1:])
            shell = keras.Model(inputs, net(inputs))
            shell.compile(
                optimizer, parts.loss, metrics=parts.build_metrics(), jit_compile=settings.jit_compile, run_eagerly=settings.eager
            )
            check_compiled(shell, settings)
            # A step that makes variables is traced twice.
            optimizer.build(shell.trainable_variables)
        return shell

    def start(self) -> None:
        """Training is about to begin."""
        self.parts.tracker.training(self.length, self.settings.monitor, self.net, self.parts.batches)
        self._started = time.perf_counter()

    def begin_stage(self) -> None:
        """A stage is about to begin."""
        self._tell("on_train_begin", {})

    def end_stage(self) -> None:
        """A stage is done."""
        self._tell("on_train_end", {})

    def begin_epoch(self, epoch: int) -> None:
        """An epoch is about to begin; counted from 0 over all stages."""
        self._epoch_started = time.perf_counter()
        self._tell("on_epoch_begin", epoch, {})

    def begin_step(self, step: int) -> None:
        """A step is about to begin; counted from 0 in its epoch."""
        self._tell("on_train_batch_begin", step, {})

    def end_step(self, step: int, values: Row) -> None:
        """A step is done: `values` are the epoch's running means of loss and metrics."""
        self.steps += 1
        self.parts.tracker.step(self.steps, values)
        self._tell("on_train_batch_end", step, dict(values))

    def end_epoch(self, epoch: int, values: Row) -> None:
        """An epoch's steps are done: validates, records, keeps the best weights, then tells the callbacks."""
        parts, length = self.parts, self.length
        seconds = time.perf_counter() - self._epoch_started
        row: Row = {"epoch": epoch + 1, "loss": values["loss"], **values}
        if not np.isfinite(row["loss"]):
            raise UserError(
                f"Training diverged: the loss is {row['loss']} in epoch {epoch + 1}. Lower optimizer.learning_rate, lengthen schedule.warmup"
                " or set trainer.precision=float32."
            )
        with averaged_weights(self.shell):
            logits = self.score(parts.val)
            row |= self._validate(logits)
            row["learning_rate"] = float(self.shell.optimizer.learning_rate)
            row["cells_per_second"] = length.steps_per_epoch * length.batch_size / seconds
            row["seconds"] = time.perf_counter() - self._epoch_started
            self.history.append(row)
            parts.tracker.epoch(row, parts.val, logits, self.net, self._gradients)
            self._keep_best(epoch + 1, row[self.settings.monitor])
            self._tell("on_epoch_end", epoch, dict(row))

    def _gradients(self, batch: tuple[np.ndarray, ...]) -> dict[str, np.ndarray]:
        """Returns the loss' gradients for a batch by name; without dropout, and the net's state stays as it is."""
        import tensorflow as tf

        if self._gradient is None:
            net, loss = self.net, self.parts.loss

            @tf.function(autograph=False)
            def gradient(images: "tf.Tensor", labels: "tf.Tensor", weights: "tf.Tensor | None" = None) -> "list[tf.Tensor]":
                with tf.GradientTape() as tape:
                    value = loss(labels, net(images, training=False), weights) + sum(net.losses)
                found = tape.gradient(value, net.trainable_variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
                # An embedding's are slices of it.
                return [tf.convert_to_tensor(one) for one in found]

            self._gradient = gradient
        values = self._gradient(*batch)
        return {f"gradients/{item.path}": value.numpy() for item, value in zip(self.net.trainable_variables, values, strict=True)}

    def _keep_best(self, epoch: int, value: float) -> None:
        # Written so that the first epoch is taken, and a later one only if it is truly better (never if it is NaN).
        better = value > self.best if self._mode == "max" else value < self.best
        if not self.best_epoch or better or np.isnan(self.best):
            self.best, self.best_epoch, self._best_weights = value, epoch, self.net.get_weights()
            if self.settings.checkpoint and not self.parts.worker:
                write_atomically(self.parts.folder / CHECKPOINT_FILE, self.net.save_weights)

    def _tell(self, event: str, *about: Any) -> None:
        for callback in self._callbacks:
            getattr(callback, event)(*about)

    def trained(self) -> Trained:
        """Gives the net the weights of its best epoch and returns it."""
        self.net.set_weights(self._best_weights)
        seconds = time.perf_counter() - self._started
        notes = []
        if np.isnan(self.best):
            notes.append(f"{self.settings.monitor} was undefined in every epoch: the weights are those of the last one.")
        elif self.best_epoch == self.settings.epochs > 1:
            notes.append(f"The best epoch was the last: {self.settings.monitor} may still have been getting better.")
        monitor = self.settings.monitor
        return Trained(self.net, self.history, self.precision, monitor, self.best_epoch, self.best, seconds, notes, self._scorer)

    def untrained(self) -> Trained:
        """Returns the net as it is, validated once."""
        row = self._validate(self.score(self.parts.val))
        note = "Nothing was trained: the net was evaluated with the weights it has."
        return Trained(self.net, [], self.precision, self.settings.monitor, 0, row[self.settings.monitor], 0.0, [note], self._scorer)
