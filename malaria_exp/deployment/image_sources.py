"""Images that a finished model is to score: a file, a folder, a zip, a text list, a glob or a URL, read one by one, by number.

No labels are needed, and no file ends the work: one that cannot be read has a reason instead of pixels.
"""

import glob
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

from malaria_exp.data.cell_table import BadImageError
from malaria_exp.data.readers.files import MAX_BYTES, Files, FolderFiles, ZipFiles, checked_bytes, clean_name, is_image, read_image_file
from malaria_exp.utils.errors import ConfigError, DataError, did_you_mean
from malaria_exp.utils.filesystems import Filesystem, local_path, open_filesystem, scheme_of
from malaria_exp.utils.http import public_url

KEY = "images"
LIST, ZIP = ".txt", ".zip"
WANTED = "Expected an image, a folder, a zip, a .txt with a path a line, a pattern such as 'cells/*.png', or a URL of one of the first four"


@dataclass(frozen=True, eq=False)
class NewImages:
    """Images without labels.

    Attributes:
        names: of all of them, as results show them; they may hold any printable text.
        read: from an image's number to the bytes of its file, at least one; raises BadImageError. Safe in several threads.
        ignored: number of files beside them that do not end like images.
    """

    names: Sequence[str]
    read: Callable[[int], bytes]
    ignored: int = 0


@contextmanager
def open_images(images: str | Sequence[str]) -> Iterator[NewImages]:
    """Lists the images that are meant; they can be read as long as the block lasts.

    Args:
        images: a path, a glob or a URL; or several of them, whose images then go by their whole names.

    Raises:
        ConfigError: no installed package reads such a URL.
        DataError: there is nothing there, or no image.
    """
    given = [images] if isinstance(images, str) else list(images)
    with ExitStack() as stack:
        parts = [_open(one, stack) for one in given]
        found = parts[0] if len(parts) == 1 else _joined([clean_name(public_url(one)) for one in given], parts)
        if not found.names:
            ignored = f" {found.ignored:,} files there do not end like images." if found.ignored else ""
            raise DataError(f"{KEY}: '{', '.join(map(public_url, given))}' holds no image.{ignored} {WANTED}.")
        yield found


def _open(one: str, stack: ExitStack) -> NewImages:
    """Opens what one path, glob or URL names."""
    if scheme_of(one) not in ("", "file"):
        return _open_url(one, stack)
    try:
        path = local_path(one)
        kind = "folder" if path.is_dir() else "file" if path.exists() else ""
    except (OSError, RuntimeError, ValueError) as error:  # the second for the ~ of a user that does not exist
        raise DataError(f"{KEY}: '{clean_name(one)}' cannot be opened: {error}.") from None
    if kind == "folder":
        return _of_files(FolderFiles(path, KEY))
    if kind == "file":
        return _open_file(path, path.name, str(path.parent))
    if glob.has_magic(one):
        # Path.glob takes no absolute patterns.
        found = sorted(item for item in glob.glob(str(path), recursive=True) if not Path(item).is_dir())  # noqa: PTH207
        return _of_paths([clean_name(item) for item in found], found)
    near = [str(item) for item in path.parent.iterdir()] if path.parent.is_dir() else []
    raise DataError(f"{KEY}: there is no file or folder '{clean_name(one)}'.{did_you_mean(str(path), near)} {WANTED}.")


def _open_file(path: Path, name: str, folder: str) -> NewImages:
    """Opens a local file by its ending, the zip of a name without one by its content; what a list names lies below `folder`."""
    if path.suffix.lower() == LIST:
        return _of_list(path, folder)
    if path.suffix.lower() == ZIP or (not is_image(path.name) and _begins_like_zip(path)):
        return _of_files(ZipFiles(path, KEY))
    return _of_paths([clean_name(name)], [str(path)])


def _begins_like_zip(path: Path) -> bool:
    try:
        return read_image_file(path)[:4] == b"PK\3\4"
    except BadImageError:
        # The reason stands in the row of the only image.
        return False


def _open_url(url: str, stack: ExitStack) -> NewImages:
    """Opens a folder behind a URL, or the file that a URL with a known ending names."""
    above, _, name = url.rstrip("/").rpartition("/")
    ending = PurePosixPath(name).suffix.lower()
    if ending in (LIST, ZIP):
        fetched = Path(stack.enter_context(tempfile.TemporaryDirectory())) / f"fetched{ending}"
        open_filesystem(above, KEY).fetch(name, fetched)
        return _open_file(fetched, name, above)
    if is_image(name):
        return _of_paths([clean_name(name)], [url])
    if glob.has_magic(name):
        raise ConfigError(f"{KEY}: '{public_url(url)}': a URL takes no * or ?. Give the folder, or a .txt that lists the images.")
    filesystem = open_filesystem(url, KEY)
    names = sorted(filesystem.tree())
    wanted = [name for name in names if is_image(name)]
    return NewImages([clean_name(name) for name in wanted], lambda index: _fetched(filesystem, wanted[index]), len(names) - len(wanted))


def _fetched(filesystem: Filesystem, name: str) -> bytes:
    try:
        data = filesystem.read(name, 0, MAX_BYTES + 1)
    except DataError as error:
        raise BadImageError(str(error)) from None
    return checked_bytes(len(data), lambda: data)


def _of_files(files: Files) -> NewImages:
    """Returns the images of a folder or zip; those whose names point outside of it are listed, and never read."""
    wanted = [index for index, name in enumerate(files.names) if is_image(name)]
    outside = [name for name in files.unsafe if is_image(name)]

    def read(index: int) -> bytes:
        if index >= len(wanted):
            raise BadImageError("points outside of the zip; not read")
        return files.read(wanted[index])

    return NewImages([files.names[index] for index in wanted] + outside, read, len(files.names) - len(wanted))


def _of_list(path: Path, folder: str) -> NewImages:
    """Returns the images that a text lists, a path (below the list's own folder, or whole) or URL a line; a list from a URL names no local file."""
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{KEY}: the list '{path}' cannot be read as text in UTF-8: {error}.") from None
    lines = [line for line in lines if line]
    remote = scheme_of(folder) != ""

    def whole(line: str) -> str:
        if scheme_of(line) not in (("", "file") if remote else ("",)):
            return line
        return f"{folder}/{line}" if remote else str(Path(folder) / line)

    return _of_paths([clean_name(public_url(line)) for line in lines], [whole(line) for line in lines])


def _of_paths(names: Sequence[str], paths: Sequence[str]) -> NewImages:
    """Returns images at paths and URLs, whatever their endings."""
    # Of many images in one folder behind a URL, the folder is opened once.
    folder = cache(lambda url: open_filesystem(url, KEY))

    def read(index: int) -> bytes:
        if scheme_of(paths[index]) in ("", "file"):
            return read_image_file(local_path(paths[index]))
        above, _, name = paths[index].rpartition("/")
        try:
            return _fetched(folder(above), name)
        except (ConfigError, DataError) as error:
            raise BadImageError(str(error)) from None

    return NewImages(names, read)


def _joined(given: Sequence[str], parts: Sequence[NewImages]) -> NewImages:
    """Returns the images of several sources as one; an image goes by its source's name and its own, a single file by its source's."""
    names, places = [], []
    for one, part in zip(given, parts, strict=True):
        own = one.rpartition("/")[2]
        names += [one if list(part.names) == [own] else f"{one.rstrip('/')}/{name}" for name in part.names]
        places += [(part, index) for index in range(len(part.names))]

    def read(index: int) -> bytes:
        part, own = places[index]
        return part.read(own)

    return NewImages(names, read, sum(part.ignored for part in parts))
