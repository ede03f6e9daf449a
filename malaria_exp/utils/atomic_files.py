"""Writing files and folders so that they appear whole or not at all."""

import csv
import io
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from malaria_exp.utils.csv_files import to_cell
from malaria_exp.utils.errors import DiskFullError, UserError, disk_full_reason

# The name of a file that is being written; a process that is killed may leave one.
TEMPORARY = re.compile(r"\.[0-9a-f]{8}\..+")


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Calls `write` with a temporary name in the same folder, keeping the ending, then renames the result to `path`.

    Raises:
        DiskFullError: there is no room for it.
    """
    temporary = path.with_name(f".{secrets.token_hex(4)}.{path.name}")
    try:
        with saying_disk_full(path):
            write(temporary)
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def saying_disk_full(path: Path) -> Iterator[None]:
    """Turns every error that says there is no room on the disk into a DiskFullError about a path."""
    try:
        yield
    except Exception as error:
        reason = disk_full_reason(error)
        if isinstance(error, UserError) or not reason:
            raise
        raise DiskFullError(
            f"'{path}' cannot be written: {reason}. Make room there (task=clean_cache empties the cache), or give another disk"
            " with hydra.run.dir=... or cache.root=..."
        ) from None


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
        # A rename would silently replace an empty folder.
        if path.exists():
            raise FileExistsError(f"'{path}' exists already")
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_bytes(path: str | os.PathLike[str], content: bytes) -> Path:
    """Writes bytes, all or nothing, making missing folders; they are on the disk when it returns.

    Returns:
        The path written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)

    def write(temporary: Path) -> None:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    write_atomically(path, write)
    return path


def write_text(path: str | os.PathLike[str], text: str) -> Path:
    """Writes text as UTF-8, all or nothing."""
    return write_bytes(path, text.encode())


def write_between(path: str | os.PathLike[str], name: str, text: str) -> Path:
    """Replaces the text between the marks `<!-- name: begin -->` and `<!-- name: end -->` of a page, all or nothing.

    A page without the marks, or that does not exist, gets them at its end.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    page = Path(path)
    before, _, rest = (page.read_text(encoding="utf-8") if page.exists() else "").partition(begin)
    return write_text(page, f"{before}{begin}\n{text}\n{end}{rest.partition(end)[2] or chr(10)}")


def write_csv(path: str | os.PathLike[str], header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Path:
    """Writes a header and rows as CSV, all or nothing; None becomes an empty field, and no text is a formula (`to_cell`)."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([to_cell(value) for value in row] for row in rows)
    return write_text(path, text.getvalue())


def write_json(path: str | os.PathLike[str], data: Any) -> Path:
    """Writes plain values as JSON with two spaces of indent, all or nothing."""
    return write_text(path, json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_json_on_full_disk(path: Path, data: Any) -> Path:
    """Does as `write_json`; where there is no room for a second file, the room of the first one is used.

    Raises:
        DiskFullError: it needs more room than the first one.
    """
    try:
        return write_json(path, data)
    except DiskFullError:
        content = json.dumps(data, ensure_ascii=False, allow_nan=False).encode() + b"\n"
        try:
            with path.open("r+b", buffering=0) as file:
                file.write(content)
                file.truncate(len(content))
        except OSError:
            pass
        else:
            return path
        raise


def human_bytes(size: float) -> str:
    """Returns a size in bytes as text with a unit: "189 MB"."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit in ("B", "kB") or size >= 10 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
