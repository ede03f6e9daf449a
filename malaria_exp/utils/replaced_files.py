"""What lies in place of a file where a clone or a download did not bring the file itself."""

from pathlib import Path

LFS_POINTER = b"version https://git-lfs.github.com/spec/"
ARCHIVES = {
    b"PK\3\4": "a zip or a workbook",
    b"\x1f\x8b": "a gzip or tar.gz archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!": "a RAR archive",
}


def stands_for(data: bytes) -> str | None:
    """Returns what a file is that only stands for another, with what to do, in words that follow "is"; None if it may be the file itself.

    Args:
        data: the file's first bytes.
    """
    if data.startswith(LFS_POINTER):
        return "a Git LFS pointer in place of a file that was not fetched ('git lfs pull' in its folder fetches all)"
    if data[:64].removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<"):
        return "a web page (HTML or XML) in place of the file; open the link in a browser, and download the file again"
    return None


def archive_kind(data: bytes) -> str | None:
    """Returns the kind of an archive by its first bytes, such as "a 7z archive", or None."""
    return next((kind for start, kind in ARCHIVES.items() if data.startswith(start)), None)


def why_no_zip(path: Path, error: Exception, key: str = "dataset.path") -> str:
    """Returns what a file is that cannot be read as a zip, and what to do, in words that follow its name.

    Args:
        path: of the file.
        error: of reading it.
        key: of the configuration that names it.
    """
    try:
        with path.open("rb") as file:
            start = file.read(256)
    except OSError:
        start = b""
    other, kind = stands_for(start), archive_kind(start)
    if other:
        return f"is {other}."
    if kind and not start.startswith(b"PK"):
        return f"is {kind}, and only zips are read. Unpack it and give the folder: {key}=folder"
    return f"cannot be read as a zip: {error}. Was the download cut off? Fetch it again."
