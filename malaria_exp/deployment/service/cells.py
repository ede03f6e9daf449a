"""The cells of a request: of each a name, and its bytes when its turn comes. A zip is unpacked file by file, in memory."""

import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from malaria_exp.data.cell_table import BadImageError
from malaria_exp.deployment.service.limits import FILE_BYTES, RATIO, UNPACKED_BYTES, Limits, ServiceError
from malaria_exp.deployment.service.uploads import Upload, base_name
from malaria_exp.utils.atomic_files import human_bytes

# Before each file in a zip's directory. There are never more entries than such marks, whatever the zip's numbers say.
ENTRY = b"PK\x01\x02"
# Folders, and what systems add.
MOST_OTHERS = 1000
ENCRYPTED = 1


@dataclass(frozen=True)
class Cell:
    """An image to be scored.

    Attributes:
        file: its base name.
        read: returns its bytes; raises BadImageError if there are none to be had.
    """

    file: str
    read: Callable[[], bytes]


def cells_of(files: list[Upload], limits: Limits) -> list[Cell]:
    """Returns the images of uploaded files, those in zips too, in order.

    Raises:
        ServiceError: they are too many, or would unpack to too much.
    """
    cells: list[Cell] = []
    for file in files:
        if file.data is None:
            cells.append(Cell(file.name, partial(_refuse, _too_large(None))))
        elif file.is_zip:
            cells += _unpacked(file.name, file.data, limits)
        else:
            cells.append(Cell(file.name, partial(bytes, file.data)))
    if len(cells) > limits.cells:
        raise _too_many(limits)
    return cells


def _unpacked(name: str, data: bytes, limits: Limits) -> list[Cell]:
    """Returns the images in a zip; a zip that cannot be read is one cell with an error."""
    if data.count(ENTRY) > limits.cells + MOST_OTHERS:
        raise _too_many(limits)
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except Exception as error:  # noqa: BLE001 - zipfile raises many types on damaged files; all mean the same here
        return [Cell(name, partial(_refuse, f"damaged zip: {str(error) or type(error).__name__}"))]
    entries = [entry for entry in archive.infolist() if not entry.filename.endswith("/") and not _hidden(entry.filename)]
    if not entries:
        return [Cell(name, partial(_refuse, "zip without a file"))]
    total = sum(entry.file_size for entry in entries)
    if total > UNPACKED_BYTES:
        raise ServiceError(413, f"'{name}' would unpack to {human_bytes(total)}; at most {human_bytes(UNPACKED_BYTES)}.")
    return [Cell(base_name(entry.filename), partial(_read, archive, entry)) for entry in entries]


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    if entry.flag_bits & ENCRYPTED:
        raise BadImageError("encrypted; give a zip without a password")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise BadImageError(f"compressed by method {entry.compress_type} of the zip format; expected 0 (stored) or 8 (deflate)")
    if entry.file_size > FILE_BYTES:
        raise BadImageError(_too_large(entry.file_size))
    if entry.file_size > RATIO * max(entry.compress_size, 1):
        raise BadImageError(f"unpacks to more than {RATIO} times its size in the zip, which no image of a cell does")
    try:
        with archive.open(entry) as content:
            # zipfile gives no more bytes than the entry's size, and checks their sum.
            return content.read(FILE_BYTES + 1)
    except Exception as error:  # noqa: BLE001 - as above
        raise BadImageError(f"cannot be read from the zip: {str(error) or type(error).__name__}") from None


def _hidden(path: str) -> bool:
    """Tells what systems put into zips: .DS_Store, __MACOSX, Thumbs.db."""
    parts = path.split("/")
    return (
        any(part.startswith(".") and part.strip(".") for part in parts)
        or "__MACOSX" in parts
        or parts[-1].lower() in ("thumbs.db", "desktop.ini")
    )


def _refuse(reason: str) -> bytes:
    raise BadImageError(reason)


def _too_large(size: int | None) -> str:
    return f"{human_bytes(size) if size else 'too large'}; an image of a cell has at most {human_bytes(FILE_BYTES)}"


def _too_many(limits: Limits) -> ServiceError:
    return ServiceError(413, f"The request has too many images; at most {limits.cells:,}. Send them in several requests.")
