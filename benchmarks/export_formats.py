"""Every model in every format: differences from Keras, latency, size; writes the tables of docs/export.md.

    python benchmarks/export_formats.py [--cells 100] [--models vit,cellnet] [--docs docs]

Weights are random, and the calibration stretches the logits over both classes. So a difference shows whether a format computes the same as
Keras, and of int8 how coarse it is; what int8 costs a trained model, `task=export` prints.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from malaria_exp.config.registry import build, options
from malaria_exp.data.cell_table import CLASS_NAMES
from malaria_exp.data.resize import ResizeRule
from malaria_exp.deployment.bundle import Format, Numbers
from malaria_exp.deployment.check_cells import synthetic_cells
from malaria_exp.deployment.deployed_model import ModelFacts
from malaria_exp.deployment.export_table import Row
from malaria_exp.deployment.exporter import Exporter
from malaria_exp.evaluation.calibration import Calibration
from malaria_exp.evaluation.logit_map import LogitMap
from malaria_exp.evaluation.thresholds import Threshold
from malaria_exp.runs.saved_model import SavedModel
from malaria_exp.utils.atomic_files import write_between
from malaria_exp.utils.errors import DataError
from malaria_exp.utils.machine import cores, processor
from malaria_exp.utils.tensorflow_setup import load_tensorflow

ROOT = Path(__file__).resolve().parent.parent
RULE = ResizeRule(64, "pad")
# An ensemble is its members.
MODELS: dict[str, dict[str, Any]] = {name: {} for name in sorted(set(options("model")) - {"ensemble", "transfer"})}
MODELS |= {f"transfer {name}": {"backbone": name} for name in ("mobilenet_v2", "efficientnet_b0")}
EXPORTS: list[tuple[Format, Numbers]] = [("saved_model", "float32")]
EXPORTS += [(name, numbers) for numbers in ("float32", "int8") for name in ("onnx", "litert", "openvino")]
# Half of the scores lie beyond .12 and .88.
SPREAD = 2.0


def main() -> None:
    """Exports, compares and times all models, and writes the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=100)
    parser.add_argument("--models", type=lambda text: text.split(","), default=list(MODELS))
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    asked = parser.parse_args()
    load_tensorflow()
    cells = synthetic_cells(asked.cells, RULE)
    table: dict[str, dict[tuple[str, str], Row | str]] = {}
    for name in asked.models:
        saved = make(name, cells.prepared)
        facts = ModelFacts(Path(), RULE, CLASS_NAMES, {"half": Threshold(0.5, "given")}, None, saved.record)
        with tempfile.TemporaryDirectory() as folder:
            exporter = Exporter(Path(folder), facts, saved, cells, cells.images)
            refused: dict[tuple[str, str], str] = {}
            for format_, numbers in EXPORTS:
                try:
                    exporter.add(format_, numbers, 1e-4 if numbers == "float32" else 1.0)
                except DataError as error:
                    refused[format_, numbers] = str(error)
                    print(f"{name}: {error}", flush=True)
        table[name] = {**{(row.format, row.numbers): row for row in exporter.rows}, **refused}
    text = describe(table, asked.cells)
    print(text)
    write_between(asked.docs / "export.md", "exports", text)


def make(name: str, prepared: np.ndarray) -> SavedModel:
    """Returns a model of random weights whose calibrated logits have a standard deviation of `SPREAD` on these cells."""
    import keras

    keras.utils.set_random_seed(0)
    model = build("model", name.partition(" ")[0], {"image_size": RULE.size, **MODELS[name]})
    rng = np.random.default_rng(0)
    model.set_weights([value + rng.uniform(0, 0.02, value.shape).astype(value.dtype) for value in model.get_weights()])
    logits = np.concatenate([np.asarray(model(part / np.float32(255))) for part in np.array_split(prepared, 4)])[:, 0].astype(np.float64)
    slope = SPREAD / logits.std()
    calibration = Calibration("platt", LogitMap([0.0], [float(-slope * np.median(logits))], float(slope)))
    return SavedModel(model, calibration, RULE, {"precision": "float32"})


def describe(table: dict[str, dict[tuple[str, str], Row | str]], cells: int) -> str:
    """Returns the tables in Markdown."""
    heads = " | ".join(f"{format_}{' int8' if numbers == 'int8' else ''}" for format_, numbers in EXPORTS)
    lines = [
        f"Largest difference of a score from Keras' on {cells} synthetic cells, raw, one by one:",
        "",
        f"| | {heads} |",
        "|---" * 8 + "|",
    ]
    for name, rows in table.items():
        found = [rows[key] for key in EXPORTS]
        lines.append(
            f"| {name} | {' | '.join('refused' if isinstance(row, str) else f'{row.parity.largest_difference:.0e}' for row in found)} |"
        )
    lines += ["", f"Milliseconds a cell, one cell a call, one thread (Keras, SavedModel: all), and MB; {cores()} cores of {processor()}:"]
    lines += ["", f"| | keras | {heads} |", "|---" * 9 + "|"]
    for name, rows in table.items():
        found = [rows[key] for key in (("keras", "float32"), *EXPORTS)]
        lines.append(f"| {name} | {' | '.join('refused' if isinstance(row, str) else speed(row) for row in found)} |")
    return "\n".join(lines)


def speed(row: Row) -> str:
    """Returns milliseconds and megabytes."""
    milliseconds = f"{row.latency.get(1, row.latency[0])[0]:.2g}"
    return milliseconds if row.bytes is None else f"{milliseconds}, {row.bytes / 1e6:.2g} MB"


if __name__ == "__main__":
    main()
