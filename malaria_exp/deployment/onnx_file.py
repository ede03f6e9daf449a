"""Writing a model as ONNX, by tf2onnx, and its int8 form, by onnxruntime."""

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from malaria_exp.deployment.deployed_model import INPUT

if TYPE_CHECKING:
    from malaria_exp.deployment.served_model import ServedModel

# Read by onnxruntime 1.14 (2023) and newer.
OPSET = 17
# What int8 models compute in int8; the rest is fast, or small.
QUANTIZED = ("Conv", "MatMul", "Gemm")


def to_onnx(served: "ServedModel") -> bytes:
    """Returns a model as ONNX, float32."""
    import tf2onnx

    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    model, _ = tf2onnx.convert.from_graph_def(
        served.frozen(),
        input_names=[f"{INPUT}:0"],
        output_names=[f"{name}:0" for name in served.outputs],
        tensors_to_rename={f"{name}:0": name for name in (INPUT, *served.outputs)},
        opset=OPSET,
        custom_op_handlers={"Erfc": (_erfc, [])},
    )
    for value in (*model.graph.input, *model.graph.output):
        sizes = value.type.tensor_type.shape.dim
        for size, words in zip(sizes, ("batch", "height", "width") if len(sizes) == 4 else ("batch",), strict=False):
            size.dim_param = words
    return bytes(model.SerializeToString())


def _erfc(graph: Any, node: Any, name: str, _args: Any) -> None:
    """Writes erfc(x), of which TensorFlow makes the exact GELU, as 1 - erf(x): ONNX has no Erfc."""
    node.type = "Erf"
    one = graph.make_const(f"{name}_one", np.array(1, np.float32))
    less = graph.make_node("Sub", [one.output[0], node.output[0]], name=f"{name}_less")
    graph.replace_all_inputs(node.output[0], less.output[0], ops=[other for other in graph.get_nodes() if other is not less])


def to_int8(model: bytes, images: Sequence[np.ndarray]) -> bytes:
    """Returns an ONNX model that computes convolutions and matrix products in int8: static quantization, per channel.

    The ranges of the layers' inputs are those of the given cells. Weights are unsigned, as activations are: with signed ones a processor
    without VNNI cuts off sums (https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html). Resizing stays float32.

    Args:
        model: ONNX, float32.
        images: training cells at their own sizes, uint8 (H, W, 3) each.
    """
    import onnx
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Cells(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self.left = iter(images)

        def get_next(self) -> dict[str, np.ndarray] | None:
            image = next(self.left, None)
            return None if image is None else {INPUT: image[None]}

    logging.getLogger().addFilter(_no_advice)
    try:
        with tempfile.TemporaryDirectory() as folder:
            source, prepared, result = (Path(folder) / name for name in ("model.onnx", "prepared.onnx", "int8.onnx"))
            source.write_bytes(model)
            quant_pre_process(source, prepared, skip_symbolic_shape=True)
            quantization.quantize_static(
                prepared,
                result,
                Cells(),
                quant_format=quantization.QuantFormat.QDQ,
                per_channel=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QUInt8,
                op_types_to_quantize=list(QUANTIZED),
                nodes_to_exclude=_not_int8(onnx.load(prepared).graph),
            )
            return result.read_bytes()
    finally:
        logging.getLogger().removeFilter(_no_advice)


def _no_advice(record: logging.LogRecord) -> bool:
    """Keeps back onnxruntime's advice to prepare a model, which it also gives of one that is prepared."""
    return "pre-processing before quantization" not in record.getMessage()


def _not_int8(graph: Any) -> list[str]:
    """Returns the names of the nodes that resize images, all that the rounding to whole pixel values depends on, and of the detector's."""
    by_output = {name: node for node in graph.node for name in node.output}
    waiting, found = [node for node in graph.node if node.op_type == "Round"], {node.name for node in graph.node if "/ood/" in node.name}
    while waiting:
        node = waiting.pop()
        if node.name not in found:
            found.add(node.name)
            waiting += [by_output[name] for name in node.input if name in by_output]
    return sorted(found)
