"""What is exported: one function from raw images to logit, score and OOD scores. It imports TensorFlow: import it late."""

import shutil
import tempfile
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np
import tensorflow as tf

from malaria_exp.deployment.deployed_model import INPUT, LOGIT, OOD, SCORE
from malaria_exp.training.ood_model import with_ood
from malaria_exp.training.raw_input import with_raw_input

if TYPE_CHECKING:
    from malaria_exp.runs.saved_model import SavedModel

# The names of what stays float32 in int8 models, by which its operations are known in an exported model: the layer that resizes, whose numbers
# depend on the images' size, and the detector of foreign images.
NOT_INT8 = ("prepare_images", "/ood/")


class ServedModel:
    """A run's model with preprocessing and calibration inside, ready to be written in any format.

    Args:
        saved: the run's model.

    Attributes:
        model: raw images, uint8 (B, H, W, 3), to calibrated logits and, with a detector, OOD scores.
        outputs: names of what it gives.
        serve: TensorFlow's function of `images` as above that gives `logit` and `score`, both float32 (B, 1), and with a detector `ood`,
            float32 (B, P).
    """

    def __init__(self, saved: "SavedModel") -> None:
        self.model: keras.Model = with_raw_input(
            with_ood(saved.uncalibrated, saved.calibration.map, saved.detector, saved.views), saved.rule
        )
        self.outputs = (LOGIT, SCORE, *([OOD] if saved.detector else []))
        self.signature = [tf.TensorSpec((None, None, None, 3), tf.uint8, name=INPUT)]

        @tf.function(autograph=False, input_signature=self.signature)
        def serve(images: tf.Tensor) -> dict[str, tf.Tensor]:
            found = self.model(images, training=False)
            scores = {LOGIT: tf.identity(found[LOGIT], LOGIT), SCORE: tf.sigmoid(found[LOGIT], SCORE)}
            return scores | ({OOD: tf.identity(found[OOD], OOD)} if OOD in found else {})

        self.serve = serve

    def frozen(self) -> "tf.compat.v1.GraphDef":
        """Returns the function as a graph of constants; its input and outputs have the names of the function's.

        Also what layers hold outside of variables becomes a constant, such as the mean of a Normalization.
        """
        from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

        concrete = self.serve.get_concrete_function()
        held = {inner.op.name: outer for outer, inner in concrete.graph.captures if outer.dtype != tf.resource}
        graph = convert_variables_to_constants_v2(concrete, lower_control_flow=False, aggressive_inlining=True).graph.as_graph_def(True)
        for node in graph.node:
            if node.name in held:
                value = tf.make_tensor_proto(held[node.name].numpy())
                node.op = "Const"
                node.attr.clear()
                node.attr["dtype"].type = value.dtype
                node.attr["value"].tensor.CopyFrom(value)
        return graph

    @cached_property
    def _kept(self) -> Path:
        """The folder of a SavedModel, which is written once: that takes seconds. It goes with this object."""
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name) / "model"
        archive = keras.export.ExportArchive()
        archive.track(self.model)
        archive.add_endpoint("serve", self.serve.python_function, input_signature=self.signature)
        archive.write_out(str(folder), verbose=False)
        return folder

    def write_saved_model(self, folder: Path) -> None:
        """Writes a SavedModel, which TensorFlow reads without Keras and without this package."""
        shutil.copytree(self._kept, folder)

    @cached_property
    def litert(self) -> bytes:
        """The model for LiteRT (TensorFlow Lite), in float32."""
        # Converted from its function, without the way through a file, a model may give nan.
        return bytes(tf.lite.TFLiteConverter.from_saved_model(str(self._kept)).convert())

    def to_litert_int8(self, images: Sequence[np.ndarray]) -> bytes:
        """Returns a model for LiteRT in int8.

        Args:
            images: training cells at their own sizes, uint8 (H, W, 3) each, by which it is calibrated.
        """
        # The last step stays float32 too, as int8 has only 256 scores; and divisions, as an image's size in int8 may be 0.
        tensors = [item["name"] for item in tf.lite.Interpreter(model_content=self.litert).get_tensor_details()]
        options = tf.lite.experimental.QuantizationDebugOptions(
            denylisted_nodes=[name for name in tensors if any(part in name for part in NOT_INT8)], denylisted_ops=["LOGISTIC", "DIV"]
        )
        converter = tf.lite.TFLiteConverter.from_saved_model(str(self._kept))
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([image[None]] for image in images)
        debugger = tf.lite.experimental.QuantizationDebugger(
            converter=converter, debug_dataset=converter.representative_dataset, debug_options=options
        )
        return bytes(debugger.get_nondebug_quantized_model())
