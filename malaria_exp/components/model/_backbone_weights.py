"""Weights for a backbone: ImageNet's, by Keras' own download, or a file's."""

import contextlib
import socket
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from malaria_exp.training.save_weights import save_weights
from malaria_exp.utils.errors import ConfigError, did_you_mean, listing

if TYPE_CHECKING:
    import keras

PATIENCE_SECONDS = 20.0
KERAS_FILES = "https://storage.googleapis.com/"
ENDINGS = (".weights.h5", ".h5", ".keras")
LISTED = 5


def imagenet_weights(name: str, application: "Callable[..., keras.Model]", edge: int, file: str) -> list[np.ndarray]:
    """Returns the weights of ImageNet, downloaded once by Keras, which keeps them in ~/.keras and checks their hash where it knows it.

    Args:
        name: of the backbone, for messages.
        application: of keras.applications.
        edge: of the images that the weights are for, in pixels.
        file: where Keras fetches them from, below KERAS_FILES.

    Raises:
        ConfigError: they cannot be fetched, or what Keras keeps is damaged.
    """
    url = KERAS_FILES + file
    try:
        with _timeout():
            weights: list[np.ndarray] = application(include_top=False, weights="imagenet", input_shape=(edge, edge, 3)).get_weights()
    except Exception as error:  # noqa: BLE001 - Keras raises a plain Exception, and what sockets, HTTP and HDF5 raise goes through it
        # Keras words it "URL fetch failure on <url>: <number> -- <reason>".
        reason = str(error).partition(" -- ")[2] or " ".join(str(error).split()) or type(error).__name__
        raise ConfigError(
            f"model.weights: the ImageNet weights of {name} could not be fetched or read ({reason}). If ~/.keras/models has a damaged"
            f" {url.rpartition('/')[2]}, delete it. Without a network here, fetch {url} elsewhere, and give the file: model.weights=path."
            " Or train from nothing: model.weights=null."
        ) from None
    return weights


@contextlib.contextmanager
def _timeout() -> Iterator[None]:
    """Limits the wait for a server, for which Keras' download would wait forever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def load_file(model: "keras.Model", name: str, given: str) -> None:
    """Gives a backbone the weights of a file, all of them.

    Args:
        model: the backbone.
        name: what it is called in the configuration.
        given: path of the file.

    Raises:
        ConfigError: there is no such file, it is damaged, or it does not fit.
    """
    path = Path(given).expanduser()
    expected = f"Expected null, imagenet, or a local file of {name}'s weights ({', '.join(ENDINGS)})."
    if not path.is_file():
        raise ConfigError(f"model.weights: no file '{given}'.{did_you_mean(given, ['imagenet'])} {expected}")
    if not path.name.endswith(ENDINGS):
        raise ConfigError(f"model.weights: '{path}' is no file of weights. {expected}")
    try:
        with warnings.catch_warnings():
            # Keras only warns of layers that the file lacks; half a model's weights are of no use.
            warnings.simplefilter("error", UserWarning)
            model.load_weights(path)
    except Exception:  # noqa: BLE001 - HDF5, zip and Keras each raise their own
        # Keras names a layer only for some kinds of files.
        raise ConfigError(
            f"model.weights: '{path}' does not fit {name} without its classifier. {_misfits(model, path)}\n"
            f"Give a file of {name} whose name says notop or no_top, or begin from what fits of any file or run: init_from=..."
        ) from None
    if not all(np.isfinite(numbers).all() for numbers in model.get_weights()):
        raise ConfigError(f"model.weights: weights in '{path}' are no numbers (NaN or infinite): the training they come from diverged.")


def _misfits(model: "keras.Model", path: Path) -> str:
    """Returns what is wrong with a file that Keras cannot load: the layers that it lacks or has in other shapes."""
    from malaria_exp.runs.layer_pairs import pair_layers
    from malaria_exp.runs.weights_file import WeightsFileError, open_weights, stored_layers

    with tempfile.TemporaryDirectory() as folder:
        own = Path(folder) / "own.weights.h5"
        save_weights(model, own)
        with open_weights(own) as file:
            layers = stored_layers(file, model)
    try:
        with open_weights(path) as file:
            theirs = dict(pair_layers(layers, stored_layers(file, model)))
    except WeightsFileError as error:
        return f"It cannot be read: {error}."
    wrong = []
    for mine in layers:
        expected = ", ".join(map(str, mine.shapes))
        if mine not in theirs:
            wrong.append(f"{mine.name}: expected {expected}; the file has no such layer")
        elif theirs[mine].shapes != mine.shapes:
            wrong.append(f"{mine.name}: expected {expected}; the file has {', '.join(map(str, theirs[mine].shapes))}")
    if not wrong:
        return "It holds more than that, such as a whole model."
    return f"{len(wrong)} of its {len(layers)} layers differ:\n{listing(wrong, LISTED)}"
