"""Image files in a folder or in a zip, read by name: nothing is unpacked, and nothing outside of the two is ever touched."""

import hashlib
import os
import re
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

import numpy as np

from malaria_exp.data.cell_table import BadImage, BadImageError
from malaria_exp.data.decode import EMPTY, SUFFIXES, decode
from malaria_exp.utils.atomic_files import human_bytes
from malaria_exp.utils.errors import DataError
from malaria_exp.utils.progress_bars import track
from malaria_exp.utils.replaced_files import why_no_zip

# The largest file of the NIH set has 37 kB; this bounds what a zip that lies about its sizes can make of the memory.
MAX_BYTES = 64 * 2**20
# A PNG has its width and height in these.
HEAD = 24
# The others (bzip2, LZMA, Deflate64) Python unpacks without a bound on memory, or not at all.
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# Names that PurePosixPath would write in another way.
UNTIDY = re.compile(r"^$|//|(^|/)\.(/|$)|./$")
# Line breaks and terminal escapes would garble every message; half a surrogate pair cannot be written to any file.
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class Files(Protocol):
    """Files that can be read by number.

    Attributes:
        path: of the folder or zip, for messages.
        names: of the files, relative to the path, with "/", as `clean_name` writes them.
        folders: names of all folders, the empty ones too, relative to the path.
        unsafe: names that point outside of the folder or zip; they stand in no other list and are never read.
        heads: size in bytes and first HEAD bytes of the files that `hash_files` has read, by number.
    """

    path: str
    names: list[str]
    folders: list[str]
    unsafe: list[str]
    heads: dict[int, tuple[int, bytes]]

    def read(self, index: int) -> bytes:
        """Returns a file's bytes, at least one; raises BadImageError. Safe in several threads."""
        ...


def open_files(path: str, option: str) -> Files:
    """Opens a folder or a zip.

    Args:
        path: of either; `~` is resolved.
        option: the dataset option, for the messages' advice.

    Raises:
        DataError: there is nothing at the path, or it is neither.
    """
    with suppress(OSError, RuntimeError):  # the latter for the ~ of a user that does not exist
        found = Path(path).expanduser()
        if found.is_dir():
            return FolderFiles(found)
        if found.is_file():
            return ZipFiles(found)
    raise DataError(
        f"dataset.path: there is no file or folder '{path}'. Give a zip or a folder of cell images: python run.py dataset={option}"
        " dataset.path=/where/they/are; to try everything without data: dataset=synthetic"
    )


class FolderFiles:
    """The files of a folder and of all folders in it; see Files. Links are followed, names with a dot in front are ignored.

    A link to a folder that is read anyway, or that lies above, adds nothing.

    Args:
        path: of the folder.
        key: of the configuration, for messages.
    """

    def __init__(self, path: Path, key: str = "dataset.path") -> None:
        self.path, self._key = str(path), key
        self.names: list[str] = []
        self.folders: list[str] = []
        self.unsafe: list[str] = []
        self.heads: dict[int, tuple[int, bytes]] = {}
        # Texts, as a Path takes three times the memory.
        self._paths: list[str] = []
        above = set(path.resolve().parents)
        seen: set[Path] = set()
        # Links come last, so that a folder inside goes by its own name rather than by that of a link to it.
        waiting = [path]
        while waiting:
            for here, folders, files in os.walk(waiting.pop(0), onerror=self._stop):
                folder = Path(here)
                real = folder.resolve()
                if real in seen or real in above:
                    folders.clear()
                    continue
                seen.add(real)
                folders[:] = sorted(name for name in folders if not _hidden(name))
                waiting += [folder / name for name in folders if (folder / name).is_symlink()]
                shown = [name for name in sorted(files) if not _hidden(name)]
                relative = folder.relative_to(path)
                self.folders.append(clean_name(str(relative)))
                self._paths += [str(folder / name) for name in shown]
                self.names += [clean_name(str(relative / name)) for name in shown]

    def _stop(self, error: OSError) -> None:
        # Without an error, its cells would be missing silently.
        raise DataError(f"{self._key}: the folder '{error.filename}' cannot be read: {error.strerror}. Give permission, or move it away.")

    def read(self, index: int) -> bytes:
        """Returns a file's bytes, at least one."""
        return read_image_file(self._paths[index])


class ZipFiles:
    """The files of a zip; see Files.

    Args:
        path: of the zip.
        key: of the configuration, for messages.
    """

    def __init__(self, path: Path, key: str = "dataset.path") -> None:
        self.path = str(path)
        self.heads: dict[int, tuple[int, bytes]] = {}
        try:
            self._zip = zipfile.ZipFile(path)
            entries = self._zip.infolist()
        except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError, EOFError) as error:
            raise DataError(f"{key}: '{path}' {why_no_zip(path, error, key)}") from None
        # Zips made on Windows may have backslashes.
        given = [(entry.filename.replace("\\", "/"), entry) for entry in entries]
        self.unsafe = [clean_name(name) for name, _ in given if _points_outside(name)]
        inside = [item for item in given if not _points_outside(item[0]) and not any(map(_hidden, item[0].split("/")))]
        files = [(clean_name(name), entry) for name, entry in inside if not name.endswith("/")]
        self.names = [name for name, _ in files]
        self._entries = [entry for _, entry in files]
        parents = {PurePosixPath(folder) for folder in {name.rpartition("/")[0] for name in self.names}}
        parents |= {PurePosixPath(clean_name(name)) for name, _ in inside if name.endswith("/")}
        self.folders = sorted({folder.as_posix() for parent in parents for folder in (parent, *parent.parents)})
        images = [entry for name, entry in files if is_image(name)]
        if images and all(entry.flag_bits & 1 for entry in images):
            raise DataError(f"{key}: '{path}' is encrypted. Unpack it with its password and give the folder: {key}=folder")
        if images and all(entry.compress_type not in METHODS for entry in images):
            raise DataError(f"{key}: '{path}' {_other_method(images[0])}. Unpack it and give the folder: {key}=folder")

    def read(self, index: int) -> bytes:
        """Returns a file's bytes, at least one; the zip's own checksum is checked on the way."""
        entry = self._entries[index]
        if entry.flag_bits & 1:
            raise BadImageError("is encrypted in the zip")
        if entry.compress_type not in METHODS:
            raise BadImageError(_other_method(entry))
        try:
            with self._zip.open(entry) as file:
                # Without a length, zipfile unpacks everything, whatever size the entry claims; one byte more makes it check the checksum.
                return checked_bytes(entry.file_size, lambda: file.read(entry.file_size + 1))
        except BadImageError:
            raise
        except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, NotImplementedError, ValueError) as error:
            raise BadImageError(f"cannot be read from the zip: {error}") from None
        except zlib.error as error:
            raise BadImageError(f"damaged in the zip: {error}") from None


def read_image_file(path: str | os.PathLike[str]) -> bytes:
    """Returns the bytes of an ordinary file, at least one; raises BadImageError, also of one that is larger than any image of a cell."""
    try:
        # Without O_NONBLOCK, opening a pipe would block. The type is asked of the open file, as the path may change in between.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(handle, "rb") as file:
            facts = os.fstat(handle)
            if not stat.S_ISREG(facts.st_mode):
                raise BadImageError("is no ordinary file")
            return checked_bytes(facts.st_size, lambda: file.read(MAX_BYTES))
    except (OSError, ValueError) as error:  # the latter for a path that no filesystem can have
        raise BadImageError(f"cannot be read: {getattr(error, 'strerror', None) or error}") from None


def checked_bytes(size: int, read: Callable[[], bytes]) -> bytes:
    """Returns what `read` gives, at least one byte; raises BadImageError if the file is empty or larger than any image of a cell."""
    if size > MAX_BYTES:
        raise BadImageError(f"{human_bytes(size)}; the image of a single cell has far less than {human_bytes(MAX_BYTES)}")
    data = read()
    if not data:
        # Refused before hashing: two empty files have equal contents, which would look like a leak between subsets.
        raise BadImageError(EMPTY)
    return data


@dataclass(frozen=True, eq=False)
class FileSource:
    """An ImageSource: row i of a table is the image in file `indices[i]`.

    Attributes:
        files: the files.
        indices: int64 (N,).
    """

    files: Files
    indices: np.ndarray

    def read(self, index: int) -> np.ndarray:
        """Returns cell `index`, RGB, uint8 (height, width, 3)."""
        return decode(self.files.read(int(self.indices[index])))


def split_ending(name: str) -> tuple[str, str]:
    """Returns a path without its ending, and the ending with its dot, as PurePosixPath does, but faster: sets have many names."""
    stem, dot, ending = name.rpartition(".")
    has_ending = bool(ending) and "/" not in ending and stem.rpartition("/")[2] != ""
    return (stem, dot + ending) if has_ending else (name, "")


def is_image(name: str) -> bool:
    """Returns whether a file has the ending of an image."""
    return split_ending(name)[1].lower() in SUFFIXES


def clean_name(name: str) -> str:
    """Returns a file's relative path as it is shown, listed and compared: with "/", without "./", accents composed, unprintables escaped."""
    path = name.replace("\\", "/") if os.sep == "\\" else name
    if UNTIDY.search(path):
        path = PurePosixPath(path).as_posix()
    # On a Mac, accents are characters of their own behind their letters.
    composed = unicodedata.normalize("NFC", path)
    return UNPRINTABLE.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), composed)


def hash_files(files: Files, indices: Sequence[int]) -> tuple[dict[int, str], list[BadImage]]:
    """Reads files and returns the SHA-256 of their bytes as hex by number, and those that cannot be read, with the reason; fills `files.heads`."""

    def digest(index: int) -> str | BadImage:
        try:
            data = files.read(index)
        except BadImageError as error:
            return BadImage(files.names[index], str(error))
        files.heads[index] = len(data), data[:HEAD]
        return hashlib.sha256(data).hexdigest()

    with ThreadPoolExecutor() as pool:
        found = list(track(pool.map(digest, indices), "reading the files", total=len(indices)))
    hashes = {index: item for index, item in zip(indices, found, strict=True) if isinstance(item, str)}
    return hashes, [item for item in found if isinstance(item, BadImage)]


def _other_method(entry: zipfile.ZipInfo) -> str:
    return f"is compressed by method {entry.compress_type} of the zip format; methods 0 (stored) and 8 (deflate) can be read"


def _hidden(name: str) -> bool:
    return (name.startswith(".") and name != ".") or name == "__MACOSX"


def _points_outside(name: str) -> bool:
    return name.startswith("/") or re.match(r"[A-Za-z]:", name) is not None or ".." in name.split("/")
