"""A training in progress: all that fit and loop share. They differ only in who iterates over the batches."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from malaria_exp.data.subsets import Cells
from malaria_exp.training.averaging import averaged_weights
from malaria_exp.training.callback_context import CallbackContext
from malaria_exp.training.checkpoint import (
    Checkpoint,
    Progress,
    name_arrays,
    read_states,
    read_variables,
    write_losses,
    write_states,
    write_variables,
)
from malaria_exp.training.checkpoint_files import Checkpoints
from malaria_exp.training.learning_rate_multiplier import Multiplier
from malaria_exp.training.loss_gradients import LossGradients
from malaria_exp.training.precision import choose_precision, set_precision
from malaria_exp.training.predict import Scorer
from malaria_exp.training.settings import Settings, Stage, check_updates
from malaria_exp.training.strategy import check_divisible, check_optimizer, distributed, length_of, open_strategy
from malaria_exp.training.trainable_layers import set_trainable
from malaria_exp.training.trainer_interface import Trained, TrainerInputs
from malaria_exp.training.validation import own_metrics, validation_row
from malaria_exp.training.xla import check_compiled, prepare_kernels
from malaria_exp.utils.errors import RunFolderError, UserError
from malaria_exp.utils.machine import machine
from malaria_exp.utils.rows import Row
from malaria_exp.utils.signals import HeldBack, hold_back
from malaria_exp.utils.terminal_log import log

if TYPE_CHECKING:
    import keras

    from malaria_exp.training.cell_losses import CellLosses


class _NothingToTrainError(Exception):
    """There is no training whose speed could be measured."""


class Session:
    """The model, its compilation, and what happens at the end of every step and epoch.

    Attributes:
        settings: how it is trained.
        inputs: what the runner assembled.
        length: of the whole training.
        strategy: in whose scope everything with variables is built.
        model: the model that is saved. It stays uncompiled, so that the file has nothing of this run's optimizer, loss and schedule.
        compiled: a compiled model of the same layers, made anew for each stage.
        score: computes the logits (N,) of a subset's cells with the current weights; a trainer may replace it.
        progress: how far the training has come.
        step_metrics: the running means of the epoch so far; a trainer that keeps its own gives them here.
        cell_losses: notes each cell's loss, if cells are sampled by it; the batches of `of_epoch` then have weights and the cells' places, too.
        batches: the training batches from the step that comes next on, divided among the strategy's devices; made anew for each stage.
    """

    model: "keras.Model"
    compiled: "keras.Model"
    score: Callable[[Cells], np.ndarray]
    step_metrics: "list[keras.metrics.Metric]"
    cell_losses: "CellLosses | None" = None
    batches: Any
    _numbered: Any
    _of_epoch: Iterator[Any] | None

    def __init__(self, settings: Settings, inputs: TrainerInputs) -> None:
        self.settings, self.inputs = settings, inputs
        batches = inputs.batches
        prepare_kernels(settings)
        self.strategy = inputs.strategy or open_strategy(settings.strategy)
        check_divisible(batches, self.strategy)
        self.length = length_of(batches, self.strategy, settings.epochs)
        check_updates(settings, self.length)
        self.progress = Progress(settings.precision)
        self._signal = HeldBack()
        self._checkpoints = Checkpoints(inputs.folder, None if self._one_of_several else settings.checkpoint, self.length)
        # What a run that was cut off goes on from, until everything has taken its place.
        self._checkpoint = inputs.checkpoint
        if self._checkpoint is not None:
            self.progress = self._checkpoint.progress
            if self.progress.stage >= len(settings.stages) or self.progress.step >= self.length.steps_in(self.epoch):
                raise RunFolderError("run: the checkpoint does not fit: it is of a training of another length.")
            if batches.sampling.by_loss:
                write_losses(batches.epoch_cells.losses, self._checkpoint.numbered("losses"))
        self._build()
        self._best_weights = self._checkpoint.numbered("best") if self._checkpoint else self.model.get_weights()
        self._started = time.perf_counter()

    @property
    def precision(self) -> str:
        """That of the computation; "auto" until it is measured."""
        return self.progress.precision

    @property
    def _one_of_several(self) -> bool:
        """Whether several processes train together, each with a part of the state."""
        return bool(self.strategy.extended._in_multi_worker_mode())

    def _build(self) -> None:
        """Builds the model and the callbacks; everything a user can have wrong is found here, before the first step."""
        import keras

        inputs, stages = self.inputs, self.settings.stages
        with self.strategy.scope():
            self._scale = keras.Variable(1.0, trainable=False, name="rate_scale")
        if self.precision == "auto" and self.strategy.num_replicas_in_sync > 1:
            log.info("precision float32 (auto measures one device; set trainer.precision=bfloat16 for several)")
            self.progress.precision = "float32"
        if self.precision == "auto":
            try:
                self.progress.precision = choose_precision(self._trial, self._first_batch, identity=inputs.identity, root=inputs.cache)
            except _NothingToTrainError:
                self.progress.precision = "float32"
        # Measuring the precision has used Keras' random generators; a run must not depend on whether it had to measure.
        keras.utils.clear_session()
        keras.utils.set_random_seed(inputs.seed)
        set_precision(self.precision)
        with self.strategy.scope():
            self.model = inputs.build_model()
            self._own_metrics = own_metrics(inputs)
            if inputs.batches.sampling.by_loss:
                from malaria_exp.training.cell_losses import CellLosses

                self.cell_losses = CellLosses(inputs.loss, len(inputs.batches.cells))
        if remark := getattr(self.model, "remark", None):
            log.info(f"model     {remark}")
        for number, stage in enumerate(stages):
            set_trainable(self.model, stage.train, freeze_norms=stage.freeze_norms, path=f"trainer.stages[{number}].train")
            # A schedule that is too long for a later stage is an error before the first stage.
            self._multiplier(stage, sum(one.epochs for one in stages[:number]))
        directions = {f"val_{metric.name}": getattr(metric, "direction", None) for metric in self._own_metrics}
        context = CallbackContext(
            inputs.folder, self.length, self.settings.monitor, self.model, self._scale, directions, steps_done=lambda: self.progress.steps
        )
        self._mode = context.direction(self.settings.monitor, "trainer.monitor")
        self._callbacks = inputs.build_callbacks(context)
        self._scorer = Scorer(self.model, inputs.eval_batch_size)
        self.score = self._scorer.logits
        self._gradients = LossGradients(self.model, inputs.loss)

    def _trial(self) -> "keras.Model":
        """Returns a model to measure with."""
        model = self.inputs.build_model()
        if not model.trainable_variables:
            raise _NothingToTrainError
        return self._compile(model, self.settings.stages[0])

    def _first_batch(self) -> tuple[np.ndarray, ...]:
        return tuple(column.numpy() for column in next(iter(self.inputs.batches.dataset())))

    def _open_batches(self) -> None:
        batches = self.inputs.batches
        self.batches = distributed(batches, self.strategy, lambda own: own.dataset(self.epoch, self.progress.step))
        self._numbered = self._of_epoch = None
        if self.cell_losses is not None:
            self._numbered = distributed(batches, self.strategy, lambda own: own.epoch_under_way(lambda: (self.epoch, self.progress.step)))

    def of_epoch(self, batches: Iterator[Any]) -> Iterator[Any]:
        """Returns the iterator to take the epoch's batches from: that of `batches`, which goes on; or with `cell_losses` one of its own.

        That one begins with the epoch, whose cells are known only then.
        """
        return self._of_epoch or batches

    @property
    def epoch(self) -> int:
        """The epoch under way, counted from 0 over all stages."""
        return len(self.progress.history)

    @property
    def stage_end(self) -> int:
        """The epoch at which the stage under way ends; the present one if it was stopped before."""
        progress = self.progress
        return self.epoch if progress.stopped else progress.stage_first + self.settings.stages[progress.stage].epochs

    def _validate(self, logits: np.ndarray) -> Row:
        return validation_row(self.inputs, logits, self._own_metrics)

    @property
    def nothing_to_train(self) -> bool:
        """Whether the model has no weight that training could change."""
        return not self.model.trainable_variables

    def compile(self, stage: Stage, number: int) -> "keras.Model":
        """Sets which layers a stage trains, and returns the model compiled with a new optimizer."""
        set_trainable(self.model, stage.train, freeze_norms=stage.freeze_norms, path=f"trainer.stages[{number}].train")
        if self._checkpoint is None:
            self.progress.stage, self.progress.stage_first, self.progress.stopped = number, self.epoch, False
        self.compiled = self._compile(self.model, stage)
        self._open_batches()
        for callback in self._callbacks:
            callback.set_model(self.compiled)
            callback.set_params({"epochs": self.settings.epochs, "steps": self.length.steps_per_epoch, "verbose": 0})
        if len(self.settings.stages) > 1:
            count = sum(int(np.prod(variable.shape)) for variable in self.model.trainable_variables)
            log.info(f"stage     {number + 1}/{len(self.settings.stages)}: {stage.epochs} epochs, {count:,} parameters are trained")
        return self.compiled

    def _multiplier(self, stage: Stage, first_epoch: int) -> Multiplier:
        return self.inputs.build_multiplier(self.length.part(first_epoch, stage.epochs))

    def _compile(self, model: "keras.Model", stage: Stage) -> "keras.Model":
        import keras

        settings, inputs = self.settings, self.inputs
        multiplier = self._multiplier(stage, self.progress.stage_first)
        with self.strategy.scope():
            # Keras asks for the rate at every batch, also where several batches make one update.
            optimizer = inputs.build_optimizer(lambda step: stage.learning_rate * self._scale * multiplier(step))
            check_optimizer(optimizer, settings, self.precision, self.strategy)
            if settings.accumulate > 1:
                optimizer.gradient_accumulation_steps = settings.accumulate
            if settings.ema is not None:
                optimizer.use_ema, optimizer.ema_momentum = True, settings.ema
            images = keras.Input(model.input_shape[1:])
            if self.cell_losses is None:
                compiled = keras.Model(images, model(images))
            else:
                from malaria_exp.training.cell_losses import noting_model

                compiled = noting_model(images, model(images), self.cell_losses)
            metrics = inputs.build_metrics()
            compiled.compile(optimizer, inputs.loss, metrics=metrics, jit_compile=settings.jit_compile, run_eagerly=settings.eager)
            # Before its first step a compiled model lists the mean of the loss, and nothing else that it keeps.
            self.step_metrics = [compiled.metrics[0], *metrics]
            check_compiled(compiled, settings)
            # A training step that creates variables would be traced twice, and a checkpoint is given to those that are there.
            compiled.optimizer.build(compiled.trainable_variables)
        return compiled

    @contextmanager
    def running(self) -> Iterator[None]:
        """The training as a whole. A signal that comes inside is raised after a checkpoint at the end of a step."""
        self.inputs.tracker.training(self.length, self.settings.monitor, self.model, self.inputs.batches)
        self._started = time.perf_counter() - self.progress.seconds
        with hold_back("after this step, or this epoch's validation, and a checkpoint") as self._signal:
            yield

    def begin_stage(self) -> None:
        """A stage is about to begin, or to go on."""
        self._tell("on_train_begin", {})
        if self._checkpoint is not None:
            write_variables(self._state_variables, self._checkpoint.numbered("state"), "model and optimizer")
            write_states(self._callbacks, self._checkpoint.callbacks, self._checkpoint.arrays)

    def end_stage(self) -> None:
        """A stage is done."""
        self._tell("on_train_end", {})
        # There was no epoch left in which it would have taken its place.
        self._checkpoint = None

    def begin_epoch(self, epoch: int) -> None:
        """An epoch is about to begin; counted from 0 over all stages."""
        self._epoch_started, self._epoch_first_step = time.perf_counter(), self.progress.step
        self._tell("on_epoch_begin", epoch, {})
        if self.cell_losses is not None:
            self.cell_losses.reset_state()
            self._of_epoch = iter(self._numbered)
        if self._checkpoint is not None:
            # Only now, because the trainer has just reset them.
            if self.progress.step:
                write_variables(self._metric_variables, self._checkpoint.numbered("metric"), "metrics")
            self._checkpoint = None

    def begin_step(self, step: int) -> None:
        """A step is about to begin; counted from 0 in its epoch."""
        self._tell("on_train_batch_begin", step, {})

    def end_step(self, step: int, values: Row) -> None:
        """A step is done: `values` are the epoch's running means of loss and metrics."""
        self.progress.steps += 1
        self.progress.step = step + 1
        self.inputs.tracker.step(self.progress.steps, values)
        self._tell("on_train_batch_end", step, dict(values))
        # At an epoch's last step, its end is near.
        if self.progress.step < self.length.steps_in(self.epoch):
            self._save_or_stop(epoch_end=False)

    def end_epoch(self, epoch: int, values: Row) -> None:
        """An epoch's steps are done: validates, records, keeps the best weights, then tells the callbacks."""
        inputs, length = self.inputs, self.length
        seconds = time.perf_counter() - self._epoch_started
        row: Row = {"epoch": epoch + 1, "loss": values["loss"], **values}
        if not np.isfinite(row["loss"]):
            raise UserError(
                f"Training diverged: the loss is {row['loss']} in epoch {epoch + 1}. Lower optimizer.learning_rate, lengthen schedule.warmup"
                " or set trainer.precision=float32."
            )
        if self.cell_losses is not None:
            self.cell_losses.write_into(inputs.batches.epoch_cells.losses)
        with averaged_weights(self.compiled):
            logits = self.score(inputs.val)
            row |= self._validate(logits)
            row["learning_rate"] = float(self.compiled.optimizer.learning_rate)
            row["cells_per_second"] = (length.steps_in(epoch) - self._epoch_first_step) * length.batch_size / seconds
            row["seconds"] = time.perf_counter() - self._epoch_started
            self.progress.history.append(row)
            inputs.tracker.epoch(row, inputs.val, logits, self.model, self._gradients)
            self._keep(epoch + 1, row[self.settings.monitor])
            self._tell("on_epoch_end", epoch, dict(row))
        self.progress.step, self.progress.stopped = 0, bool(self.compiled.stop_training)
        self._save_or_stop(epoch_end=True)

    def _keep(self, epoch: int, value: float) -> None:
        # The first epoch is kept; of the best, a later one only if it is better, which NaN never is.
        progress = self.progress
        better = value > progress.best if self._mode == "max" else value < progress.best
        if self.settings.keep == "last" or not progress.best_epoch or better or np.isnan(progress.best):
            progress.best, progress.best_epoch, self._best_weights = value, epoch, self.model.get_weights()

    def _save_or_stop(self, *, epoch_end: bool) -> None:
        """Writes a checkpoint if one is due or a signal has come, which is then raised."""
        stopping = self._signal.number is not None
        if self._checkpoints.every is not None and (stopping or self._checkpoints.due(self.progress.steps, epoch_end=epoch_end)):
            self._checkpoints.write(self._to_checkpoint)
            if stopping:
                log.info(f"stopped   after step {self.progress.steps:,} of {self.length.steps:,}, with a checkpoint")
        self._signal.raise_if_any()

    @property
    def _state_variables(self) -> "list[keras.Variable]":
        # Of the model its random generators too. The optimizer knows the step, moments, averaged weights, gathered gradients and loss scale.
        return [*self.model.variables, *self.compiled.optimizer.variables, self._scale]

    @property
    def _metric_variables(self) -> "list[keras.Variable]":
        metrics = [*self.step_metrics, self.cell_losses] if self.cell_losses else self.step_metrics
        return [variable for metric in metrics for variable in metric.variables]

    def _to_checkpoint(self) -> Checkpoint:
        self.inputs.tracker.settle()
        self.progress.seconds = time.perf_counter() - self._started
        states, arrays = read_states(self._callbacks)
        arrays |= name_arrays("state", read_variables(self._state_variables))
        arrays |= name_arrays("metric", read_variables(self._metric_variables) if self.progress.step else [])
        arrays |= name_arrays("best", self._best_weights)
        arrays |= name_arrays("losses", [self.inputs.batches.epoch_cells.losses] if self.cell_losses else [])
        return Checkpoint(self.progress, machine(), states, arrays)

    def _tell(self, event: str, *about: Any) -> None:
        for callback in self._callbacks:
            getattr(callback, event)(*about)

    def trained(self) -> Trained:
        """Gives the model the weights that are kept and returns it."""
        self.model.set_weights(self._best_weights)
        seconds = time.perf_counter() - self._started
        notes = []
        if np.isnan(self.progress.best):
            when = "every epoch: the weights are those of the last one" if self.settings.keep == "best" else "the last epoch"
            notes.append(f"{self.settings.monitor} was undefined in {when}.")
        elif self.settings.keep == "best" and self.progress.best_epoch == self.settings.epochs > 1:
            notes.append(f"More epochs may give a better model: the best one was the last (by {self.settings.monitor}).")
        whole = self.length.whole_epochs
        if self.cell_losses and whole is not None and whole < self.settings.epochs:
            notes.append(f"After epoch {whole} the training loss and metrics are those of the cells with the highest losses, not of all.")
        if self.settings.monitor == "loss" and self.settings.keep == "best":
            notes.append(
                "The best epoch was chosen by the training loss: it shows whether the model can learn, and says nothing about new cells."
            )
        monitor = self.settings.monitor
        return Trained(
            self.model,
            self.progress.history,
            self.precision,
            monitor,
            self.progress.best_epoch,
            self.progress.best,
            seconds,
            notes,
            self._scorer,
        )

    def untrained(self) -> Trained:
        """Returns the model as it is, validated once."""
        row = self._validate(self.score(self.inputs.val))
        note = "Nothing was trained: the model was evaluated with the weights it has."
        return Trained(
            self.model, [], self.precision, self.settings.monitor, 0, row.get(self.settings.monitor, np.nan), 0.0, [note], self._scorer
        )
