"""How often the comparison of thumbnails takes two different cells for copies of each other, and how often it finds real copies.

python benchmarks/near_duplicates.py cell_images.zip [--copies 1000] [--seed 0]

Every cell of the zip is compared with every other; then some are copied in several lossy ways and looked for among all. Exits with 1 if
cells of equal pixels are in the zip.
"""

import argparse
import io
import sys
import time
from collections.abc import Callable

import numpy as np
from PIL import Image
from threadpoolctl import threadpool_limits

from malaria_exp.config.registry import build
from malaria_exp.data.fingerprints import NEAR, fingerprint, near_duplicates
from malaria_exp.data.verification import look_at_images
from malaria_exp.utils.machine import machine


def main() -> int:
    """Prints the machine, the pairs that look alike, and the fraction of copies that is found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("zip", help="the official cell_images.zip")
    parser.add_argument("--copies", type=int, default=1000, help="cells that are copied")
    parser.add_argument("--seed", type=int, default=0, help="of which cells are copied")
    arguments = parser.parse_args()
    print(machine())
    table = build("dataset", "nih", {"path": arguments.zip})
    pixels, bad = look_at_images(table)
    cells, same = len(pixels) - len(bad), len(pixels) - len(bad) - len(set(pixels[pixels != ""].tolist()))
    start = time.perf_counter()
    pairs = near_duplicates(pixels) or []
    seconds = time.perf_counter() - start
    print(f"{cells:,} cells, {cells * (cells - 1) // 2:,} pairs compared in {seconds:.1f} s; {same} cells have the pixels of another")
    print(f"{len(pairs)} cells look like another one (thumbnails differ by at most {NEAR} gray levels)")
    for row, other in pairs[:20]:
        print(f"  {table.cell_id[row]} like {table.cell_id[other]}")
    rows = np.random.default_rng(arguments.seed).permutation(np.flatnonzero(pixels != ""))[: arguments.copies]
    print(f"\nof {len(rows):,} cells, copied as          found   and the copy of another cell")
    with threadpool_limits(1, user_api="blas"):
        for name, copy in COPIES.items():
            copies = np.array([fingerprint(copy(table.source.read(int(row)))) for row in rows])
            found = near_duplicates(copies, pixels) or []
            right = sum(rows[mine] == other for mine, other in found)
            # Copies of equal pixels are found by them.
            equal = int((copies == pixels[rows]).sum())
            print(f"  {name:<32} {100 * (right + equal) / len(rows):7.2f} %   {len(found) - right}")
    return bool(same)


def _through(kind: str, **options: int) -> Callable[[np.ndarray], np.ndarray]:
    """Returns a function that writes an image in a format and reads it again."""

    def copy(image: np.ndarray) -> np.ndarray:
        file = io.BytesIO()
        Image.fromarray(image).save(file, kind, **options)
        return np.asarray(Image.open(file).convert("RGB"))

    return copy


def _resized(edge: int) -> Callable[[np.ndarray], np.ndarray]:
    """Returns a function that brings an image to a square."""
    return lambda image: np.asarray(Image.fromarray(image).resize((edge, edge), Image.Resampling.BILINEAR))


COPIES = {
    **{f"JPEG of quality {quality}": _through("JPEG", quality=quality) for quality in (95, 75, 50, 30)},
    "WebP of quality 50": _through("WEBP", quality=50),
    "64 x 64 pixels": _resized(64),
    "32 x 32 pixels": _resized(32),
    "3 % brighter": lambda image: np.clip(image * 1.03, 0, 255).astype(np.uint8),
    "mirrored": lambda image: np.ascontiguousarray(image[:, ::-1]),
}


if __name__ == "__main__":
    sys.exit(main())
