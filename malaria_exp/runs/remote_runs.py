"""Copies in the cache folder of what is not on this machine: finished runs in object stores, and weights files at any URL."""

import hashlib
import json
import shutil
import time
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

from malaria_exp.config.run_files import MODEL_FILE, OOD_FILE
from malaria_exp.data.cache_contents import FETCHED
from malaria_exp.data.cache_folders import TAG, tag
from malaria_exp.data.image_files import checksums
from malaria_exp.runs.finished_runs import PARENT_SPLIT_FILE
from malaria_exp.runs.run_folder import STATUS
from malaria_exp.utils.atomic_files import human_bytes, new_folder, write_json
from malaria_exp.utils.errors import DataError, RunFolderError, cannot_write
from malaria_exp.utils.filesystems import local_path, open_filesystem, scheme_of
from malaria_exp.utils.http import CutError, FinalError, open_url, public_url, read_some
from malaria_exp.utils.progress_bars import download_bar
from malaria_exp.utils.terminal_log import log

# Beside the files of a copy: their checksums.
CHECKSUMS = ".checksums.json"
# The files that evaluating a run again or starting from it takes; reports and plots are not fetched.
NEEDED = (STATUS, "config.yaml", "provenance.json", "split.csv", "metrics.json", "model.json", MODEL_FILE)
WEB = ("http", "https")
PATIENCE_SECONDS = 30.0
ATTEMPTS = 4
# The first bytes of weights files: HDF5, and zip, which a .keras file is.
BEGINNINGS = (b"\x89HDF", b"PK\x03\x04")


def local_run(run: str, root: Path, key: str = "run") -> Path:
    """Returns the local folder of a finished run: the given folder, or for a URL a copy of the needed files in the cache.

    The copy's name depends on the content of the run's status.json, so another run under the same URL gets another copy.

    Args:
        run: path or URL.
        root: the cache folder.
        key: the key of the configuration, for messages.

    Raises:
        ConfigError: no installed package reads such a URL.
        RunFolderError: there is no finished training run.
        DataError: the URL cannot be read.
    """
    scheme = scheme_of(run)
    if scheme in ("", "file"):
        return local_path(run)
    if scheme in WEB:
        raise RunFolderError(
            f"{key}: '{public_url(run)}' is a web address, which has no folders. Expected a path, or a URL such as gs://bucket/run."
        )
    filesystem = open_filesystem(run, key)
    shown = public_url(filesystem.url)
    sizes = filesystem.sizes()
    if STATUS not in sizes:
        raise RunFolderError(f"{key}: '{shown}' has no {STATUS}. Give the folder of a finished training run: {key}=gs://bucket/folder/run")
    content = filesystem.read(STATUS)
    status = _read_status(content)
    if status.get("task") != "train" or status.get("status") != "done":
        raise RunFolderError(f"{key}: '{shown}' is no finished training run: task {status.get('task')}, status {status.get('status')}.")
    for name in NEEDED:
        if name not in sizes:
            raise RunFolderError(
                f"{key}: '{shown}' has no {name}, which reading the run takes. Were only some of its files stored (storage.what)?"
            )
    folder = root / FETCHED / content_name(run.encode() + b"\0" + content) / shown.rpartition("/")[2]

    def fetch(temporary: Path) -> None:
        names = [*NEEDED, *(name for name in (PARENT_SPLIT_FILE, OOD_FILE) if name in sizes)]
        log.info(f"fetched   {shown} ({human_bytes(sum(sizes[name] for name in names))}) to {folder}")
        for name in names:
            filesystem.fetch(name, temporary / name)

    fetch_once(folder, fetch)
    return folder


def local_file(url: str, root: Path, key: str) -> Path:
    """Returns a copy of a remote weights file, fetched unless the cache has it from this URL.

    Args:
        url: http://, https://, or one of an object store (gs://, s3:// ...).
        root: the cache folder.
        key: the key of the configuration, for messages.

    Raises:
        ConfigError: no installed package reads such a URL.
        DataError: it cannot be fetched.
    """
    name = public_url(url).partition("?")[0].rpartition("/")[2]
    folder = root / FETCHED / content_name(url.encode())

    def fetch(temporary: Path) -> None:
        if scheme_of(url) in WEB:
            _download(url, temporary / name, key)
        else:
            open_filesystem(url.rpartition("/")[0], key).fetch(name, temporary / name)

    if not fetch_once(folder, fetch):
        log.info(f"fetched   {public_url(url)} before: {folder / name}")
    return folder / name


def content_name(content: bytes) -> str:
    """Returns the name of the cache folder for this content."""
    return hashlib.sha256(content).hexdigest()[:20]


def fetch_once(folder: Path, fill: Callable[[Path], object]) -> bool:
    """Makes a folder of the cache, unless it is there whole; if it cannot be filled, nothing of it is left.

    Args:
        folder: its path.
        fill: writes the files into the empty folder that it is given.

    Returns:
        Whether it was filled now.
    """
    if folder.exists():
        if _is_whole(folder):
            return False
        log.warning(f"fetched   {folder} is damaged: fetched again")
        shutil.rmtree(folder)
    try:
        with new_folder(folder) as temporary:
            tag(temporary)
            fill(temporary)
            names = [path.relative_to(temporary).as_posix() for path in sorted(temporary.rglob("*")) if path.is_file() and path.name != TAG]
            write_json(temporary / CHECKSUMS, checksums(temporary, names))
    except FileExistsError:
        # Another process has fetched the same at the same time.
        return False
    except ConnectionError:
        raise
    except OSError as error:
        raise cannot_write(
            error, f"cache.root: cannot write what is fetched to '{folder}': {error}. Choose another folder: cache.root=..."
        ) from None
    return True


def _is_whole(folder: Path) -> bool:
    """Returns whether a copy's files are as they were fetched; copies of earlier versions have no checksums and count as whole."""
    path = folder / CHECKSUMS
    if not path.exists():
        return True
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
        return bool(written == checksums(folder, written))
    except (OSError, ValueError, TypeError):
        return False


def _read_status(content: bytes) -> dict[str, object]:
    try:
        status = json.loads(content)
    except (ValueError, RecursionError):
        status = None
    return status if isinstance(status, dict) else {}


def _download(url: str, path: Path, key: str) -> None:
    """Downloads a weights file of unknown size and checksum; a download that breaks off is started again."""
    shown, answered = public_url(url), False
    log.info(f"download  {shown}")
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with open_url(url, {}, PATIENCE_SECONDS, answered) as response, download_bar() as bar:
                answered = True
                if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                    raise CutError(f"the server answered HTTP {response.status}")
                if response.status != HTTPStatus.OK:
                    raise FinalError(f"the server answered HTTP {response.status} {response.reason}".rstrip())
                expected, received = response.length, 0
                task = bar.add_task(path.name, total=expected)
                with path.open("wb") as file:
                    while chunk := read_some(response, PATIENCE_SECONDS):
                        file.write(chunk)
                        received += len(chunk)
                        bar.update(task, completed=received)
            if expected is not None and received < expected:
                raise CutError(f"the connection was cut after {human_bytes(received)} of {human_bytes(expected)}")
            with path.open("rb") as file:
                if not file.read(8).startswith(BEGINNINGS):
                    raise FinalError("what is there is no file of weights, but perhaps a web page that asks for a login")
        except CutError as error:
            if attempt == ATTEMPTS:
                raise DataError(f"{key}: cannot download {shown}: {error} (tried {ATTEMPTS} times).") from None
            log.warning(f"download  {error}; trying again ({attempt} of {ATTEMPTS - 1})")
            time.sleep(max(error.wait, 2.0 ** (attempt - 1)))
        except FinalError as error:
            raise DataError(f"{key}: cannot download {shown}: {error}. Fetch it where that works, and give the file: {key}=path") from None
        else:
            return
