"""How the work of a step is divided among devices, over tf.distribute.

Each replica takes an equal slice of every batch and gradients are summed, so that a step is the one that a single device would take.
"""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from malaria_exp.config.durations import RunLength
from malaria_exp.data.seeds import Batches
from malaria_exp.data.streamed_batches import StreamedBatches
from malaria_exp.training.settings import Settings, StrategyName
from malaria_exp.utils.errors import ConfigError
from malaria_exp.utils.terminal_log import log

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

EXAMPLE = '{"cluster": {"worker": ["host1:23456", "host2:23456"]}, "task": {"type": "worker", "index": 0}}'


def workers() -> tuple[int, int]:
    """Returns (number, index) of this process among the workers that the environment variable TF_CONFIG names; (1, 0) without it.

    Raises:
        ConfigError: TF_CONFIG is set and cannot be understood.
    """
    text = os.environ.get("TF_CONFIG")
    if not text:
        return 1, 0
    try:
        config = json.loads(text)
        names, task = config["cluster"]["worker"], config["task"]
        number, index = len(names), int(task["index"])
        sound = set(config["cluster"]) == {"worker"} and task["type"] == "worker" and 0 <= index < number
    except (ValueError, KeyError, TypeError):
        sound = False
    if not sound:
        raise ConfigError(
            f"TF_CONFIG: expected the addresses of all workers and which of them this process is, such as {EXAMPLE} (only workers; the first"
            f" of them is the chief); received {text[:300]}"
        )
    return number, index


def worker_folder(folder: Path, strategy: str) -> Path | None:
    """Returns the folder of a worker that is not the chief, next to the run's; None for the chief, and without several workers."""
    if strategy not in ("multi_worker", "auto") or not workers()[1]:
        return None
    return folder.with_name(f"{folder.name}-worker-{workers()[1]}")


def open_strategy(name: StrategyName) -> "tf.distribute.Strategy":
    """Returns the strategy in whose scope the model is built and trained.

    With several workers it must be opened before TensorFlow computes anything in this process.

    Raises:
        ConfigError: this machine or this process cannot do it.
    """
    import tensorflow as tf

    gpus, number = tf.config.list_logical_devices("GPU") if name != "multi_worker" else [], workers()[0]
    if name == "auto":
        name = "multi_worker" if number > 1 else "mirrored" if len(gpus) > 1 else "none"
        log.info(f"strategy  {name} (auto: {number} workers, {len(gpus)} GPUs here)")
    if name == "mirrored":
        devices = gpus or tf.config.list_logical_devices("CPU")
        log.info(f"strategy  mirrored over {len(devices)} {'GPUs' if gpus else 'CPU devices; it is made for GPUs'}")
        return _mirrored(tuple(device.name for device in devices))
    if name == "multi_worker":
        if number < 2:
            raise ConfigError(
                f"trainer.strategy: multi_worker needs at least two workers in the environment variable TF_CONFIG, such as {EXAMPLE}; start the"
                " same command on each, with its own index."
            )
        try:
            strategy = _multi_worker()
        except RuntimeError as error:
            raise ConfigError(
                "trainer.strategy: multi_worker has to be the first that TensorFlow does in a process, so it cannot follow other jobs of"
                f" a multirun: {str(error).splitlines()[0]}"
            ) from None
        log.info(f"strategy  multi_worker: worker {workers()[1] + 1} of {number}, {strategy.num_replicas_in_sync} devices in all")
        return strategy
    return tf.distribute.get_strategy()


@cache
def _mirrored(devices: tuple[str, ...]) -> "tf.distribute.Strategy":
    """Returns the process' only strategy over these devices: a second one would reuse the numbers of the first one's messages and mix them up."""
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(devices)


@cache
def _multi_worker() -> "tf.distribute.Strategy":
    """Returns the process' only strategy of several workers."""
    import tensorflow as tf

    return tf.distribute.MultiWorkerMirroredStrategy()


def check_divisible(batches: Batches, strategy: "tf.distribute.Strategy") -> None:
    """Raises a ConfigError if a batch cannot be divided evenly among the replicas."""
    replicas = strategy.num_replicas_in_sync
    if batches.batch_size % replicas:
        raise ConfigError(
            f"batch_size: {batches.batch_size} cells cannot be divided evenly among {replicas} devices. Use a multiple of {replicas}."
        )


def check_optimizer(
    optimizer: "keras.optimizers.Optimizer", settings: Settings, precision: str, strategy: "tf.distribute.Strategy"
) -> None:
    """Raises a ConfigError for what Keras would compute wrongly, or not at all, on several devices."""
    if strategy.num_replicas_in_sync < 2:
        return
    devices = f"on {strategy.num_replicas_in_sync} devices (trainer.strategy={settings.strategy})"
    if optimizer.global_clipnorm is not None:
        raise ConfigError(
            f"optimizer.clip_norm: not possible {devices}: Keras clips each device's gradients before it sums them, which is another step"
            " than on one device. Use optimizer.clip_norm=null."
        )
    if settings.accumulate > 1:
        raise ConfigError(
            f"trainer.accumulate: not possible {devices}: Keras cannot add up gradients on several devices. Use trainer.accumulate=1 and a larger"
            " batch_size: each device holds only its part of it."
        )
    if precision == "float16":
        raise ConfigError(
            f"trainer.precision: float16 is not possible {devices}: each would decide by itself whether a step is too large for sixteen bits, and"
            " wait forever for the others. Use bfloat16 or float32."
        )


def refuse_workers(strategy: "tf.distribute.Strategy") -> None:
    """Raises a ConfigError under several workers, where Keras' fit cannot train."""
    if strategy.extended._in_multi_worker_mode():
        raise ConfigError(
            "trainer.strategy: Keras 3's fit cannot train on several workers (before the first step it takes a worker's part of a batch for a"
            " tensor, and fails). Use trainer=loop, which takes the same steps."
        )


def length_of(batches: Batches, strategy: "tf.distribute.Strategy", epochs: int) -> RunLength:
    """Returns the length of a training; with shards, each worker reads its own, and all take the same number of steps."""
    number = workers()[0] if strategy.extended._in_multi_worker_mode() else 1
    if number > 1 and isinstance(batches, StreamedBatches):
        batches = batches.for_worker(0, number, batches.batch_size // number)
    return replace(batches.length, epochs=epochs)


def distributed(batches: Batches, strategy: "tf.distribute.Strategy", read: "Callable[[Batches], tf.data.Dataset]") -> Any:
    """Returns batches, each divided among the strategy's replicas.

    Together the replicas' slices are the batch that a single device would get: each worker makes the whole batch, augmentation
    included, and keeps its slice. With shards, each worker reads its own.

    Args:
        batches: of the training.
        strategy: of the training.
        read: returns the pipeline of them, or of a worker's own.
    """
    import tensorflow as tf

    if strategy.num_replicas_in_sync < 2:
        return read(batches)
    if isinstance(batches, StreamedBatches):
        return batches.distributed(strategy, read)

    def pipeline(context: "tf.distribute.InputContext") -> "tf.data.Dataset":
        each = batches.batch_size // context.num_replicas_in_sync
        own = batches.batch_size // context.num_input_pipelines
        first = own * context.input_pipeline_id
        options = tf.data.Options()
        options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
        slices = read(batches).map(lambda *batch: tuple(column[first : first + own] for column in batch))
        return slices.rebatch(each, drop_remainder=True).with_options(options)

    return strategy.distribute_datasets_from_function(pipeline)
