"""Where the two classes lie in a tree of files: the known layouts of copies of the data.

Known forms: two class folders side by side, at any depth; the same once for each patient, some of whom may have one class only;
the same below train/ and test/ folders, or these below the class folders; a full copy nested deeper, which is not looked at; files
that carry their class in front of their name, in class folders or without any.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import NamedTuple

from malaria_exp.data.cell_table import CLASS_NAMES, BadImage
from malaria_exp.data.decode import SUFFIXES
from malaria_exp.data.readers.files import Files, is_image, split_ending
from malaria_exp.utils.errors import DataError, listing, nearest

# Folders with these names hold the parts of one divided set.
PART_NAMES = ("train", "training", "test", "testing", "val", "valid", "validation", "dev")
# Windows leaves these in folders.
LEFT_BY_WINDOWS = ("thumbs.db", "desktop.ini")


class Found(NamedTuple):
    """An image and its class: `number` is the file's, `name` its path below the class folder, without its ending."""

    number: int
    class_name: str
    name: str


class Layout(NamedTuple):
    """The images of the two classes, the files that should be images and cannot be used, and notes on what was ignored."""

    found: list[Found]
    bad: list[BadImage]
    notes: list[str]


class _Position(NamedTuple):
    """Where a file lies.

    Attributes:
        level: depth of its class folder, without the folder of a part, and whether there is a folder of a part.
        class_name: its class.
        name: path below the class folder, without the ending.
    """

    level: tuple[int, bool]
    class_name: str
    name: str


def find_cells(files: Files, class_of: Mapping[str, str], advice: str) -> Layout:
    """Finds the class folders and the images in them.

    The class folders of the uppermost level that has images of both classes count; those further down are copies. Those in train/, test/
    and the like come before those in other folders of the same depth.

    Args:
        files: the tree.
        class_of: class name by folder name in lower case; several folder names may stand for one class.
        advice: what to do if there are no class folders, a sentence for the message.

    Raises:
        DataError: there are no files, no level has both classes, or a class's folders hold no image.
    """
    check_any(files)
    positions = [_position(name, class_of) for name in files.names]
    levels: dict[tuple[int, bool], set[str]] = defaultdict(set)
    for name, position in zip(files.names, positions, strict=True):
        if position is not None and is_image(name):
            levels[position.level].add(position.class_name)
    present = {class_name for classes in levels.values() for class_name in classes}
    chosen = min((level for level, classes in levels.items() if classes == set(CLASS_NAMES)), default=None)
    here = {index: position for index, position in enumerate(positions) if position is not None and position.level == chosen}
    if here:
        found = [Found(index, position.class_name, position.name) for index, position in here.items() if is_image(files.names[index])]
    else:
        _check_not_empty(files, class_of, present)
        found = _by_prefix(files, class_of)
        if {item.class_name for item in found} != set(CLASS_NAMES):
            raise _no_classes(files, class_of, present, advice)
    notes = [*_elsewhere(files, {item.number for item in found}), *_no_images(files.names[index] for index in here)]
    return Layout(found, unsafe_files(files), notes)


def check_any(files: Files) -> None:
    """Raises a DataError if there are no files."""
    if not files.names:
        outside = f": its {len(files.unsafe):,} entries point outside of it, such as {files.unsafe[0]}" if files.unsafe else ""
        raise DataError(f"dataset.path: '{files.path}' holds no files{outside}.")


def unsafe_files(files: Files) -> list[BadImage]:
    """Returns the images that point outside of their zip, with the reason."""
    return [BadImage(name, "points outside of the zip; not read") for name in files.unsafe if is_image(name)]


def _by_prefix(files: Files, class_of: Mapping[str, str]) -> list[Found]:
    """Takes the class from the front of the files' names, as there are no class folders."""
    found = []
    for index, name in enumerate(files.names):
        class_name = class_prefix(PurePosixPath(name).stem, class_of)[0] if is_image(name) else None
        if class_name is not None:
            found.append(Found(index, class_name, split_ending(name)[0]))
    return found


def class_prefix(stem: str, class_of: Mapping[str, str]) -> tuple[str | None, str]:
    """Returns the class that a name carries in front, or None, and the name without it.

    Args:
        stem: a file's name without folder and ending, such as "ParasitizedC33P1thinF_IMG_...".
        class_of: class name by word in lower case.
    """
    for word in sorted(class_of, key=len, reverse=True):
        # "normal" is not in front of "normalized_1", nor "malaria" of "malarias1".
        match = re.match(rf"(?i:{re.escape(word)})(?:[ _.-]+(?=\w)|(?=[A-Z0-9]))", stem)
        if match:
            return class_of[word], stem[match.end() :]
    return None, stem


def _position(name: str, class_of: Mapping[str, str]) -> _Position | None:
    """Returns where a file lies, or None outside of class folders; of several in its path, the last one counts."""
    parts = name.split("/")
    for index in range(len(parts) - 2, -1, -1):
        class_name = class_of.get(parts[index].lower())
        if class_name:
            is_part = index > 0 and parts[index - 1].lower() in PART_NAMES
            return _Position((index - is_part, is_part), class_name, split_ending("/".join(parts[index + 1 :]))[0])
    return None


def _check_not_empty(files: Files, class_of: Mapping[str, str], present: set[str]) -> None:
    """Raises a DataError if there are folders of both classes, but no images in those of one or both."""
    folders = defaultdict(list)
    for folder in files.folders:
        class_name = class_of.get(PurePosixPath(folder).name.lower())
        if class_name:
            folders[class_name].append(folder)
    empty = [name for name in CLASS_NAMES if name not in present and folders[name]]
    if empty and set(folders) | present == set(CLASS_NAMES):
        named = "; ".join(f"{name}: {', '.join(folders[name][:3])}" for name in empty)
        raise DataError(
            f"dataset.path: in '{files.path}' the folder of a class holds no image ({named}). Image files end in {', '.join(SUFFIXES)}."
        )


def _elsewhere(files: Files, used: set[int]) -> list[str]:
    """Says which images were not looked at, as they lie elsewhere."""
    elsewhere = [name for index, name in enumerate(files.names) if index not in used and is_image(name)]
    if not elsewhere:
        return []
    folders = sorted({PurePosixPath(name).parent.as_posix() for name in elsewhere})
    shown = ", ".join(folders[:3]) + (" ..." if len(folders) > 3 else "")
    return [f"{len(elsewhere):,} images beside the two classes, or further down, were not looked at, in: {shown}"]


def _no_images(names: Iterable[str]) -> list[str]:
    """Says which files in the class folders were not looked at, as they do not end like images."""
    others = [name for name in names if not is_image(name) and name.rpartition("/")[2].lower() not in LEFT_BY_WINDOWS]
    if not others:
        return []
    endings = Counter(split_ending(name)[1].lower() or "none" for name in others)
    shown = ", ".join(f"{ending} ({count:,})" for ending, count in endings.most_common(5)) + (" ..." if len(endings) > 5 else "")
    return [f"{len(others):,} files in the class folders were not looked at, as they do not end like images: {shown}"]


def _no_classes(files: Files, class_of: Mapping[str, str], present: set[str], advice: str) -> DataError:
    folders = [folder for folder in files.folders if folder != "."]
    last = {PurePosixPath(folder).name for folder in folders}
    if len(present) == 1:
        missing = next(name for name in CLASS_NAMES if name not in present)
        found = f"only folders of the class {min(present)}, none of {missing}"
    elif present:
        found = "folders of the two classes at different depths only"
    else:
        found = "no folders of the two classes"
    others = sorted(name for name in last if name.lower() not in class_of)
    lacking = [word for word in class_of if class_of[word] not in present]
    guess = next((f" Does the folder '{name}' stand for '{word}'?" for word in lacking if (name := nearest(word, others))), "")
    if PurePosixPath(files.path).name.lower() in class_of:
        guess = " This is the folder of a single class: give the folder above it."
    shown = f" Its folders:\n{listing(folders)}\n" if folders else " It holds no folders. "
    return DataError(
        f"dataset.path: '{files.path}' has {found} (looked for, in any case of letters: {', '.join(class_of)}).{guess}{shown}{advice}"
    )
