"""The three kinds of filesystem that `open_filesystem` chooses from; see `malaria_exp.utils.filesystems.Filesystem` for their methods."""

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from malaria_exp.utils.errors import DataError
from malaria_exp.utils.http import public_url

# Requests to an object store mostly wait, so that many may be under way.
REQUESTS = 32


@contextmanager
def _answered(what: str, url: str) -> Iterator[None]:
    """Turns any error of a filesystem into a DataError; each has types of its own."""
    try:
        yield
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"'{url}' cannot be {what}: {reason}") from error


class LocalFilesystem:
    """A folder on a disk."""

    streams = True

    def __init__(self, folder: Path) -> None:
        self.folder, self.url = folder, str(folder)

    def sizes(self) -> dict[str, int]:
        """Returns {name: bytes} of the folder's files."""
        with _answered("listed", self.url):
            if not self.folder.exists():
                return {}
            return {entry.name: entry.stat().st_size for entry in os.scandir(self.folder) if entry.is_file()}

    def tree(self) -> dict[str, int]:
        """Returns {name: bytes} of the files of the folder and of all folders in it."""
        with _answered("listed", self.url):
            found = (Path(folder) / name for folder, _, names in os.walk(self.folder) for name in names)
            return {path.relative_to(self.folder).as_posix(): path.stat().st_size for path in found if path.is_file()}

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


class GfileFilesystem:
    """A folder on a filesystem that TensorFlow knows."""

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
            return self._lengths(name for name in self._gfile.listdir(self.url) if not name.endswith("/"))

    def tree(self) -> dict[str, int]:
        """Returns {name: bytes} of the files of the folder and of all folders in it."""
        with _answered("listed", self.url):
            walk = self._gfile.walk(self.url)
            return self._lengths(f"{folder}/{name}".removeprefix(self.url).lstrip("/") for folder, _, names in walk for name in names)

    def _lengths(self, names: Iterable[str]) -> dict[str, int]:
        found = list(names)
        with ThreadPoolExecutor(REQUESTS) as pool:
            sizes = pool.map(lambda name: int(self._gfile.stat(f"{self.url}/{name}").length), found)
            return dict(zip(found, sizes, strict=True))

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


class FsspecFilesystem:
    """A folder on a filesystem that fsspec knows. tf.data cannot read it.

    Args:
        url: the folder's URL.
        files: fsspec's filesystem.
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

    def tree(self) -> dict[str, int]:
        """Returns {name: bytes} of the files of the folder and of all folders in it; of a server that tells no sizes they are 0."""
        with _answered("listed", self.url):
            self._files.invalidate_cache()
            found = self._files.find(self._path, detail=True)
            above = f"{self._path}/"
            return {name.removeprefix(above): int(item["size"] or 0) for name, item in found.items() if name.startswith(above)}

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
