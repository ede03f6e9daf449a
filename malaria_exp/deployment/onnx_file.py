"""Writing a model as ONNX, by tf2onnx."""

import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from malaria_exp.deployment.deployed_model import INPUT

if TYPE_CHECKING:
    from malaria_exp.deployment.served_model import ServedModel

# Read by onnxruntime 1.14 (2023) and newer.
OPSET = 17


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
