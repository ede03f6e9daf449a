"""What is wrong with a training and can be known before its folder is made and its data is read."""

import math
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from malaria_exp.config.durations import RunLength
from malaria_exp.config.registry import check_early, component, is_plugin
from malaria_exp.config.run_config import Config
from malaria_exp.data.augmentation_chain import Augmentation, Chain, Copies, Until
from malaria_exp.runs.initial_weights import InitialWeights, find_weights
from malaria_exp.runs.load_data import resize_rule
from malaria_exp.runs.train_model import build_choice, build_model, check_monitor
from malaria_exp.training.callback_context import CallbackContext
from malaria_exp.training.strategy import open_strategy, workers
from malaria_exp.training.trainable_layers import set_trainable
from malaria_exp.training.trainer_interface import Trainer
from malaria_exp.utils.errors import ConfigError
from malaria_exp.utils.filesystems import scheme_of
from malaria_exp.utils.machine import machine
from malaria_exp.utils.tensorflow_setup import load_tensorflow
from malaria_exp.utils.terminal_log import log

if TYPE_CHECKING:
    import keras

# A training's weights, gradients and two moments of the optimizer, as float32.
BYTES_PER_PARAMETER = 16
# Of a run whose data is not known yet. So long an epoch refuses no length in steps; lengths in epochs and percent are as they will be.
STEPS_PER_EPOCH = 10**6

# Calls of functions, which are looked into, and operations with which tf.data goes on in parallel.
HARMLESS = {"StatefulPartitionedCall", "If", "While", "Case", "Assert", "Print", "PrintV2"}


def check_training(config: Config) -> None:
    """Builds everything that needs no data, and throws it away.

    Raises:
        UserError: something cannot be built, or the model is larger than the memory.
    """
    config.check_components()
    check_monitor(config)
    for group in ("dataset", "split"):
        check_early(group, config.one(group).name, config.one(group).params)
    for key in ("path", "csv"):
        place = config.one("dataset").params.get(key)
        if isinstance(place, str) and not scheme_of(place) and not Path(place).expanduser().exists():
            # The dataset itself says best what it expects there.
            build_choice(config.one("dataset"))
    for choice in (config.one("calibration"), config.one("ood"), *config.choices["threshold"], config.one("interval")):
        build_choice(choice)
    trainer: Trainer = build_choice(config.one("trainer"))
    initial = find_weights(config.init_from, config.cache.path, None) if config.init_from else None
    strategy = config.one("trainer").params.get("strategy")
    # A strategy of several workers has to be opened before TensorFlow computes anything.
    several = strategy in ("multi_worker", "auto") and workers()[0] > 1
    if not several:
        load_tensorflow()
        if strategy == "multi_worker":
            # It says what it needs.
            open_strategy(strategy)
        _check_built(config, trainer, initial)


def _check_built(config: Config, trainer: Trainer, initial: InitialWeights | None) -> None:
    import keras

    # Keras numbers the names of layers; stages name them as they are in the run.
    keras.utils.clear_session()
    # Without it operations that draw by themselves cannot even be built. The training sets it anew.
    keras.utils.set_random_seed(config.seed)
    augmentations = [build_choice(choice) for choice in config.choices["aug"]]
    Chain(augmentations)
    for choice, augmentation in zip(config.choices["aug"], augmentations, strict=True):
        if is_plugin(component("aug", choice.name)) and (found := stateful_operations(augmentation)):
            log.warning(
                f"{choice.path}: uses {', '.join(found)}, which keep a state: TensorFlow then makes one batch after another, without preparing the next"
                " ones, and their results do not follow from the run's seed. Draw with tf.random.stateless_... from the seed that it is given."
            )
    build_choice(config.one("loss"), np.array([0, 1], np.int8))
    build_choice(config.one("sampling"), np.array([0, 1], np.int8), np.array(["one", "another"]))
    epochs = trainer.settings.epochs
    # A run without training uses neither schedule nor callbacks.
    trains = config.one("trainer").name != "none"
    for stage in trainer.settings.stages if trains else ():
        build_choice(
            config.one("optimizer"), build_choice(config.one("schedule"), RunLength(stage.epochs, STEPS_PER_EPOCH, config.batch_size))
        )
    metrics = [build_choice(choice) for choice in config.choices["metric"]]
    model = _try_model(config, initial)
    _check_memory(config, model)
    for number, stage in enumerate(trainer.settings.stages):
        set_trainable(model, stage.train, freeze_norms=stage.freeze_norms, path=f"trainer.stages[{number}].train")
    with tempfile.TemporaryDirectory() as folder:
        length = RunLength(epochs, STEPS_PER_EPOCH, config.batch_size)
        own = {f"val_{metric.name}": getattr(metric, "direction", None) for metric in metrics}
        # Callbacks copy weights while they are built, and those of the model tried may have no values.
        small = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        context = CallbackContext(Path(folder), length, trainer.settings.monitor, small, keras.Variable(1.0), own)
        context.direction(trainer.settings.monitor, "trainer.monitor")
        for choice in config.choices["callback"] if trains else ():
            if not is_plugin(component("callback", choice.name)):
                build_choice(choice, context)


def stateful_operations(augmentation: Augmentation) -> list[str]:
    """Returns the kinds of operations in an augmentation that keep a state, such as RandomUniform."""
    import tensorflow as tf
    from tensorflow.python.framework import op_def_registry

    if isinstance(augmentation, Until):
        augmentation = augmentation.augment
    found = set()
    for augment in augmentation.augments if isinstance(augmentation, Copies) else (augmentation,):
        specs = [tf.TensorSpec(shape, tf.float32) for shape in ((2, 32, 32, 3), (2, 1))]
        graph = tf.function(augment, autograph=False).get_concrete_function(*specs, tf.TensorSpec((2,), tf.int32)).graph.as_graph_def()
        inner = [node for function in graph.library.function for node in function.node_def]
        found |= {node.op for node in (*graph.node, *inner) if op_def_registry.get(node.op).is_stateful}
    return sorted(found - HARMLESS)


def _check_memory(config: Config, model: "keras.Model") -> None:
    """Refuses what cannot fit into this machine's memory, whatever the data: too large a model, or batches of evaluation."""
    memory = machine().get("memory_gb", float("inf"))
    name, count = config.one("model").name, model.count_params()
    if (needed := count * BYTES_PER_PARAMETER / 1e9) > memory:
        raise ConfigError(
            f"model: '{name}' would have {count:,} parameters, whose training takes {needed:,.0f} GB; this machine has {memory:g} GB of memory."
            f" Choose a smaller model: python run.py task=list task.show=model/{name}"
        )
    # A last batch that is not full is filled up. A cell takes its image and the largest of the layers' outputs, both as float32.
    shapes = [getattr(getattr(layer, "output", None), "shape", ()) for layer in model.layers]
    cell = 4 * (3 * resize_rule(config).size ** 2 + max((math.prod(side or 1 for side in shape[1:]) for shape in shapes), default=0))
    if (needed := config.evaluation.batch_size * config.evaluation.views * cell / 1e9) > memory:
        raise ConfigError(
            f"evaluation.batch_size: {config.evaluation.batch_size:,} cells in '{name}' take {needed:,.0f} GB; this machine has {memory:g} GB of"
            " memory. Give fewer; the scores stay the same."
        )


def _try_model(config: Config, initial: InitialWeights | None) -> "keras.Model":
    """Builds the model; without values for its weights, and so without memory for them, where nothing needs the values."""
    import keras

    choice = config.one("model")
    needs_values = any(choice.params.get(key) for key in ("weights", "runs"))
    if initial or needs_values or is_plugin(component("model", choice.name)):
        model = build_model(config)
        return initial(model) if initial else model
    with keras.StatelessScope(initialize_variables=False):
        return build_model(config)
