"""Copying the folder of a finished run: which files, and so that half a copy never looks like a run."""

import contextlib
import json
import secrets
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Literal

from malaria_exp.runs.finished_runs import PARENT_SPLIT_FILE
from malaria_exp.runs.initial_weights import REPORT_FILE
from malaria_exp.runs.run_folder import STATUS
from malaria_exp.utils.atomic_files import new_folder, write_json
from malaria_exp.utils.errors import ConfigError, RunFolderError, UserError
from malaria_exp.utils.filesystems import Filesystem, new_file, open_filesystem, write_bytes
from malaria_exp.utils.http import public_url

Part = Literal["everything", "model", "report", "metrics", "predictions", "split", "log"]
# The files and folders of a run's folder, by the word of `what` that asks for them.
PARTS: dict[Part, tuple[str, ...]] = {
    "model": ("model.keras", "model.json", "ood.npz", "model.weights.h5", "saved_model"),
    "report": ("report.html", "patients.html", "fields.html", "plots"),
    "metrics": ("metrics.json", "history.csv", REPORT_FILE),
    "predictions": ("predictions.csv",),
    "split": ("split.csv", PARENT_SPLIT_FILE, "excluded.csv"),
    "log": ("run.log",),
}
ALWAYS = (STATUS, "config.yaml", "provenance.json")


def files_of(folder: Path, what: Iterable[Part]) -> list[str]:
    """Returns the paths of the files to copy, relative to the run's folder: no links, and status.json last."""
    wanted = {*ALWAYS, *(name for part in what for name in PARTS.get(part, ()))}
    found = [
        path.relative_to(folder).as_posix()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part.is_symlink() for part in (path, *path.parents) if part.is_relative_to(folder))
    ]
    chosen = [name for name in found if "everything" in what or PurePosixPath(name).parts[0] in wanted]
    return [name for name in chosen if name != STATUS] + [STATUS]


def status_with(folder: Path, **facts: str) -> dict[str, object]:
    """Returns the content of a run's status.json with these facts about its copy in place of older ones."""
    status = json.loads((folder / STATUS).read_text(encoding="utf-8"))
    return {**{key: value for key, value in status.items() if key not in ("stored", "not_stored")}, **facts}


def check_folder(folder: Path, key: str) -> None:
    """Makes a local folder if it is missing, and raises a ConfigError if nothing can be written into it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".write-test-", dir=folder):
            pass
    except OSError as error:
        raise ConfigError(
            f"{key}: runs cannot be copied to '{folder}': {error.strerror or error}. Nothing has been trained yet. Choose another folder,"
            " or storage=none."
        ) from None


def copy_to_folder(folder: Path, what: Iterable[Part], target: Path) -> str:
    """Copies a run to a local folder that does not exist yet, under a temporary name first; returns its path."""
    try:
        if target.exists():
            raise FileExistsError
        with new_folder(target) as temporary:
            for name in files_of(folder, what):
                (temporary / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(folder / name, temporary / name)
            write_json(temporary / STATUS, status_with(folder, stored=str(target)))
    except FileExistsError:
        raise RunFolderError(f"'{target}' exists already; a copy never goes over another run") from None
    except OSError as error:
        raise UserError(f"'{error.filename or target}': {error.strerror or error}") from None
    return str(target)


def check_place(url: str, key: str) -> None:
    """Raises a ConfigError if nothing can be written to a URL."""
    name = f".write-test-{secrets.token_hex(4)}"
    try:
        filesystem = open_filesystem(url, key)
        write_bytes(filesystem, name, b"")
        filesystem.remove(name)
    except ConfigError:
        raise
    except UserError as error:
        raise ConfigError(
            f"{key}: runs cannot be copied to '{public_url(url)}': {str(error).rstrip('.')}. Nothing has been trained yet. Choose another URL, or storage=none."
        ) from None


def copy_to_place(folder: Path, what: Iterable[Part], url: str, key: str) -> str:
    """Copies a run to a URL, status.json last: a folder without it is no run. Returns the URL without passwords.

    Object stores cannot rename folders. What a failed copy has written is deleted again, as far as possible.
    """
    shown = public_url(url)
    if STATUS in open_filesystem(url, key).sizes():
        raise RunFolderError(f"'{shown}' exists already; a copy never goes over another run")
    written: list[tuple[Filesystem, str]] = []
    try:
        for name in files_of(folder, what):
            around, _, leaf = name.rpartition("/")
            filesystem = open_filesystem(below(url, around) if around else url, key)
            with new_file(filesystem, leaf) as path:
                if name == STATUS:
                    write_json(path, status_with(folder, stored=shown))
                else:
                    shutil.copyfile(folder / name, path)
            written.append((filesystem, leaf))
    except BaseException:
        for filesystem, leaf in written:
            with contextlib.suppress(UserError):
                filesystem.remove(leaf)
        raise
    return shown


def below(url: str, name: str) -> str:
    """Returns the URL of a folder below another's; what stands behind a question mark stays at the end."""
    address, sign, query = url.partition("?")
    return f"{address.rstrip('/')}/{name}{sign}{query}"
