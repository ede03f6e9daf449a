"""Places: folders on a disk or in an object store, under one small interface.

A place is named by a path or a URL. Paths and file:// are read with Python alone; schemes that TensorFlow's gfile knows (gs://, ram://)
with gfile; every other (s3://, az://, memory:// ...) with fsspec, which the extra `remote` installs. What is written appears under its
name only when it is whole.
"""

import hashlib
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from malaria_exp.utils.errors import ConfigError, DataError
from malaria_exp.utils.http import public_url
from malaria_exp.utils.tensorflow_setup import load_tensorflow

SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
# Requests to an object store mostly wait; so many wait at once.
REQUESTS = 32


class Place(Protocol):
    """A folder whose files are read and written by name.

    Attributes:
        url: the folder's path or URL, without a slash at its end.
        streams: whether tf.data can read its files; otherwise they have to be fetched first.
    """

    url: str
    streams: bool

    def sizes(self) -> dict[str, int]:
        """Returns {name: bytes} of the folder's files; nothing if there is no folder."""
        ...

    def read(self, name: str, start: int = 0, stop: int | None = None) -> bytes:
        """Returns a file's bytes from `start` to before `stop`."""
        ...

    def fetch(self, name: str, path: Path) -> None:
        """Copies a file to a local path."""
        ...

    def put(self, path: Path, name: str) -> None:
        """Moves a local file into the folder; it appears whole or not at all."""
        ...

    def remove(self, name: str) -> None:
        """Deletes a file."""
        ...

    def beside(self) -> Path | None:
        """Returns the local folder where files for `put` are best written; None for the system's temporary one."""
        ...


def scheme_of(url: str) -> str:
    """Returns the URL's scheme in lower case; "" for a path."""
    match = SCHEME.match(url)
    return match[1].lower() if match else ""


def open_place(url: str, key: str) -> Place:
    """Opens a place; nothing is made, and nothing needs to be there.

    Args:
        url: a path, or a URL that gfile or fsspec knows.
        key: where the URL stands in the configuration, for messages.

    Raises:
        ConfigError: no installed package reads such a URL.
    """
    scheme = scheme_of(url)
    if scheme in ("", "file"):
        return LocalPlace(url)
    # First, without the lines that its libraries write: the message should stand alone.
    load_tensorflow()
    import tensorflow as tf

    if scheme in tf.io.gfile.get_registered_schemes():
        return GfilePlace(url)
    try:
        import fsspec
        from fsspec.registry import known_implementations
    except ImportError:
        raise ConfigError(f"{key}: '{scheme}://' needs fsspec, which is not installed: pip install 'malaria_exp[remote]'") from None
    try:
        files, path = fsspec.core.url_to_fs(url)
    except ImportError as error:
        package = known_implementations.get(scheme, {}).get("class", "fsspec").partition(".")[0]
        how = f" pip install {package}" if package != "fsspec" else ""
        raise ConfigError(f"{key}: '{scheme}://' needs a package that is not installed: {error}.{how}") from None
    except ValueError as error:
        known = ", ".join(sorted({*fsspec.available_protocols(), *filter(None, tf.io.gfile.get_registered_schemes())}))
        raise ConfigError(f"{key}: '{public_url(url)}' cannot be opened: {error}. Schemes that are known: {known}.") from None
    return FsspecPlace(url, files, path)


@contextmanager
def new_file(place: Place, name: str) -> Iterator[Path]:
    """Yields a temporary local path, and moves what the block wrote there into the place; nothing appears if it fails."""
    with tempfile.TemporaryDirectory() as elsewhere:
        folder = place.beside() or Path(elsewhere)
        path = folder / f".{secrets.token_hex(4)}.{name}"
        try:
            yield path
            place.put(path, name)
        finally:
            path.unlink(missing_ok=True)


def write_bytes(place: Place, name: str, content: bytes) -> None:
    """Writes a file, all or nothing."""
    with new_file(place, name) as path:
        path.write_bytes(content)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yields a temporary local folder, and renames it to `path` when the block is done; nothing appears if it fails.

    Raises:
        FileExistsError: something lies at `path`.
    """
    temporary = path.with_name(f".{secrets.token_hex(4)}.{path.name}")
    temporary.mkdir(parents=True)
    try:
        yield temporary
        # A rename would take an empty folder's place without a word.
        if path.exists():
            raise FileExistsError(f"'{path}' exists already")
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def local_copy(place: Place, name: str, folder: Path, sha256: str) -> Path:
    """Fetches a file into a local folder; a DataError if its SHA-256 is another."""
    target = folder / name
    temporary = folder / f".{secrets.token_hex(4)}.{name}"
    try:
        place.fetch(name, temporary)
        received = file_sha256(temporary)
        if received != sha256:
            raise DataError(f"'{place.url}/{name}' is damaged: its SHA-256 is {received}, expected {sha256}.")
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    return target


def file_sha256(path: Path) -> str:
    """Returns a local file's SHA-256 as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def placed_sha256(place: Place, name: str, size: int) -> str:
    """Returns the SHA-256 of a place's file as hex, holding a few MB of it at a time."""
    digest = hashlib.sha256()
    step = 8 * 2**20
    for start in range(0, size, step):
        digest.update(place.read(name, start, min(start + step, size)))
    return digest.hexdigest()


@contextmanager
def _answered(what: str, url: str) -> Iterator[None]:
    """Turns whatever a file system raises into a DataError; each has errors of its own kind."""
    try:
        yield
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"'{url}' cannot be {what}: {reason}") from error


class LocalPlace:
    """A folder on a disk; see Place."""

    streams = True

    def __init__(self, url: str) -> None:
        self.folder = Path(url.removeprefix("file://")).expanduser()
        self.url = str(self.folder)

    def sizes(self) -> dict[str, int]:
        """Returns {name: bytes} of the folder's files."""
        with _answered("listed", self.url):
            if not self.folder.exists():
                return {}
            return {entry.name: entry.stat().st_size for entry in os.scandir(self.folder) if entry.is_file()}

    def read(self, name: str, start: int = 0, stop: int | None = None) -> bytes:
        """Returns a file's bytes."""
        with _answered("read", f"{self.url}/{name}"), (self.folder / name).open("rb") as file:
            file.seek(start)
            return file.read() if stop is None else file.read(stop - start)

    def fetch(self, name: str, path: Path) -> None:
        """Copies a file to a local path."""
        path.write_bytes(self.read(name))

    def put(self, path: Path, name: str) -> None:
        """Moves a local file, flushed to the disk, into the folder."""
        with _answered("written", f"{self.url}/{name}"):
            with path.open("rb") as file:
                os.fsync(file.fileno())
            os.replace(path, self.folder / name)

    def remove(self, name: str) -> None:
        """Deletes a file."""
        with _answered("deleted", f"{self.url}/{name}"):
            (self.folder / name).unlink()

    def beside(self) -> Path:
        """Returns the folder itself: a rename is then enough."""
        with _answered("made", self.url):
            self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder


class GfilePlace:
    """A folder of a file system that TensorFlow knows; see Place."""

    streams = True

    def __init__(self, url: str) -> None:
        import tensorflow as tf

        self.url = url.rstrip("/")
        self._gfile = tf.io.gfile

    def sizes(self) -> dict[str, int]:
        """Returns {name: bytes} of the folder's files."""
        with _answered("listed", self.url):
            if not self._gfile.isdir(self.url):
                return {}
            names = [name for name in self._gfile.listdir(self.url) if not name.endswith("/")]
            return dict(zip(names, _at_once(lambda name: int(self._gfile.stat(f"{self.url}/{name}").length), names), strict=True))

    def read(self, name: str, start: int = 0, stop: int | None = None) -> bytes:
        """Returns a file's bytes."""
        with _answered("read", f"{self.url}/{name}"), self._gfile.GFile(f"{self.url}/{name}", "rb") as file:
            file.seek(start)
            content: bytes = file.read() if stop is None else file.read(stop - start)
            return content

    def fetch(self, name: str, path: Path) -> None:
        """Copies a file to a local path."""
        with _answered("read", f"{self.url}/{name}"):
            self._gfile.copy(f"{self.url}/{name}", str(path), overwrite=True)

    def put(self, path: Path, name: str) -> None:
        """Copies a local file under a temporary name, then renames it."""
        temporary = f"{self.url}/{path.name}"
        with _answered("written", f"{self.url}/{name}"):
            self._gfile.makedirs(self.url)
            self._gfile.copy(str(path), temporary, overwrite=True)
            self._gfile.rename(temporary, f"{self.url}/{name}", overwrite=True)

    def remove(self, name: str) -> None:
        """Deletes a file."""
        with _answered("deleted", f"{self.url}/{name}"):
            self._gfile.remove(f"{self.url}/{name}")

    def beside(self) -> None:
        """Returns None: files for `put` are written elsewhere."""


class FsspecPlace:
    """A folder of a file system that fsspec knows; see Place. tf.data cannot read it.

    Args:
        url: the folder's URL.
        files: fsspec's file system.
        path: the folder's path in it.
    """

    streams = False

    def __init__(self, url: str, files: Any, path: str) -> None:
        # It stands in messages and logs: without a user's password.
        self.url = public_url(url).rstrip("/")
        self._files, self._path = files, path.rstrip("/")

    def sizes(self) -> dict[str, int]:
        """Returns {name: bytes} of the folder's files."""
        with _answered("listed", self.url):
            self._files.invalidate_cache()
            try:
                found = self._files.ls(self._path, detail=True)
            except FileNotFoundError:
                return {}
            return {item["name"].rpartition("/")[2]: int(item["size"]) for item in found if item["type"] == "file"}

    def read(self, name: str, start: int = 0, stop: int | None = None) -> bytes:
        """Returns a file's bytes."""
        with _answered("read", f"{self.url}/{name}"):
            content: bytes = self._files.cat_file(f"{self._path}/{name}", start=start, end=stop)
            return content

    def fetch(self, name: str, path: Path) -> None:
        """Copies a file to a local path."""
        with _answered("read", f"{self.url}/{name}"):
            self._files.get_file(f"{self._path}/{name}", str(path))

    def put(self, path: Path, name: str) -> None:
        """Uploads a local file; object stores show it when it is whole."""
        with _answered("written", f"{self.url}/{name}"):
            self._files.makedirs(self._path, exist_ok=True)
            self._files.put_file(str(path), f"{self._path}/{name}")

    def remove(self, name: str) -> None:
        """Deletes a file."""
        with _answered("deleted", f"{self.url}/{name}"):
            self._files.rm_file(f"{self._path}/{name}")

    def beside(self) -> None:
        """Returns None: files for `put` are written elsewhere."""


def _at_once(call: Callable[[str], Any], names: list[str]) -> list[Any]:
    with ThreadPoolExecutor(REQUESTS) as pool:
        return list(pool.map(call, names))
