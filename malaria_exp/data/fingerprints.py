"""Which images are the same: by their decoded pixels, whatever file they stand in, and by a small thumbnail for lossy copies.

A fingerprint is text: the first 32 hex digits of the SHA-256 over height, width and pixels, then a thumbnail of 8 x 8 gray values in
hex. Equal fingerprints are equal pixels. Thumbnails that differ little are perhaps copies through JPEG or another size: a hint, not a
proof. How often it is wrong on real cells: benchmarks/near_duplicates.py.
"""

import hashlib

import numpy as np

from malaria_exp.data.resize import ResizeRule, resize

DIGITS = 32
THUMBNAIL = ResizeRule(8, "stretch")
# Of a fingerprint, as a regular expression.
FORM = f"[0-9a-f]{{{DIGITS + 2 * THUMBNAIL.size**2}}}"
# Root mean square difference of two thumbnails, in gray levels of 255, up to which images count as near duplicates.
NEAR = 2.5
# Pairs of cells that are compared at most.
MAX_PAIRS = 2e9
CHUNK = 1024


def fingerprint(image: np.ndarray) -> str:
    """Returns the fingerprint of a decoded image, RGB, uint8 (height, width, 3)."""
    gray = np.rint(resize(image, THUMBNAIL).mean(axis=2)).astype(np.uint8)
    return pixel_hash(image) + gray.tobytes().hex()


def pixel_hash(image: np.ndarray) -> str:
    """Returns the first part of the fingerprint of a decoded image, RGB, uint8 (height, width, 3), which equal pixels have alone."""
    digest = hashlib.sha256(f"{image.shape[0]} {image.shape[1]} ".encode())
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()[:DIGITS]


def near_duplicates(these: np.ndarray, those: np.ndarray | None = None) -> list[tuple[int, int]] | None:
    """Finds images that look like copies of others, though their pixels differ.

    Args:
        these: fingerprints, str (N,); "" where none is known.
        those: fingerprints of the images to compare with, str (M,); None compares `these` among themselves.

    Returns:
        (row of these, row of those), the most similar of `those` for each of `these` that has one; of `these` alone each pair once, the
        later row first. Images of which `those` have the very pixels, and the later ones of equal images, are left out. None if there
        are too many pairs to compare (`MAX_PAIRS`).
    """
    others = these if those is None else those
    mine, theirs = _first_rows(these), _first_rows(others)
    if those is not None:
        mine = mine[~np.isin(these[mine], others[theirs])]
    if len(mine) * len(theirs) > MAX_PAIRS:
        return None
    if not len(mine) or not len(theirs):
        return []
    small, whole = _thumbnails(these[mine]), _thumbnails(others[theirs])
    # |x - y|^2 = |x|^2 + (x, 1) (-2 y, |y|^2), so one product gives all differences; whole numbers below 2^24 are exact in float32.
    table = np.concatenate([-2 * whole, np.square(whole).sum(axis=1, keepdims=True)], axis=1).T
    found = []
    for start in range(0, len(mine), CHUNK):
        part = small[start : start + CHUNK]
        end = len(theirs) if those is not None else start + len(part)
        distance = np.concatenate([part, np.ones((len(part), 1), np.float32)], axis=1) @ table[:, :end]
        if those is None:
            # Of each row, only those before it.
            distance[:, start:][np.triu_indices(len(part))] = np.inf
        nearest = distance.argmin(axis=1)
        least = distance[np.arange(len(part)), nearest] + np.square(part).sum(axis=1)
        found += [(int(mine[start + row]), int(theirs[nearest[row]])) for row in np.flatnonzero(least <= NEAR**2 * part.shape[1]).tolist()]
    return found


def _first_rows(fingerprints: np.ndarray) -> np.ndarray:
    """Returns the first row of each known fingerprint, ascending (int64)."""
    values, rows = np.unique(fingerprints, return_index=True)
    return np.sort(rows[values != ""])


def _thumbnails(fingerprints: np.ndarray) -> np.ndarray:
    """Returns the thumbnails, float32 (N, 64), gray in [0, 255]."""
    values = bytes.fromhex("".join(text[DIGITS:] for text in fingerprints.tolist()))
    return np.frombuffer(values, np.uint8).reshape(len(fingerprints), -1).astype(np.float32)
