"""The format of a sharded set: the names and contents of its files, and how they are written and read as bytes.

A set is a folder with, for each shard, a TFRecord file of cells and a CSV of their table rows, and dataset.json, which is written last:

    cells-00000-of-00058.tfrecord   tf.train.Example: image (raw RGB bytes, size x size x 3), label, cell_id, patient, slide, field, content
    cells-00000-of-00058.csv        a comment line with the plan and the shard's SHA-256, a header, a row a cell
    dataset.json                    counts, resize rule, class names, and each shard's cells, bytes and SHA-256
"""

import csv
import dataclasses
import hashlib
import io
import json
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from malaria_exp.data.cell_table import CLASS_NAMES, CellTable
from malaria_exp.data.resize import ResizeRule
from malaria_exp.utils.csv_files import from_cell, to_cell
from malaria_exp.utils.errors import DataError

FORMAT_VERSION = 1
MARKER = "dataset.json"
TEXT_COLUMNS = ("cell_id", "patient", "slide", "field", "content")
COLUMNS = ("cell_id", "label", "patient", "slide", "field", "content", "truth", "offset", "crc32")
# A TFRecord is length (8 bytes), its CRC (4), the data, its CRC (4).
HEAD, TAIL = 12, 4


@dataclass(frozen=True)
class Plan:
    """Everything that decides the bytes of a set; equal plans give equal files.

    Attributes:
        dataset: name of the dataset.
        data_hash: of its table.
        size: edge of the images in pixels.
        resize: "pad" or "stretch".
        resize_version: of the resize rule's definition.
        seed: of the order in which the cells are dealt to shards.
        shards: number of shards.
        format_version: of the files.
    """

    dataset: str
    data_hash: str
    size: int
    resize: str
    resize_version: int
    seed: int
    shards: int
    format_version: int = FORMAT_VERSION

    def to_dict(self) -> dict[str, Any]:
        """Returns the plan as plain values."""
        return dataclasses.asdict(self)

    def differences(self, other: dict[str, Any]) -> list[str]:
        """Returns what another plan says differently, for messages."""
        # Of a hash the beginning is enough.
        return [
            f"{key} {str(other.get(key))[:20]} there, {str(value)[:20]} here"
            for key, value in self.to_dict().items()
            if other.get(key) != value
        ]

    def shard_name(self, shard: int) -> str:
        """Returns the name of a shard's files without their ending."""
        return f"cells-{shard:05d}-of-{self.shards:05d}"


@dataclass(frozen=True)
class Shard:
    """A written shard.

    Attributes:
        name: of its files, without their ending.
        cells: number of its records.
        bytes: size of the TFRecord file.
        sha256: of the TFRecord file.
        table_sha256: of the CSV.
    """

    name: str
    cells: int
    bytes: int
    sha256: str
    table_sha256: str

    @property
    def records(self) -> str:
        """Name of the TFRecord file."""
        return f"{self.name}.tfrecord"

    @property
    def table(self) -> str:
        """Name of the CSV."""
        return f"{self.name}.csv"


@dataclass(frozen=True)
class ShardSet:
    """What dataset.json says.

    Attributes:
        plan: how the set was made.
        data_hash: of the cells in it; the plan's, unless bad images were excluded.
        shards: in order.
        notes: what a reader of a report on this data should know.
    """

    plan: Plan
    data_hash: str
    shards: tuple[Shard, ...]
    notes: tuple[str, ...] = ()

    @property
    def rule(self) -> ResizeRule:
        """How the images were resized."""
        return ResizeRule(self.plan.size, self.plan.resize, self.plan.resize_version)  # type: ignore[arg-type]

    @property
    def identity(self) -> str:
        """SHA-256 over the shards' own: sets with equal pixels in equal order are equal."""
        return hashlib.sha256("\n".join(shard.sha256 for shard in self.shards).encode()).hexdigest()

    def to_json(self) -> bytes:
        """Returns the bytes of dataset.json."""
        values = {
            "plan": self.plan.to_dict(),
            "data_hash": self.data_hash,
            "class_names": list(CLASS_NAMES),
            "cells": sum(shard.cells for shard in self.shards),
            "bytes": sum(shard.bytes for shard in self.shards),
            "notes": list(self.notes),
            "shards": [dataclasses.asdict(shard) for shard in self.shards],
        }
        return (json.dumps(values, indent=1) + "\n").encode()

    @classmethod
    def from_json(cls, data: bytes, where: str) -> "ShardSet":
        """Reads dataset.json; a DataError if it is damaged or of another version."""
        try:
            values = json.loads(data)
            version = values["plan"]["format_version"]
            if version != FORMAT_VERSION:
                raise DataError(
                    f"{where}: format version {version}, this program reads {FORMAT_VERSION}. Write it again with task=prepare."
                )
            if values["class_names"] != list(CLASS_NAMES):
                raise DataError(f"{where}: classes {values['class_names']}, expected {list(CLASS_NAMES)}.")
            shards = tuple(Shard(**item) for item in values["shards"])
            found = cls(Plan(**values["plan"]), str(values["data_hash"]), shards, tuple(map(str, values["notes"])))
            if sum(shard.cells for shard in shards) != values["cells"]:
                raise ValueError("counts do not add up")
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{where}: is damaged: {error}. Write the set again with task=prepare.") from None
        return found


def encode_cell(image: np.ndarray, table: CellTable, row: int) -> bytes:
    """Returns a cell's serialized tf.train.Example; equal cells give equal bytes."""
    import tensorflow as tf

    def text(value: str) -> "tf.train.Feature":
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.encode()]))

    feature = {name: text(str(getattr(table, name)[row])) for name in TEXT_COLUMNS}
    feature["image"] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[image.tobytes()]))
    feature["label"] = tf.train.Feature(int64_list=tf.train.Int64List(value=[int(table.label[row])]))
    record: bytes = tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString(deterministic=True)
    return record


def decode_image(record: bytes, size: int) -> np.ndarray:
    """Returns the image of one serialized cell, uint8 (size, size, 3); a ValueError if there is none of this size."""
    import tensorflow as tf

    try:
        image = tf.train.Example.FromString(record).features.feature["image"].bytes_list.value[0]
    except Exception as error:  # noqa: BLE001 - protobuf's implementations raise errors of their own
        raise ValueError(f"no cell: {error}") from None
    return np.frombuffer(image, np.uint8).reshape(size, size, 3)


def unframe(data: bytes, crc32: int) -> bytes:
    """Returns the record of a TFRecord frame (length, CRC, record, CRC); a ValueError if its length or CRC-32 is not the sidecar's."""
    record = data[HEAD:-TAIL]
    if len(data) < HEAD + TAIL or struct.unpack_from("<Q", data)[0] != len(record) or zlib.crc32(record) != crc32:
        raise ValueError("its checksum does not hold")
    return record


def write_sidecar(plan: Plan, table: CellTable, rows: Sequence[int], offsets: Sequence[int], crcs: Sequence[int], sha256: str) -> bytes:
    """Returns the bytes of a shard's CSV: the table's rows, in the order of the records.

    Args:
        plan: of the set.
        table: the cells.
        rows: row of the table for each record.
        offsets: byte at which each record's frame starts, and the file's size.
        crcs: CRC-32 (zlib's) of each record.
        sha256: of the TFRecord file.
    """
    text = io.StringIO()
    text.write(f"# {json.dumps({'plan': plan.to_dict(), 'bytes': offsets[-1], 'sha256': sha256})}\n")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    index = np.asarray(rows, dtype=np.int64)
    names = np.array(CLASS_NAMES)
    columns = {name: list(map(to_cell, getattr(table, name)[index].tolist())) for name in TEXT_COLUMNS}
    columns["label"] = names[table.label[index]].tolist()
    columns["truth"] = [""] * len(index) if table.truth is None else names[table.truth[index]].tolist()
    columns["offset"], columns["crc32"] = list(offsets[:-1]), list(crcs)
    writer.writerows(zip(*(columns[name] for name in COLUMNS), strict=True))
    return text.getvalue().encode()


def read_sidecar_head(data: bytes) -> dict[str, Any]:
    """Returns {plan, bytes, sha256} of a shard's CSV; nothing if it is damaged."""
    try:
        head = json.loads(data.partition(b"\n")[0].removeprefix(b"#"))
        return head if isinstance(head, dict) and {"plan", "bytes", "sha256"} <= set(head) else {}
    except ValueError:
        return {}


def read_sidecar(data: bytes, where: str) -> dict[str, np.ndarray]:
    """Returns the columns of a shard's CSV: text as str, label and truth as int8 (truth None-free or missing), offset and crc32.

    Raises:
        DataError: it is damaged.
    """
    try:
        rows = csv.reader(io.StringIO(data.decode().partition("\n")[2], newline=""), strict=True)
        if tuple(next(rows)) != COLUMNS:
            raise ValueError("other columns")
        texts = dict(zip(COLUMNS, zip(*rows, strict=True), strict=True))
        number_of = {name: number for number, name in enumerate(CLASS_NAMES)}
        columns = {name: np.array(list(map(from_cell, texts[name]))) for name in TEXT_COLUMNS}
        columns["label"] = np.array([number_of[name] for name in texts["label"]], np.int8)
        if any(texts["truth"]):
            columns["truth"] = np.array([number_of[name] for name in texts["truth"]], np.int8)
        columns["offset"] = np.array(texts["offset"], np.int64)
        columns["crc32"] = np.array(texts["crc32"], np.int64)
    except (ValueError, KeyError, StopIteration, csv.Error) as error:
        raise DataError(f"{where}: is damaged: {error}.") from None
    return columns
