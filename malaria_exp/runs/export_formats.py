"""The formats that a trained model is written in: a whole Keras model, its weights alone, and a TensorFlow SavedModel."""

from pathlib import Path
from typing import TYPE_CHECKING

from malaria_exp.config.run_files import FILES, MODEL_FILE, SaveFormat
from malaria_exp.training.save_weights import save_weights
from malaria_exp.utils.atomic_files import new_folder, write_atomically

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


def write_formats(folder: Path, model: "keras.Model", whole: "keras.Model", formats: list[SaveFormat]) -> dict[str, str]:
    """Writes a model in the formats asked for, each all or nothing; model.keras always, as everything that reads a run needs it.

    Args:
        folder: the run's folder.
        model: the model that was trained, images (B, size, size, 3) in [0, 1] to logits (B, 1).
        whole: what is saved: the model itself, or a larger one that prepares raw images for it or calibrates its logits.
        formats: those beside "keras".

    Returns:
        {format: name in the folder} of what was written.
    """
    write_atomically(folder / MODEL_FILE, whole.save)
    if "weights" in formats:
        # Not those of `whole`, which has no others: so they load into the model that is built, whatever was put around it.
        save_weights(model, folder / FILES["weights"])
    if "saved_model" in formats:
        with new_folder(folder / FILES["saved_model"]) as temporary:
            write_saved_model(temporary, whole)
    return {name: file for name, file in FILES.items() if name == "keras" or name in formats}


def write_saved_model(folder: Path, model: "keras.Model") -> None:
    """Writes a SavedModel that TensorFlow reads without Keras and without this package.

    Its signature `serving_default`, which is also its function `serve`, takes `images`, as the model does, and gives `logit` and
    `score` (the probability of parasitized), both float32 (B, 1).
    """
    import keras
    import tensorflow as tf

    def serve(images: "tf.Tensor") -> dict[str, "tf.Tensor"]:
        logit = tf.cast(model(images, training=False), tf.float32)
        return {"logit": logit, "score": tf.sigmoid(logit)}

    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serve", serve, input_signature=[tf.TensorSpec(model.input_shape, input_dtype(model), name="images")])
    archive.write_out(str(folder), verbose=False)


def input_dtype(model: "keras.Model") -> str:
    """Returns the type of the images a model takes: "uint8" of one with raw input, otherwise "float32"."""
    return "uint8" if model.input_shape[1] is None else "float32"
