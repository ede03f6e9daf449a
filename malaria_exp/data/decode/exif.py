"""The orientation in EXIF data. Source: EXIF 2.32, CIPA DC-008."""

import struct

from malaria_exp.data.cell_table import BadImageError

ORIENTATION = 0x112
# Bytes of a value of type BYTE, SHORT and LONG.
SIZES = {1: 1, 3: 2, 4: 4}


def exif_orientation(data: bytes) -> int:
    """Returns the orientation in EXIF data, 1 to 8, by default 1; raises BadImageError if the data cannot be read."""
    data = data.removeprefix(b"Exif\0\0")
    if not data:
        return 1
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None:
        raise BadImageError("EXIF data: damaged header")
    try:
        start = struct.unpack_from(order + "I", data, 4)[0]
        number = struct.unpack_from(order + "H", data, start)[0]
        # Some writers end the data here, without the position of a next directory.
        entries = struct.iter_unpack(order + "HHI4s", struct.unpack_from(f"{12 * number}s", data, start + 2)[0])
    except struct.error:
        raise BadImageError("EXIF data: truncated or damaged, its directory points outside of it") from None
    for tag, kind, count, content in entries:
        if tag == ORIENTATION and kind in SIZES and count == 1:
            value = int.from_bytes(content[: SIZES[kind]], "little" if order == "<" else "big")
            return value if 1 <= value <= 8 else 1
    return 1
