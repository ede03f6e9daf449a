"""The formats a model is exported to: how each is written, and how its runtime runs it."""

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from malaria_exp.deployment.bundle import Format, Numbers
from malaria_exp.deployment.deployed_model import INPUT
from malaria_exp.deployment.open_model import onnx_session
from malaria_exp.utils.errors import ConfigError
from malaria_exp.utils.tensorflow_setup import held_back_stderr

if TYPE_CHECKING:
    from malaria_exp.deployment.served_model import ServedModel

# The packages that writing and running a format takes, beside TensorFlow.
PACKAGES: dict[Format, tuple[str, ...]] = {
    "saved_model": (),
    "onnx": ("onnx", "onnxruntime", "tf2onnx"),
    "litert": ("ai_edge_litert",),
    "openvino": ("onnx", "onnxruntime", "tf2onnx", "openvino"),
}
# From raw images, uint8 (B, H, W, 3), to the outputs by name.
Runner = Callable[[np.ndarray], dict[str, np.ndarray]]


def check_packages(formats: Iterable[Format]) -> None:
    """Raises a ConfigError if a package is missing that a format takes."""
    for name in formats:
        missing = [package for package in PACKAGES[name] if find_spec(package) is None]
        if missing:
            raise ConfigError(
                f"task.formats: '{name}' needs {', '.join(missing)}, not installed. Install what exports take: pip install 'malaria_exp[export]'"
            )


class Writer:
    """Writes a model in any format.

    Args:
        served: the model.
        images: training cells at their own sizes, uint8 (H, W, 3) each, by which int8 models are calibrated.
    """

    def __init__(self, served: "ServedModel", images: Sequence[np.ndarray] = ()) -> None:
        self._served, self._images = served, images

    def write(self, format: Format, numbers: Numbers, path: Path) -> None:
        """Writes the model as a file, or as a folder for formats of several files."""
        with held_back_stderr():
            if format == "saved_model":
                self._served.write_saved_model(path)
            elif format == "litert":
                path.write_bytes(self._served.litert if numbers == "float32" else self._served.to_litert_int8(self._images))
            else:
                model = self._onnx if numbers == "float32" else self._onnx_int8
                path.write_bytes(model) if format == "onnx" else _write_openvino(model, path)

    @cached_property
    def _onnx(self) -> bytes:
        from malaria_exp.deployment.onnx_file import to_onnx

        return to_onnx(self._served)

    @cached_property
    def _onnx_int8(self) -> bytes:
        from malaria_exp.deployment.onnx_file import to_int8

        return to_int8(self._onnx, self._images)


def _write_openvino(model: bytes, path: Path) -> None:
    import openvino

    path.mkdir()
    openvino.save_model(openvino.Core().read_model(model), path / "model.xml", compress_to_fp16=False)


def open_runner(format: Format, path: Path, threads: int) -> Runner:
    """Opens an exported model with its own runtime.

    Args:
        format: of the model.
        path: its file or folder.
        threads: that it computes with; 0 for one a core. TensorFlow takes as many as the process has set.
    """
    with held_back_stderr():
        return {"saved_model": _run_saved_model, "onnx": _run_onnx, "litert": _run_litert, "openvino": _run_openvino}[format](path, threads)


def _run_saved_model(path: Path, _threads: int) -> Runner:
    import tensorflow as tf

    serve = tf.saved_model.load(str(path)).signatures["serving_default"]
    return lambda images: {name: value.numpy() for name, value in serve(**{INPUT: tf.constant(images)}).items()}


def _run_onnx(path: Path, threads: int) -> Runner:
    session = onnx_session(path.read_bytes(), threads, str(path))
    names = [item.name for item in session.get_outputs()]
    return lambda images: dict(zip(names, session.run(names, {INPUT: images}), strict=True))


def _run_litert(path: Path, threads: int) -> Runner:
    from ai_edge_litert.interpreter import Interpreter

    from malaria_exp.utils.machine import cores

    run: Any = Interpreter(model_path=str(path), num_threads=threads or cores()).get_signature_runner()
    return lambda images: run(**{INPUT: images})


def _run_openvino(path: Path, threads: int) -> Runner:
    import openvino

    # Without the hint some processors compute in bfloat16.
    settings = {"INFERENCE_PRECISION_HINT": "f32", **({"INFERENCE_NUM_THREADS": threads} if threads else {})}
    model = openvino.Core().compile_model(path / "model.xml", "CPU", settings)
    names = [item.any_name for item in model.outputs]
    request = model.create_infer_request()

    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        found = request.infer({INPUT: images})
        return {name: found[place].copy() for place, name in enumerate(names)}

    return run
