"""What checking every image costs: the project's decoder beside plain Pillow, on the same PNG files in turns; and the pixel cache's checksum.

python benchmarks/decode_cells.py [cell_images.zip]     without a zip: synthetic cells
"""

import argparse
import io
import os
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from malaria_exp.config.registry import build
from malaria_exp.data.decode import decode
from malaria_exp.data.image_files import checksums
from malaria_exp.utils.atomic_files import human_bytes
from malaria_exp.utils.machine import machine

ROUNDS = 7
# Cells of the NIH set, and bytes of one at 64 px.
SET, CELL = 27_558, 64 * 64 * 3


def main() -> None:
    """Decodes the same files with both, round after round, and prints medians and spread."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("zip", nargs="?", help="the official cell_images.zip")
    parser.add_argument("--cells", type=int, default=2000)
    arguments = parser.parse_args()
    files = real_files(arguments.zip, arguments.cells) if arguments.zip else synthetic_files(arguments.cells)
    assert all(np.array_equal(decode(data), plain_pillow(data)) for data in files)
    print(f"{machine()}")
    print(f"{len(files):,} PNG files of {np.mean([len(data) for data in files]):,.0f} bytes, {ROUNDS} rounds, both in turns, one thread\n")
    times = [(microseconds(plain_pillow, files), microseconds(decode, files)) for _ in range(ROUNDS)]
    for name, column in zip(("plain Pillow", "malaria_exp.data.decode"), np.array(times).T, strict=True):
        print(f"{name:<20} {np.median(column):6.0f} us a file ({column.min():.0f} to {column.max():.0f})")
    ratios = np.array([ours / theirs for theirs, ours in times])
    print(f"{'ratio':<20} {np.median(ratios):6.3f} ({ratios.min():.3f} to {ratios.max():.3f})")
    seconds = np.array(checksum_seconds())
    print(
        f"\nchecksum of a pixel cache of {SET:,} cells at 64 px, {human_bytes(SET * CELL)}, in the memory of the system already:"
        f" {np.median(seconds):.2f} s ({seconds.min():.2f} to {seconds.max():.2f})"
    )


def checksum_seconds() -> list[float]:
    """Returns the seconds of each round of checking a file as large as the whole set's pixel cache."""
    with tempfile.TemporaryDirectory() as folder:
        with (Path(folder) / "images.npy").open("wb") as file:
            for _ in range(SET * CELL // 2**20):
                file.write(os.urandom(2**20))
        seconds = []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            checksums(Path(folder), ["images.npy"])
            seconds.append(time.perf_counter() - start)
    return seconds


def real_files(path: str, count: int) -> list[bytes]:
    """Returns the bytes of some of the zip's PNG files, evenly spread."""
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith(".png")]
        return [archive.read(name) for name in names[:: max(1, len(names) // count)][:count]]


def synthetic_files(count: int) -> list[bytes]:
    """Returns synthetic cells as PNG files."""
    table = build("dataset", "synthetic", {})
    out = []
    for row in range(min(count, len(table))):
        file = io.BytesIO()
        Image.fromarray(table.source.read(row)).save(file, "PNG")
        out.append(file.getvalue())
    return out


def plain_pillow(data: bytes) -> np.ndarray:
    """Decodes as every tutorial does."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def microseconds(reader: Callable[[bytes], np.ndarray], files: list[bytes]) -> float:
    """Returns the mean time of a file, in microseconds."""
    start = time.perf_counter()
    for data in files:
        reader(data)
    return 1e6 * (time.perf_counter() - start) / len(files)


if __name__ == "__main__":
    main()
