"""The files of a pixel cache on the disk: room is reserved before they are mapped, and a checksum tells whether they are still right."""

import errno
import os
import zlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

BLOCK = 8 * 2**20
READERS = 4
# What systems answer that cannot reserve room on this filesystem.
UNABLE = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)


def new_images(path: Path, shape: tuple[int, ...]) -> np.memmap:
    """Makes a file of images, uint8 of this shape, and returns it memory-mapped, to be written to.

    The disk's room is taken at once: a page of a mapped file for which there is none ends the process without a word.

    Raises:
        OSError: there is no room.
    """
    with path.open("xb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        file.flush()
        reserve(file.fileno(), file.tell() + int(np.prod(shape)))
    return np.lib.format.open_memmap(path, mode="r+")


def reserve(handle: int, size: int) -> None:
    """Makes an open file `size` bytes long, with room on the disk for all of them; an OSError if there is none."""
    try:
        os.posix_fallocate(handle, 0, size)
    except (AttributeError, OSError) as error:
        # Not every system and filesystem can reserve; then zeros are written.
        if isinstance(error, OSError) and error.errno not in UNABLE:
            raise
        start = os.lseek(handle, 0, os.SEEK_END)
        while start < size:
            start += os.write(handle, bytes(min(BLOCK, size - start)))


def checksums(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Returns {name: checksum} of those files of a folder that exist; each is CRC-32 over the CRC-32 of its blocks, as hex."""
    return {name: _checksum(folder / name) for name in names if (folder / name).exists()}


def _checksum(path: Path) -> str:
    # Blocks are read side by side: Python's lock is free while a file is read and while zlib computes.
    with ThreadPoolExecutor(READERS) as pool:
        parts = pool.map(partial(_crc, path), range(0, path.stat().st_size, BLOCK))
        return f"{zlib.crc32(b''.join(parts)):08x}"


def _crc(path: Path, start: int) -> bytes:
    with path.open("rb", buffering=0) as file:
        file.seek(start)
        return zlib.crc32(file.read(BLOCK)).to_bytes(4, "big")
