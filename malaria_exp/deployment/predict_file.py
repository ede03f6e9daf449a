"""Scores images of cells with the models of this bundle; needs numpy, pillow and one of onnxruntime, ai-edge-litert, openvino.

python predict.py cells/ more/cell.png > predictions.csv
"""

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

HERE = Path(__file__).resolve().parent


def load(model: dict[str, Any]) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """Returns a function from images, uint8 (B, H, W, 3), to {"logit": (B, 1), "score": (B, 1), and perhaps "ood": (B, P)}."""
    path = HERE / model["file"]
    if model["format"] == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        return lambda images: dict(zip(names, session.run(names, {"images": images}), strict=True))
    if model["format"] == "litert":
        from ai_edge_litert.interpreter import Interpreter

        run = Interpreter(model_path=str(path)).get_signature_runner()
        return lambda images: run(images=images)
    import openvino

    compiled = openvino.compile_model(path / "model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda images: {output.any_name: value for output, value in compiled({"images": images}).items()}


def read(path: Path) -> np.ndarray:
    """Returns an image as RGB, uint8 (H, W, 3); what is transparent becomes black, as is all around a cell."""
    with Image.open(path) as image:
        if image.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA"):
            raise ValueError(f"expected 8 bits of RGB or gray, found {image.mode}")
        upright = ImageOps.exif_transpose(image).convert("RGBA")
    return np.array(Image.alpha_composite(Image.new("RGBA", upright.size, "black"), upright).convert("RGB"))


def row(path: Path, run: Callable[[np.ndarray], dict[str, np.ndarray]], record: dict[str, Any]) -> list[Any]:
    """Returns the line of a file; one that cannot be read has the reason in its last column."""
    try:
        found = run(read(path)[None])
    except Exception as error:  # noqa: BLE001 - Pillow raises many types on damaged files
        return [path, "", *[""] * len(record["thresholds"]), "", "", str(error) or type(error).__name__]
    score = float(found["score"][0, 0])
    predicted = [record["classes"][int(score >= threshold["value"])] for threshold in record["thresholds"].values()]
    parts = record["ood"]["parts"] if "ood" in found else []
    why = [part for part, value in zip(parts, found.get("ood", [[]])[0], strict=True) if value > 1]
    return [path, f"{score:.6f}", *predicted, "no" if why else "yes" if parts else "", "; ".join(why), ""]


def main(names: list[str]) -> None:
    """Writes a CSV with a line a file to standard output."""
    record = json.loads((HERE / "model.json").read_text(encoding="utf-8"))
    files = [file for path in map(Path, names) for file in (sorted(path.rglob("*.*")) if path.is_dir() else [path])]
    run = load(next(model for model in record["models"] if model["format"] != "saved_model"))
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(["file", "score", *(f"predicted_{name}" for name in record["thresholds"]), "looks_like_training_data", "why_not", "error"])
    out.writerows(row(file, run, record) for file in files)


if __name__ == "__main__":
    main(sys.argv[1:])
