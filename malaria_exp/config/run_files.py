"""The names of a run's files that more than one package speaks of."""

from typing import Literal

SaveFormat = Literal["keras", "weights", "saved_model"]
# What each format of the trained model is called in a run's folder.
FILES: dict[SaveFormat, str] = {"keras": "model.keras", "weights": "model.weights.h5", "saved_model": "saved_model"}
MODEL_FILE = FILES["keras"]
# The numbers of the detector of foreign images.
OOD_FILE = "ood.npz"
# The folder from which a run that was cut off goes on, the names of a training's checkpoints in it, and of what a prediction leaves there.
RESUME, RESUME_FILES, RESUME_PREDICTION = "resume", "step-*.npz", "predictions.json"
# The folder of what callback=[checkpoints] writes.
CHECKPOINTS = "checkpoints"
