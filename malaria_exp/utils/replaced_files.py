"""What lies in place of a file where a clone or a download did not bring the file itself."""

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
