"""Errors that a user can cause and mend, and helpers for their messages.

Every error of this module is shown as its message alone (no traceback) and ends the program with `exit_code`.
A message says where (config path or file), what was received, what is allowed, the nearest match, and what to do.
"""

import difflib
import errno
import os
from collections.abc import Iterable

MAX_LISTED = 20
FULL = (errno.ENOSPC, errno.EDQUOT)


class UserError(Exception):
    """Something the user can mend; its text is all that is shown."""

    exit_code = 1


class ConfigError(UserError):
    """The configuration is wrong: an unknown name or key, a wrong type, a value out of range."""

    exit_code = 2


class DataError(UserError):
    """The data is missing, damaged, or not what it should be."""

    exit_code = 3


class LeakError(DataError):
    """Cells of one patient, or the same image, would stand on both sides of a split."""

    exit_code = 4


class DiskFullError(UserError, OSError):
    """There is no room for a file. It is an OSError too, for callers that can do without the file."""

    exit_code = 6


def cannot_write(error: OSError, message: str) -> UserError:
    """Returns the error for a file or folder that cannot be written: a DiskFullError if there is no room, otherwise a DataError.

    Args:
        error: the reason; one that is a message for the user already is returned as it is.
        message: where, why and what to do.
    """
    if isinstance(error, UserError):
        return error
    return DiskFullError(message) if disk_full_reason(error) else DataError(message)


def disk_full_reason(error: Exception) -> str | None:
    """Returns in which words an error says that there is no room on a disk, or None; libraries say it in their text only."""
    if isinstance(error, OSError) and error.errno in FULL:
        return os.strerror(error.errno)
    return next((words for words in map(os.strerror, FULL) if words in str(error)), None)


class RunFolderError(UserError):
    """A run's folder is taken, missing, or incomplete."""

    exit_code = 5


def nearest(name: str, allowed: Iterable[str], cutoff: float = 0.5) -> str | None:
    """Returns the allowed name most like `name`, or None if none is alike (upper and lower case count as the same).

    Args:
        name: as it was typed.
        allowed: names.
        cutoff: how alike it has to be, from 0 to 1.
    """
    by_lower = {str(option).lower(): str(option) for option in allowed}
    match = difflib.get_close_matches(str(name).lower(), by_lower, n=1, cutoff=cutoff)
    return by_lower[match[0]] if match else None


def did_you_mean(name: str, allowed: Iterable[str]) -> str:
    """Returns " Did you mean 'x'?" for the nearest allowed name, or an empty string."""
    match = nearest(name, allowed)
    return f" Did you mean '{match}'?" if match else ""


def by_reason(items: Iterable[tuple[str, str]], few: int = 5) -> list[str]:
    """Returns a line for each (file, reason), and one for all files of a reason that more than a few have.

    "a.png: truncated", "27,558 files, a Git LFS pointer: a.png, b.png, ... and 27,538 more".
    """
    files_of: dict[str, list[str]] = {}
    for file, reason in items:
        files_of.setdefault(reason, []).append(file)
    lines = []
    for reason, files in files_of.items():
        if len(files) <= few:
            lines += [": ".join(filter(None, (file, reason))) for file in files]
            continue
        shown = ", ".join(files[:MAX_LISTED]) + (f", ... and {len(files) - MAX_LISTED:,} more" if len(files) > MAX_LISTED else "")
        lines.append(f"{len(files):,} files{', ' * bool(reason)}{reason}: {shown}")
    return lines


def listing(items: Iterable[str], limit: int = MAX_LISTED) -> str:
    """Returns the items one a line, indented, with a count of those beyond `limit`."""
    lines = [f"  {item}" for item in items]
    if len(lines) > limit:
        lines = [*lines[:limit], f"  ... and {len(lines) - limit} more"]
    return "\n".join(lines)
