"""What callbacks know of the training they accompany."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from malaria_exp.durations import RunLength

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, eq=False)
class Course:
    """The facts of a training that its callbacks are built with.

    Attributes:
        folder: the run's folder.
        length: of the whole training.
        monitor: the validation metric that chooses the best epoch.
        rate_scale: float32 scalar that multiplies the scheduled learning rate, 1 unless a callback changes it; it acts from the
            next step on.
    """

    folder: Path
    length: RunLength
    monitor: str
    rate_scale: "keras.Variable"
