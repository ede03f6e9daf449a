"""Opening a finished model for use: a run on TensorFlow, a bundle on onnxruntime, which needs neither TensorFlow nor Keras."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from malaria_exp.data.seeds import to_unit
from malaria_exp.deployment.bundle import MODELS, onnx_of, read_facts, read_model_file
from malaria_exp.deployment.deployed_model import INPUT, LOGIT, OOD, SCORE, CellScores, DeployedModel, ModelFacts
from malaria_exp.evaluation.logit_map import LogitMap
from malaria_exp.evaluation.predictions import sigmoid
from malaria_exp.runs.saved_model import SavedModel, load_model
from malaria_exp.utils.errors import ConfigError, RunFolderError
from malaria_exp.utils.tensorflow_setup import load_tensorflow

if TYPE_CHECKING:
    import onnxruntime
    import tensorflow as tf


def open_model(source: Path, *, threads: int = 0) -> DeployedModel:
    """Opens a finished run or a bundle.

    Args:
        source: the run's folder, or the bundle's.
        threads: of onnxruntime, for a bundle; 0 takes one a core. TensorFlow's are set for the whole process.

    Raises:
        RunFolderError: it is neither, or it is damaged.
        ConfigError: a package is missing, or the run's model is not known here.
    """
    facts = read_facts(source)
    if MODELS in facts.record:
        return _OnnxModel(facts, threads)
    load_tensorflow()
    return KerasModel(facts, load_model(source))


class _OnnxModel:
    """A bundle's ONNX model on onnxruntime."""

    def __init__(self, facts: ModelFacts, threads: int) -> None:
        self.facts = facts
        self._session = onnx_session(read_model_file(facts, onnx_of(facts)), threads, str(facts.folder))
        parts = len(facts.ood.parts) if facts.ood else 0
        inputs = {item.name: (item.type, len(item.shape)) for item in self._session.get_inputs()}
        outputs = {item.name: item.shape[-1:] for item in self._session.get_outputs()}
        if inputs != {INPUT: ("tensor(uint8)", 4)} or outputs.get(SCORE) != [1] or outputs.get(OOD) != ([parts] if parts else None):
            raise RunFolderError(
                f"run: the ONNX model in '{facts.folder}' does not fit its model.json: it takes {inputs}, gives {outputs}."
            )
        self._outputs = [SCORE, *([OOD] if parts else [])]

    def __call__(self, images: np.ndarray) -> CellScores:
        """See `DeployedModel`; images may be of any height and width here."""
        found = self._session.run(self._outputs, {INPUT: images})
        ood = found[1] if len(found) > 1 else np.zeros((len(images), 0))
        return CellScores(found[0][:, 0].astype(np.float64), ood.astype(np.float64))


class KerasModel:
    """A run's Keras model on TensorFlow, calibrated in float64, as the run's own predictions are.

    Args:
        facts: of the run.
        saved: its model.
    """

    def __init__(self, facts: ModelFacts, saved: SavedModel) -> None:
        import tensorflow as tf

        self.facts, self.saved = facts, saved
        from malaria_exp.training.ood_model import with_ood

        model, size = with_ood(saved.uncalibrated, LogitMap(), saved.detector, saved.views), facts.rule.size
        self._calibration = saved.calibration.map

        @tf.function(autograph=False, input_signature=[tf.TensorSpec((None, size, size, 3), tf.uint8)])
        def call(images: "tf.Tensor") -> "dict[str, tf.Tensor]":
            found: dict[str, tf.Tensor] = model(to_unit(images), training=False)
            return found

        self._call = call

    def __call__(self, images: np.ndarray) -> CellScores:
        """See `DeployedModel`."""
        found = self._call(images)
        ood = found[OOD].numpy() if OOD in found else np.zeros((len(images), 0))
        return CellScores(sigmoid(self._calibration(found[LOGIT].numpy()[:, 0])), ood.astype(np.float64))


def onnx_session(model: bytes, threads: int, where: str) -> "onnxruntime.InferenceSession":
    """Opens an ONNX model on the CPU.

    Args:
        model: the file's content. A model that is read from memory refers to no other file.
        threads: one a core for 0.
        where: the place of it, for messages.

    Raises:
        ConfigError: onnxruntime is not installed.
        RunFolderError: it is no model that onnxruntime runs.
    """
    if find_spec("onnxruntime") is None:
        raise ConfigError(
            "run: a bundle needs the package onnxruntime, which is not installed. Install it: pip install 'malaria_exp[serve]'"
        )
    import onnxruntime

    options: Any = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - onnxruntime's errors have no class in common
        raise RunFolderError(f"run: the ONNX model in '{where}' cannot be loaded: {' '.join(str(error).split())[:300]}") from None
