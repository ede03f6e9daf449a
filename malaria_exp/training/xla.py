"""Compiling steps with XLA, and the settings that it excludes."""

from typing import TYPE_CHECKING

from malaria_exp.training.settings import Settings
from malaria_exp.utils.errors import ConfigError
from malaria_exp.utils.tensorflow_setup import set_repeatable
from malaria_exp.utils.terminal_log import log

if TYPE_CHECKING:
    import keras


def prepare_kernels(settings: Settings) -> None:
    """Allows kernels that are not repeatable if XLA compiles the training; any other training gets repeatable ones.

    XLA has no repeatable kernels for the gradient of max pooling, among others, and Keras' fit compiles nothing while they are required.

    Raises:
        ConfigError: steps are to be compiled and to run as plain Python.
    """
    if settings.jit_compile and settings.eager:
        raise ConfigError(
            "trainer.jit_compile: true is not possible with trainer.eager=true: plain Python is not compiled. Give one of them."
        )
    set_repeatable(not settings.jit_compile)
    if settings.jit_compile:
        log.info("xla       steps are compiled; on a GPU the same seed may then give slightly other numbers each time")


def check_compiled(model: "keras.Model", settings: Settings) -> None:
    """Raises a ConfigError if Keras ignored jit_compile, of which it only warns."""
    if settings.jit_compile and not model.jit_compile:
        raise ConfigError("trainer.jit_compile: Keras cannot compile this model with XLA on this machine. Use trainer.jit_compile=false.")
