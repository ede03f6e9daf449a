"""Where the two classes lie in a tree of files: the known layouts of copies of the data.

Known forms: two class folders side by side, at any depth; the same once for each patient, some of whom may have one class only;
the same below train/ and test/ folders, or these below the class folders; a full copy nested deeper, which is not looked at; files
that carry their class in front of their name, in class folders or without any.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from malaria_exp.data.cell_table import CLASS_NAMES, BadImage
from malaria_exp.data.decode import SUFFIXES
from malaria_exp.data.readers.class_words import class_prefix, class_word
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
    """Where the images of the classes lie.

    Attributes:
        found: the images.
        bad: files that should be images and cannot be used.
        notes: what was ignored, and what was taken together.
        beside: number of images in each folder that lies where a class folder would, and is none, by the folder's name.
    """

    found: list[Found]
    bad: list[BadImage]
    notes: list[str]
    beside: Mapping[str, int] = {}


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
    and the like come before those in other folders of the same depth. Where all images are of one class, that class is enough.

    Args:
        files: the tree.
        class_of: class name by folder name as `class_word` writes it; several folder names may stand for one class.
        advice: what to do if there are no class folders, a sentence for the message.

    Raises:
        DataError: there are no files, no level has both classes while there are other images, or a class's folders hold no image.
    """
    check_any(files)
    positions = [_position(name, class_of) for name in files.names]
    levels: dict[tuple[int, bool], set[str]] = defaultdict(set)
    for name, position in zip(files.names, positions, strict=True):
        if position is not None and is_image(name):
            levels[position.level].add(position.class_name)
    present = {class_name for classes in levels.values() for class_name in classes}
    chosen = min((level for level, classes in levels.items() if classes == set(CLASS_NAMES)), default=None)
    prefixed: list[Found] = []
    if chosen is None:
        _check_not_empty(files, class_of, present)
        prefixed = _by_prefix(files, class_of)
        both = {item.class_name for item in prefixed} == set(CLASS_NAMES)
        if not both and len(present) == 1 and not _beside(files, positions, min(levels)):
            chosen, prefixed = min(levels), []
        elif not both and (not prefixed or len(prefixed) < sum(map(is_image, files.names))):
            raise _no_classes(files, class_of, present, advice)
    here = {index: position for index, position in enumerate(positions) if position is not None and position.level == chosen}
    found = prefixed or [Found(index, item.class_name, item.name) for index, item in here.items() if is_image(files.names[index])]
    notes = [
        *_taken_together(files, found, here),
        *_elsewhere(files, {item.number for item in found}),
        *_no_images(files.names[index] for index in here),
    ]
    return Layout(found, unsafe_files(files), notes, {} if chosen is None else _beside(files, positions, chosen))


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


def _position(name: str, class_of: Mapping[str, str]) -> _Position | None:
    """Returns where a file lies, or None outside of class folders; of several in its path, the last one counts."""
    parts = name.split("/")
    for index in range(len(parts) - 2, -1, -1):
        class_name = class_of.get(class_word(parts[index]))
        if class_name:
            is_part = index > 0 and parts[index - 1].lower() in PART_NAMES
            return _Position((index - is_part, is_part), class_name, split_ending("/".join(parts[index + 1 :]))[0])
    return None


def _check_not_empty(files: Files, class_of: Mapping[str, str], present: set[str]) -> None:
    """Raises a DataError if there are folders of both classes, but no images in those of one or both."""
    folders = defaultdict(list)
    for folder in files.folders:
        class_name = class_of.get(class_word(PurePosixPath(folder).name))
        if class_name:
            folders[class_name].append(folder)
    empty = [name for name in CLASS_NAMES if name not in present and folders[name]]
    if empty and set(folders) | present == set(CLASS_NAMES):
        named = "; ".join(f"{name}: {', '.join(folders[name][:3])}" for name in empty)
        raise DataError(
            f"dataset.path: in '{files.path}' the folder of a class holds no image ({named}). Image files end in {', '.join(SUFFIXES)}."
        )


def _beside(files: Files, positions: Sequence[_Position | None], level: tuple[int, bool]) -> dict[str, int]:
    """Returns the number of images in each folder that lies where a class folder would, and is none, by the folder's name."""
    counts: Counter[str] = Counter()
    depth, in_part = level
    for name, position in zip(files.names, positions, strict=True):
        folders = name.split("/")[:-1]
        if in_part:
            folders = folders[:depth] + folders[depth + 1 :] if folders[depth : depth + 1] and folders[depth].lower() in PART_NAMES else []
        if position is None and len(folders) > depth and folders[depth].lower() not in PART_NAMES and is_image(name):
            counts[folders[depth]] += 1
    return dict(sorted(counts.items()))


def _taken_together(files: Files, found: list[Found], here: Mapping[int, _Position]) -> list[str]:
    """Says which folders are taken together: several that stand for one class, and sets that lie side by side."""
    words: dict[str, Counter[str]] = {name: Counter() for name in reversed(CLASS_NAMES)}
    sets: Counter[str] = Counter()
    for item in found:
        if item.number in here:
            (depth, in_part), _, _ = here[item.number]
            folders = files.names[item.number].split("/")
            words[item.class_name][folders[depth + in_part]] += 1
            sets["/".join(folders[:depth])] += 1
    notes = [
        f"{name} are the cells of the folders {_counted(folders)}"
        for name, folders in words.items()
        if len({class_word(folder) for folder in folders}) > 1
    ]
    if len(sets) > 1:
        notes.append(f"the class folders of {len(sets):,} folders are read as one set: {_counted(sets)}; for one of them, give its path")
    return notes


def _counted(names: Mapping[str, int]) -> str:
    """Returns the first names with their numbers of images: "ring (12), schizont (3)"."""
    return ", ".join(f"{name} ({count:,})" for name, count in sorted(names.items())[:8]) + (" ..." if len(names) > 8 else "")


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
    others = sorted(name for name in last if class_word(name) not in class_of)
    lacking = [word for word in class_of if class_of[word] not in present]
    guess = next((f" Does the folder '{name}' stand for '{word}'?" for word in lacking if (name := nearest(word, others))), "")
    if class_word(PurePosixPath(files.path).name) in class_of:
        guess = " This is the folder of a single class: give the folder above it."
    shown = f" Its folders:\n{listing(folders)}\n" if folders else " It holds no folders. "
    words = {name: [word for word in class_of if class_of[word] == name] for name in reversed(CLASS_NAMES)}
    looked_for = "; ".join(", ".join([*some[:8], "..."] if len(some) > 8 else some) for some in words.values())
    return DataError(f"dataset.path: '{files.path}' has {found} (looked for, in any case of letters: {looked_for}).{guess}{shown}{advice}")
