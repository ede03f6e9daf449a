"""Weights files: which layers are in them, under names that stay the same when a model is built again.

Keras numbers the layers that were given no name (conv2d_5) through a whole session, so the same model gets other names the next time it
is built. Here such a layer is named by its kind and its order among the layers of its kind. Given names are kept.
"""

import re
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import h5py  # type: ignore[import-untyped]
    import keras

ENDINGS = (".weights.h5", ".keras", ".h5")
NUMBER = re.compile(r"_(\d+)$")
# Groups of a whole model's file that are no layers.
NOT_LAYERS = ("optimizer", "metrics", "compile_metrics", "seed_generator")


class WeightsFileError(Exception):
    """The file is damaged or holds no weights; the text says why."""


@dataclass(frozen=True)
class StoredLayer:
    """The weights of one layer in a file.

    Attributes:
        labels: the layer's name, after the names of the models and layers that contain it.
        plain: the same with kinds and orders instead of given names.
        kind: kind of a layer without a given name, such as "conv2d", and its order among all of that kind; None for the others.
        paths: of the weights in the file.
        shapes: of the weights.
    """

    labels: tuple[str, ...]
    plain: tuple[str, ...]
    kind: tuple[str, int] | None
    paths: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]

    @property
    def name(self) -> str:
        """The full name, such as "backbone/conv1"."""
        return "/".join(self.labels)


@dataclass(frozen=True)
class _Found:
    """A layer as a file has it.

    Attributes:
        places: the groups that lead to it, from the outermost model or layer inwards; each is a kind and order, or the attribute that
            holds the layer.
        names: the name of each of these, made by Keras or given; None where the file does not say.
        paths: see StoredLayer.
        shapes: see StoredLayer.
    """

    places: tuple[str, ...]
    names: tuple[str | None, ...]
    paths: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]


@contextmanager
def open_weights(path: Path) -> Iterator["h5py.File"]:
    """Opens the weights in a .weights.h5, .keras or older .h5 file; nothing else of the file is read.

    Raises:
        WeightsFileError: it is damaged, or no such file.
    """
    import h5py

    with tempfile.TemporaryDirectory() as folder:
        try:
            if path.name.endswith(".keras"):
                with zipfile.ZipFile(path) as archive:
                    path = Path(archive.extract("model.weights.h5", folder))
            file = h5py.File(path, "r")
        except (OSError, zipfile.BadZipFile, KeyError, EOFError) as error:
            raise WeightsFileError(" ".join(str(error).split()) or type(error).__name__) from None
        with file:
            try:
                yield file
            except (ArithmeticError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError) as error:
                # What h5py raises of a file whose head is whole and whose inside is not.
                raise WeightsFileError(" ".join(str(error).split()) or type(error).__name__) from None


def stored_layers(file: "h5py.File", model: "keras.Model") -> list[StoredLayer]:
    """Returns the layers with weights in an open file.

    Args:
        file: as `open_weights` gives it.
        model: its own kinds of layers are recognized beside those of Keras.
    """
    kinds = _kinds(model)
    older = file.get("model_weights", file)
    found = list(_older_layers(older, kinds)) if _texts(older, "layer_names") else list(_layers(file, "", (), ()))
    # In natural order: conv2d_10 comes after conv2d_9.
    found.sort(key=lambda one: [int(part) if odd % 2 else part for odd, part in enumerate(re.split(r"(\d+)", "/".join(one.places)))])
    labels = _without_shared(
        [
            tuple(place if name is None or _kind(name, kinds) else name for place, name in zip(one.places, one.names, strict=True))
            for one in found
        ]
    )
    plain = _without_shared([one.places for one in found])
    ranks = _ranks([one.names[-1] or one.places[-1] for one in found], kinds)
    return [
        StoredLayer(label, place, rank, one.paths, one.shapes) for one, label, place, rank in zip(found, labels, plain, ranks, strict=True)
    ]


def _layers(group: "h5py.Group", path: str, places: tuple[str, ...], names: tuple[str | None, ...]) -> Iterator[_Found]:
    """Finds the layers of a file of Keras 3: a layer's weights are vars/0, vars/1 ..., its name is an attribute of vars."""
    own = _member(group, "vars")
    if own is not None and places:
        names = (*names[:-1], _text(own.attrs.get("name")))
        numbers = {name: _member(own, name) for name in sorted(own, key=lambda name: (len(name), name))}
        if numbers:
            paths = tuple(f"{path}vars/{name}" for name in numbers)
            yield _Found(places, names, paths, tuple(_shape(item, paths[0]) for item in numbers.values()))
    for place in group:
        inner = _member(group, place)
        if place == "vars" or place in NOT_LAYERS or inner is None or not hasattr(inner, "keys"):
            continue
        # The list in which a model keeps its layers is no layer.
        step = () if place == "layers" else (place,)
        yield from _layers(inner, f"{path}{place}/", (*places, *step), (*names, *(None for _ in step)))


def _older_layers(group: "h5py.Group", kinds: set[str]) -> Iterator[_Found]:
    """Finds the layers of a file of Keras 2: attributes hold the names of the layers and of their weights."""
    weights: dict[tuple[str, ...], list[str]] = {}
    for layer in _texts(group, "layer_names"):
        inner = _member(group, layer)
        for name in _texts(inner, "weight_names") if inner is not None else []:
            weights.setdefault(tuple(name.split("/")[:-1]) or (layer,), []).append(f"{group.name.strip('/')}/{layer}/{name}".lstrip("/"))
    nested = list(dict.fromkeys(parts[:depth] for parts in weights for depth in range(1, len(parts) + 1)))
    places: dict[tuple[str, ...], str] = {}
    for around in {parts[:-1] for parts in nested}:
        inside = [parts for parts in nested if parts[:-1] == around]
        for parts, rank in zip(inside, _ranks([parts[-1] for parts in inside], kinds), strict=True):
            places[parts] = parts[-1] if rank is None else rank[0] + (f"_{rank[1]}" if rank[1] else "")
    for parts, paths in weights.items():
        here: tuple[str, ...] = tuple(places[parts[:depth]] for depth in range(1, len(parts) + 1))
        yield _Found(here, parts, tuple(paths), tuple(_shape(group.file.get(path), path) for path in paths))


def _member(group: "h5py.Group", name: str) -> Any:
    """Returns a member of a group; None if it is missing or a link, which may lead to another file."""
    import h5py

    return group[name] if isinstance(group.get(name, getlink=True), h5py.HardLink) else None


def _shape(dataset: Any, path: str) -> tuple[int, ...]:
    import h5py

    if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind not in "fiu" or dataset.external or dataset.is_virtual:
        raise WeightsFileError(f"'{path}' in it is no array of numbers")
    return tuple(dataset.shape)


def _text(value: Any) -> str | None:
    return value.decode(errors="replace") if isinstance(value, bytes) else value if isinstance(value, str) else None


def _texts(group: "h5py.Group", name: str) -> list[str]:
    """Returns an attribute that holds a list of texts; long lists are in pieces: name0, name1 ..."""
    pieces = [group.attrs[name]] if name in group.attrs else []
    while f"{name}{len(pieces)}" in group.attrs:
        pieces.append(group.attrs[f"{name}{len(pieces)}"])
    return [text for piece in pieces for item in piece if (text := _text(item)) is not None]


def _kinds(model: "keras.Model") -> set[str]:
    """Returns the names, without numbers, that Keras makes for its own kinds of layers and for those in the model."""
    import keras

    classes = {item for item in vars(keras.layers).values() if isinstance(item, type)} | {type(layer) for layer in model._flatten_layers()}
    names = (re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", item.__name__) for item in classes)
    return {re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower() for name in names} | {"functional", "sequential"}


def _kind(name: str, kinds: set[str]) -> str | None:
    """Returns the kind in a name that Keras made; None for a given name."""
    base = NUMBER.sub("", name)
    return base if base in kinds else None


def _ranks(names: list[str], kinds: set[str]) -> list[tuple[str, int] | None]:
    """Returns for each name that Keras made its kind and its order by number among those of its kind; None for given names."""
    seen: dict[str, list[tuple[int, int]]] = {}
    for row, name in enumerate(names):
        number = NUMBER.search(name)
        seen.setdefault(_kind(name, kinds) or "", []).append((int(number[1]) if number else 0, row))
    found: list[tuple[str, int] | None] = [None] * len(names)
    for kind, rows in seen.items():
        for rank, (_, row) in enumerate(sorted(rows)):
            found[row] = (kind, rank) if kind else None
    return found


def _without_shared(names: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Removes the names of models that contain all layers, such as one that prepares raw images for the trained model."""
    while names and all(len(name) > 1 and name[0] == names[0][0] for name in names):
        names = [name[1:] for name in names]
    return names
