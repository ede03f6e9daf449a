"""The names of a run's files that more than one package speaks of."""

from typing import Literal

SaveFormat = Literal["keras", "weights", "saved_model"]
# What each format of the trained model is called in a run's folder.
FILES: dict[SaveFormat, str] = {"keras": "model.keras", "weights": "model.weights.h5", "saved_model": "saved_model"}
MODEL_FILE = FILES["keras"]
# The numbers of the detector of foreign images.
OOD_FILE = "ood.npz"
# The folder of the checkpoints from which a run that was cut off goes on, and their names.
RESUME, RESUME_FILES = "resume", "step-*.npz"
# The folder of what callback=[checkpoints] writes.
CHECKPOINTS = "checkpoints"
