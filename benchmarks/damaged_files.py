"""Damaged forms of a file, the same for the same number and seed: bytes changed, values replaced by hostile ones, other things in its place."""

import csv
import io
import itertools
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml

HOSTILE: tuple[Any, ...] = (
    *(None, True, -1, 0, 3, 0.5, 1e308, -1e308, 10**30, float("nan"), float("inf"), 99_999, [], {}, [[]], {"a": {"b": 1}}, ""),
    *(
        "../../../evil",
        "/tmp/evil",
        "x/../../y",
        "a\0b",
        "\u202e\x1b[31m",
        "${oc.env:HOME}",
        "cellnet",
        "os.system",
        "nan",
        "=1+1",
        "<script>",
    ),
    *("x" * 10_000, "1" * 5_000, [0] * 2_000, {f"k{i}": i for i in range(2_000)}, "C1_thinF", "test", "train", "done", "running"),
)


def damage(path: Path, to: Path, index: int, seed: int) -> str:
    """Writes a damaged form of a file, and returns in words how it was damaged.

    Args:
        path: the whole file.
        to: where the damaged form goes; nothing is there.
        index: of the damage.
        seed: of all random choices.
    """
    rng = np.random.default_rng([seed, index, *path.name.encode()])
    content = path.read_bytes()
    ways: list[Callable[[np.random.Generator, bytes], bytes]] = [BY_ENDING.get(path.suffix, _bytes), _bytes]
    # Three of four by what the file holds, one by its bytes; every twentieth is no file at all.
    if index % 20 == 19:
        return _no_file(rng, to)
    way = ways[index % 4 == 3]
    to.write_bytes(way(rng, content))
    return way.__name__.strip("_")


def _no_file(rng: np.random.Generator, to: Path) -> str:
    kind = ("missing", "folder", "pipe", "endless device", "link to itself")[rng.integers(5)]
    if kind == "folder":
        to.mkdir()
    elif kind == "pipe":
        os.mkfifo(to)
    elif kind == "endless device":
        to.symlink_to("/dev/zero")
    elif kind == "link to itself":
        to.symlink_to(to)
    return kind


def _bytes(rng: np.random.Generator, content: bytes) -> bytes:
    data = bytearray(content or b"\0")
    start, end = sorted(rng.integers(0, len(data) + 1, 2).tolist())
    kind = rng.integers(6)
    if kind == 0:
        for place in rng.integers(0, len(data), rng.integers(1, 20)).tolist():
            data[place] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        del data[start:]
    elif kind == 2:
        del data[start:end]
    elif kind == 3:
        data[start:end] = bytes(end - start)
    elif kind == 4:
        data[start:start] = data[start:end]
    else:
        data[start:start] = rng.bytes(int(rng.integers(1, 200)))
    return bytes(data)


def _hostile(rng: np.random.Generator) -> Any:
    return HOSTILE[rng.integers(len(HOSTILE))]


def _values(rng: np.random.Generator, content: Any) -> Any:
    """Changes a value, a key, or the length of a list somewhere in plain nested values."""
    places: list[tuple[Any, Any]] = []

    def find(value: Any) -> None:
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, item in items:
            places.append((value, key))
            find(item)

    find(content)
    for _ in range(int(rng.integers(1, 3))):
        around, key = places[rng.integers(len(places))]
        kind = rng.integers(5)
        if kind == 0 and isinstance(around, dict):
            around.pop(key, None)
        elif kind == 1 and isinstance(around, dict) and key in around:
            around[str(_hostile(rng))[:300]] = around.pop(key)
        elif isinstance(around, dict) or key < len(around):
            around[key] = _hostile(rng)
    return content


def _json(rng: np.random.Generator, content: bytes) -> bytes:
    return json.dumps(_values(rng, json.loads(content))).encode()


def _yaml(rng: np.random.Generator, content: bytes) -> bytes:
    kind = rng.integers(8)
    if kind == 0:
        keys = "abcdefghi"
        return (
            "a: &a [x]\n" + "".join(f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in itertools.pairwise(keys))
        ).encode()
    if kind == 1:
        return content + b"\nmore: !!python/object/apply:os.system [touch /tmp/evil]\n"
    return yaml.safe_dump(_values(rng, yaml.safe_load(content))).encode()


def _csv(rng: np.random.Generator, content: bytes) -> bytes:
    rows = list(csv.reader(io.StringIO(content.decode())))
    for _ in range(int(rng.integers(1, 4))):
        row = int(rng.integers(len(rows))) if rng.integers(3) else 0
        column = int(rng.integers(len(rows[0])))
        kind = rng.integers(6)
        if kind == 0:
            rows.insert(row, list(rows[row]))
        elif kind == 1 and len(rows) > 1:
            rows.pop(row)
        elif kind == 2:
            rows = [one[:column] + one[column + 1 :] for one in rows] if len(rows[0]) > 1 else rows
        elif kind == 3:
            rows = [[*one, one[column] if column < len(one) else ""] for one in rows]
        elif column < len(rows[row]):
            rows[row][column] = str(_hostile(rng))
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode(errors="replace")


def _zip(rng: np.random.Generator, content: bytes) -> bytes:
    """Damages one member and packs the others as they are, under hostile names at times."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = list(members)[rng.integers(len(members))]
    kind = rng.integers(4)
    if kind == 0:
        members[("../../evil", "/tmp/evil", name.upper())[rng.integers(3)]] = members.pop(name)
    elif name.endswith(".json"):
        members[name] = _json(rng, members[name])
    else:
        members[name] = _bytes(rng, members[name])
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED if rng.integers(2) else zipfile.ZIP_STORED) as archive:
        for one, data in members.items():
            archive.writestr(one, data)
    return packed.getvalue()


BY_ENDING: dict[str, Callable[[np.random.Generator, bytes], bytes]] = {
    ".json": _json,
    ".yaml": _yaml,
    ".csv": _csv,
    ".keras": _zip,
}
