"""A bundle whose model is three lines of ONNX: its score grows with the mean red of a cell, and it warns of blue and of dark cells."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
from fake_model import SHIFT
from PIL import Image

SIZE = 16
PARTS = ["color of the stain", "brightness"]
THRESHOLDS = {
    "fixed": {"value": 0.5, "rule": "0.5, as given", "promise": None, "chance": None},
    "target_sensitivity": {"value": 0.25, "rule": "sensitivity of at least 0.95", "promise": "sensitivity of at least 0.95", "chance": 0.9},
}


def write_bundle(folder: Path) -> Path:
    """Writes the bundle and returns its folder."""
    from onnx import TensorProto, helper, numpy_helper

    def constant(name, values):
        return numpy_helper.from_array(np.array(values, np.float32), name)

    nodes = [
        helper.make_node("Cast", ["images"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels", "axes"], ["means"], keepdims=0),
        helper.make_node("MatMul", ["means", "red"], ["value"]),
        helper.make_node("Add", ["value", "bias"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["score"]),
        helper.make_node("MatMul", ["means", "foreign"], ["parts"]),
        helper.make_node("Add", ["parts", "offsets"], ["ood"]),
    ]
    constants = [
        numpy_helper.from_array(np.array([1, 2]), "axes"),
        constant("red", [[0.05], [0.0], [0.0]]),
        constant("bias", [[-6.4]]),
        constant("foreign", [[-0.01, -0.01], [0.0, -0.01], [0.01, 0.0]]),
        constant("offsets", [[0.5, 1.5]]),
    ]
    shapes = {"logit": 1, "score": 1, "ood": 2}
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["B", "H", "W", 3])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["B", size]) for name, size in shapes.items()],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9).SerializeToString()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(model)
    record = {
        "model": {"name": "cellnet", "params": {"image_size": SIZE}},
        "parameters": 3,
        "input": {"size": SIZE, "mode": "pad", "version": 1, "channels": "RGB", "takes": "raw"},
        "calibration": None,
        "classes": ["uninfected", "parasitized"],
        "precision": "float32",
        "split_hash": "0" * 64,
        "thresholds": THRESHOLDS,
        "ood": {"name": "mahalanobis", "parts": PARTS, "false_warnings": 0.03, "shift": asdict(SHIFT)},
        "models": [
            {
                "format": "onnx",
                "numbers": "float32",
                "file": "model.onnx",
                "sha256": hashlib.sha256(model).hexdigest(),
                "bytes": len(model),
                "largest_difference": 0.0,
                "flips": dict.fromkeys(THRESHOLDS, 0),
                "auc": 0.9,
            }
        ],
        "training_data": {"cells": 88, "patients": 11},
        "guard": ["f" * 32],
        "versions": {"malaria_exp": "0"},
    }
    (folder / "model.json").write_text(json.dumps(record))
    return folder


def cell(red: int, green: int = 120, blue: int = 60, size: int = 20) -> np.ndarray:
    """Returns a cell of one color, uint8 (size, size, 3)."""
    return np.tile(np.array([red, green, blue], np.uint8), (size, size, 1))


def score_of(red: int) -> float:
    """Returns the score of a cell with so much red."""
    return float(1 / (1 + np.exp(6.4 - 0.05 * red)))


def file_of(image: np.ndarray, path: Path) -> Path:
    """Writes an image in the format of the path's ending."""
    Image.fromarray(image).save(path)
    return path
