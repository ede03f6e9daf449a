"""Writing a model's weights so that a full disk is an error as any other."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

from malaria_exp.utils.atomic_files import write_bytes

if TYPE_CHECKING:
    import keras


class _MemoryFile(io.BytesIO):
    """A file in memory that Keras accepts: it looks at the ending of a path's text."""

    def __str__(self) -> str:
        return "memory.weights.h5"


def save_weights(model: "keras.Model", path: Path) -> None:
    """Writes the weights in Keras' format (.weights.h5), all or nothing.

    They are written in memory first. After a failed write to a disk the HDF5 library would end the process with a crash.

    Raises:
        DiskFullError: there is no room.
    """
    file = _MemoryFile()
    model.save_weights(file)
    write_bytes(path, file.getvalue())
