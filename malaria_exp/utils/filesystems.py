"""Filesystems: folders on a disk or in an object store, read and written under one small interface.

A folder is named by a path or a URL. Paths and file:// are read with Python alone; schemes that TensorFlow's gfile knows (gs://, ram://)
with gfile; every other (s3://, az://, memory:// ...) with fsspec, which the extra `remote` installs. A written file appears under its name
only when it is whole.
"""

import hashlib
import os
import re
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from malaria_exp.utils.atomic_files import saying_disk_full
from malaria_exp.utils.errors import ConfigError, DataError
from malaria_exp.utils.filesystem_kinds import FsspecFilesystem, GfileFilesystem, LocalFilesystem
from malaria_exp.utils.http import public_url
from malaria_exp.utils.tensorflow_setup import load_tensorflow

SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")


class Filesystem(Protocol):
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

    def tree(self) -> dict[str, int]:
        """Returns {name: bytes} of the files of the folder and of all folders in it, with "/" in their names; nothing if there is no folder."""
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


def local_path(url: str) -> Path:
    """Returns the path of a local folder or file that is named by a path or a file:// URL; `~` is resolved."""
    return Path(url.removeprefix("file://")).expanduser()


def open_filesystem(url: str, key: str) -> Filesystem:
    """Returns a folder on the filesystem that its URL names; nothing is made, and nothing needs to be there.

    Args:
        url: a path, or a URL that gfile or fsspec knows.
        key: where the URL stands in the configuration, for messages.

    Raises:
        ConfigError: no installed package reads such a URL.
        DataError: its server does not answer.
    """
    scheme = scheme_of(url)
    if scheme in ("", "file"):
        return LocalFilesystem(local_path(url))
    # Before anything can fail: an error message should stand without the lines that TensorFlow's libraries write.
    load_tensorflow()
    import tensorflow as tf

    if scheme in tf.io.gfile.get_registered_schemes():
        return GfileFilesystem(url)
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
    except Exception as error:  # noqa: BLE001 - ftp, sftp and others connect at once, and each raises types of its own
        raise DataError(f"{key}: '{public_url(url)}' cannot be reached: {error or type(error).__name__}.") from None
    return FsspecFilesystem(url, files, path)


@contextmanager
def new_file(filesystem: Filesystem, name: str) -> Iterator[Path]:
    """Yields a temporary local path, and moves the file that the block wrote there into the folder; nothing appears if it fails."""
    with tempfile.TemporaryDirectory() as elsewhere:
        folder = filesystem.beside() or Path(elsewhere)
        path = folder / f".{secrets.token_hex(4)}.{name}"
        try:
            with saying_disk_full(folder / name):
                yield path
                filesystem.put(path, name)
        finally:
            path.unlink(missing_ok=True)


def write_bytes(filesystem: Filesystem, name: str, content: bytes) -> None:
    """Writes a file, all or nothing."""
    with new_file(filesystem, name) as path:
        path.write_bytes(content)


def local_copy(filesystem: Filesystem, name: str, folder: Path, sha256: str) -> Path:
    """Fetches a file into a local folder; a DataError if its SHA-256 is another."""
    target = folder / name
    temporary = folder / f".{secrets.token_hex(4)}.{name}"
    try:
        filesystem.fetch(name, temporary)
        received = file_sha256(temporary)
        if received != sha256:
            raise DataError(f"'{filesystem.url}/{name}' is damaged: its SHA-256 is {received}, expected {sha256}.")
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    return target


def file_sha256(path: Path) -> str:
    """Returns a local file's SHA-256 as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def stored_sha256(filesystem: Filesystem, name: str, size: int) -> str:
    """Returns the SHA-256 of a file in the folder as hex, holding a few MB of it at a time."""
    digest = hashlib.sha256()
    step = 8 * 2**20
    for start in range(0, size, step):
        digest.update(filesystem.read(name, start, min(start + step, size)))
    return digest.hexdigest()
