"""Which layer of a weights file belongs to which layer of a model."""

from collections.abc import Callable, Hashable, Iterable

from malaria_exp.runs.weights_file import StoredLayer


def pair_layers(layers: list[StoredLayer], given: list[StoredLayer]) -> list[tuple[StoredLayer, StoredLayer]]:
    """Returns (model's layer, file's layer) for each pair that belongs together, in the model's order; no layer is in two pairs.

    The ways of matching are tried in this order, the surest first:
    1. the same full name, kind and order;
    2. in a file without names, the same position;
    3. the same given name, inside more models or layers on one side than on the other;
    4. the same full name and shapes;
    5. the same kind, order and shapes;
    6. the same full name, whatever the shapes.

    Args:
        layers: of the model.
        given: of the file.
    """
    found: dict[int, StoredLayer] = {}
    taken: set[int] = set()

    def pair(key_of: Callable[[StoredLayer], Hashable], *, same_shape: bool = False) -> None:
        mine = _by_key((row, key_of(layer)) for row, layer in enumerate(layers) if row not in found)
        theirs = _by_key((row, key_of(layer)) for row, layer in enumerate(given) if row not in taken)
        for key in mine.keys() & theirs.keys():
            if same_shape and layers[mine[key]].shapes != given[theirs[key]].shapes:
                continue
            found[mine[key]] = given[theirs[key]]
            taken.add(theirs[key])

    def given_end(depth: int) -> Callable[[StoredLayer], Hashable]:
        return lambda layer: layer.labels[-depth:] if layer.kind is None and len(layer.labels) >= depth else None

    pair(lambda layer: (layer.labels, layer.kind))
    if all(layer.labels == layer.plain for layer in given):
        pair(lambda layer: layer.plain)
    for depth in range(max((len(layer.labels) for layer in [*layers, *given]), default=0), 0, -1):
        pair(given_end(depth))
    pair(lambda layer: layer.labels, same_shape=True)
    pair(lambda layer: layer.kind, same_shape=True)
    pair(lambda layer: layer.labels)
    return [(layers[row], found[row]) for row in sorted(found)]


def _by_key(items: Iterable[tuple[int, Hashable]]) -> dict[Hashable, int]:
    """Returns {key: row} of the keys that exactly one row has; None is no key."""
    rows: dict[Hashable, list[int]] = {}
    for row, key in items:
        rows.setdefault(key, []).append(row)
    return {key: found[0] for key, found in rows.items() if key is not None and len(found) == 1}
