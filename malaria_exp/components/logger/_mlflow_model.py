"""A run's model in the form in which MLflow loads it: mlflow.keras.load_model("models:/<id>"), or mlflow.pyfunc.load_model."""

import json
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

import numpy as np

from malaria_exp.config.run_files import MODEL_FILE

FOLDER, RECORD = "data", "model.json"


def model_files(files: Iterable[Path], model_id: str, run_id: str, temporary: Path) -> list[tuple[Path, str | None]]:
    """Returns the files of a logged model, each with its folder there: model.keras in data/, the others, and MLmodel, which is made here.

    Args:
        files: model.keras, and model.json, which says what the model takes.
        model_id: of the logged model.
        run_id: of the run that made it.
        temporary: a folder for the file that is made.
    """
    from mlflow import pyfunc
    from mlflow.models import Model, ModelSignature
    from mlflow.types import Schema, TensorSpec

    found: list[tuple[Path, str | None]] = [(path, FOLDER if path.name == MODEL_FILE else None) for path in files]
    takes = json.loads(next(path for path in files if path.name == RECORD).read_text(encoding="utf-8"))["input"]
    shape = tuple(-1 if edge is None else edge for edge in takes["shape"])
    signature = ModelSignature(
        inputs=Schema([TensorSpec(np.dtype(takes["dtype"]), shape)]), outputs=Schema([TensorSpec(np.dtype("float32"), (-1, 1))])
    )
    # Written here, not by mlflow.keras.save_model: that needs the model itself, which the training's thread may be using.
    model = Model(run_id=run_id, model_id=model_id, signature=signature)
    model.add_flavor("keras", data=FOLDER, keras_version=version("keras"), keras_backend="tensorflow", save_exported_model=False)
    pyfunc.add_to_model(model, loader_module="mlflow.keras")
    model.save(str(temporary / "MLmodel"))
    requirements = temporary / "requirements.txt"
    requirements.write_text("".join(f"{name}=={version(name)}\n" for name in ("keras", "tensorflow")), encoding="utf-8")
    return [*found, (temporary / "MLmodel", None), (requirements, None)]
