"""Downloads of known files: whole and checked, or not there at all.

Beside the target `<name>` lie, while they are needed, `<name>.part` (what has arrived), `<name>.part.json` (the version it is
part of) and `<name>.lock` (one download at a time), and afterwards `<name>.ok` (checked; it need not be read again).
"""

import contextlib
from pathlib import Path

from filelock import AcquireReturnProxy, FileLock, Timeout

from malaria_exp.utils.atomic_files import human_bytes, write_json
from malaria_exp.utils.errors import DataError, cannot_write
from malaria_exp.utils.filesystems import file_sha256
from malaria_exp.utils.http import public_url
from malaria_exp.utils.resuming_download import RemoteFile, ResumingDownload, beside, read_json
from malaria_exp.utils.terminal_log import log


def fetch(
    remote: RemoteFile, path: Path, *, hint: str = "", setting: str = "", patience: float = 30.0, attempts: int = 5, wait: float = 1.0
) -> Path:
    """Returns `path`, holding the file: downloads it unless a checked copy lies there already.

    The next call goes on where a download was cut off, in this process or a later one; calls that run at the same time download
    once. A server that cannot be reached at first is not tried again, so that being offline shows at once.

    Args:
        remote: the file.
        path: where to put it; missing folders are made.
        hint: a sentence for the end of the error message: what to do instead.
        setting: what chooses another folder than that of `path`, for the message of a full or forbidden one.
        patience: seconds without a byte after which a connection counts as cut.
        attempts: how often in a row a cut connection or a busy server is tried again without a new byte arriving.
        wait: seconds before the first of these; each further wait is twice as long, at most 30 s.

    Raises:
        DataError: it cannot be downloaded, what arrives is another file, the folder cannot be written, or another file lies
            at `path` already (which is left as it is).
    """
    try:
        if _is_there(path, remote):
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        with _lock(path):
            if not _is_there(path, remote):
                ResumingDownload(remote, path, patience, attempts, wait).run(hint)
                _remember(path, _check_record(path, remote.sha256))
    except OSError as error:
        raise cannot_write(
            error,
            f"cannot store the download '{path}': {error.filename or path}: {error.strerror or error}. "
            f"What has arrived is kept. Make room or give permission there{f', or choose another folder: {setting}' if setting else ''}.",
        ) from None
    return path


def _is_there(path: Path, remote: RemoteFile) -> bool:
    """Returns whether the file lies at `path`; its bytes are read only if they were not checked since they were written."""
    if not path.exists():
        return False
    if not path.is_file():
        raise DataError(f"'{path}' is in the way of a download: it is no file. Move it away and run the same command again.")
    checked = _check_record(path, remote.sha256)
    if checked["size"] == remote.size and read_json(beside(path, "ok")) == checked:
        return True
    found = f"{checked['size']:,} bytes"
    if checked["size"] == remote.size:
        log.info(f"download  checking {path} ({human_bytes(remote.size)})")
        found = file_sha256(path)
    if found != checked["sha256"]:
        raise DataError(
            f"'{path}' is not the file of {public_url(remote.url)}: expected {remote.size:,} bytes with sha256 {checked['sha256']}; "
            f"received {found}. Delete it and run the same command again to download it."
        )
    _remember(path, checked)
    return True


def _check_record(path: Path, sha256: str) -> dict[str, int | str]:
    """Returns what `<name>.ok` says of a checked file, until somebody writes to it."""
    status = path.stat()
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "sha256": sha256.lower()}


def _remember(path: Path, checked: dict[str, int | str]) -> None:
    # The folder may be read-only or the disk full; the file is then checked again next time.
    with contextlib.suppress(OSError):
        write_json(beside(path, "ok"), checked)


def _lock(path: Path) -> AcquireReturnProxy:
    """Takes the download's lock; says so if another process has it, and waits."""
    lock = FileLock(beside(path, "lock"))
    try:
        return lock.acquire(timeout=0)
    except Timeout:
        log.info(f"download  waiting for another run that is downloading {path}")
        return lock.acquire()
