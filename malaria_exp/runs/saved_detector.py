"""A run's detector of foreign images in its folder: the facts in model.json, the numbers in ood.npz, read back checked."""

import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from malaria_exp.config.run_files import OOD_FILE
from malaria_exp.config.validation import Count, Probability, check, check_keys
from malaria_exp.evaluation.ood import MOST_DIRECTIONS, Detector, Part
from malaria_exp.evaluation.shift import read_shift
from malaria_exp.runs.read_files import check_file
from malaria_exp.utils.atomic_files import write_atomically
from malaria_exp.utils.errors import ConfigError, RunFolderError

ARRAYS = ("center", "weights", "points")
MOST_PARTS, MOST_FEATURES, MOST_POINTS, LONGEST_WORDS = 20, 10_000, 10_000, 200
# Far above the header of an array.
LONGEST_HEADER = 1024


def write_detector(folder: Path, detector: Detector) -> dict[str, Any]:
    """Writes ood.npz, and returns what model.json holds as `ood`."""
    arrays = {f"{name}_{number}": getattr(part, name) for number, part in enumerate(detector.parts) for name in ARRAYS}

    def write(path: Path) -> None:
        with path.open("wb") as file:
            np.savez(file, **arrays)

    write_atomically(folder / OOD_FILE, write)
    return {
        "name": detector.name,
        "parts": [part.words for part in detector.parts],
        "taps": list(detector.taps),
        "false_warnings": detector.false_warnings,
        "shift": asdict(detector.shift),
    }


def read_detector(folder: Path, value: Any, where: str) -> Detector | None:
    """Returns a run's detector; None if it has none, as runs from before there were any.

    Args:
        folder: of the run.
        value: `ood` of its model.json.
        where: the place of that, for messages.

    Raises:
        ConfigError: model.json is damaged there.
        RunFolderError: ood.npz is missing, damaged, or does not belong to it.
    """
    if value is None:
        return None
    found = check(where, value, dict[str, Any])
    check_keys(where, found, {"name", "parts", "taps", "false_warnings", "shift"})
    parts, taps = check(f"{where}.parts", found.get("parts"), list[str]), check(f"{where}.taps", found.get("taps"), list[Count])
    if not 1 <= len(parts) <= MOST_PARTS or len(taps) >= len(parts) or any(len(item) > LONGEST_WORDS for item in parts):
        raise ConfigError(f"{where}: expected 1 to {MOST_PARTS} parts of at most {LONGEST_WORDS} letters, and fewer taps.")
    name, shift = check(f"{where}.name", found.get("name"), str), read_shift(found.get("shift"), f"{where}.shift", len(parts))
    false_warnings = check(f"{where}.false_warnings", found.get("false_warnings"), Probability | None)
    numbers = tuple(_read_part(folder / OOD_FILE, number, words) for number, words in enumerate(parts))
    return Detector(name, numbers, tuple(taps), false_warnings, shift)


def _read_part(path: Path, number: int, words: str) -> Part:
    check_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            center, weights, points = (_read_array(archive, f"{name}_{number}.npy") for name in ARRAYS)
    except (ValueError, KeyError, OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise RunFolderError(f"run: '{path}' cannot be read: {' '.join(str(error).split())[:200]}.") from None
    (features,), (rows, directions), (count, width) = center.shape, weights.shape, points.shape
    if (rows, width) != (features, directions) or not 1 <= features <= MOST_FEATURES or not 1 <= directions <= MOST_DIRECTIONS or not count:
        raise RunFolderError(f"run: '{path}' does not fit: arrays of shapes {center.shape}, {weights.shape} and {points.shape}.")
    return Part(words, center, weights, points)


def _read_array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """Returns an array of finite float32 numbers that lies in the file as it is, so that nothing larger than the file is ever made."""
    entry = archive.getinfo(name)
    if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > entry.compress_size:
        raise ValueError(f"{name} is compressed")
    dimensions = 1 if name.startswith(ARRAYS[0]) else 2
    with archive.open(entry) as file:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise ValueError(f"{name} is of another version of the format")
        shape, fortran, kind = np.lib.format.read_array_header_1_0(file, max_header_size=LONGEST_HEADER)
        if kind != np.float32 or fortran or len(shape) != dimensions or max(shape, default=0) > MOST_FEATURES:
            raise ValueError(f"{name} holds {kind} of shape {shape}")
        content = file.read()
    numbers = np.frombuffer(content, np.float32)
    if numbers.size != int(np.prod(shape)) or not np.isfinite(numbers).all():
        raise ValueError(f"{name} has other numbers than its shape {shape} says, or one that is not finite")
    return numbers.reshape(shape)
