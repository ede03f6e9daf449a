"""The pixel cache of a sharded set: training cells are streamed; subsets that are read after every epoch are copied out once."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from filelock import FileLock

from malaria_exp.data.cache_folders import IMAGES, is_whole, lock_path, new_cache_folder, write_marker
from malaria_exp.data.cell_table import BadImageError
from malaria_exp.data.pixel_cache import MappedPixelCache
from malaria_exp.data.resize import ResizeRule
from malaria_exp.data.shards.format import ShardSet
from malaria_exp.utils.atomic_files import human_bytes
from malaria_exp.utils.errors import DataError, cannot_write, listing
from malaria_exp.utils.filesystems import Filesystem
from malaria_exp.utils.progress_bars import track
from malaria_exp.utils.tensorflow_setup import load_tensorflow
from malaria_exp.utils.terminal_log import log

if TYPE_CHECKING:
    import tensorflow as tf

# Records that are parsed in one call: enough to make the calls cheap, few enough to stay in the processor's cache.
CHUNK = 256
# Bytes that tf.data reads ahead of each open shard.
READ_AHEAD = 4 * 2**20
COPY_READERS = 4


def damaged_error(filesystem: Filesystem, lines: list[str]) -> DataError:
    """Returns the error that names damaged files of a set."""
    return DataError(
        f"'{filesystem.url}': {len(lines)} damaged files:\n{listing(lines)}\nFetch them again, or write them again: the command of"
        " task=prepare that wrote the set keeps the good ones. Copies in the cache folder go with task=clean_cache."
    )


class SetOfShards(Protocol):
    """The cells of a sharded set, read one by one; see `malaria_exp.data.shards.cells.ShardCells`."""

    filesystem: Filesystem
    set: ShardSet
    first: np.ndarray
    window: int

    def take(self, records: np.ndarray) -> np.ndarray:
        """Returns the images of these records, uint8 (len(records), size, size, 3)."""
        ...

    def damage(self, filesystem: Filesystem | None = None) -> list[str]:
        """Returns a line for each shard that is not the one that was written."""
        ...


@dataclass(frozen=True, eq=False)
class ShardCache:
    """The images of a table, in shards.

    Attributes:
        cells: the set.
        root: the cache folder.
        filesystem: where tf.data reads the shards: where the set lies, or where they were fetched to.
        rows: int64 (N,), number of the record for each row of the table.
        bad: always empty: bad images never get into shards.
        pixels: always None: images are in shards at one size only.
    """

    cells: SetOfShards
    root: Path
    filesystem: Filesystem
    rows: np.ndarray
    bad: dict[int, str] = field(default_factory=dict)
    pixels: None = None

    @property
    def rule(self) -> ResizeRule:
        """How the images were resized."""
        return self.cells.set.rule

    @property
    def files(self) -> list[str]:
        """The shards' TFRecord files, as tf.data reads them."""
        return [f"{self.filesystem.url}/{shard.records}" for shard in self.cells.set.shards]

    def take(self, index: np.ndarray) -> np.ndarray:
        """Returns the images of these table rows, uint8 (len(index), size, size, 3), read one by one."""
        try:
            return self.cells.take(self.rows[index])
        except BadImageError as error:
            raise DataError(f"dataset.path: a cell is {error}.") from None

    def select(self, rows: np.ndarray) -> "ShardCache":
        """Returns the pixel cache of `table.select(rows)`."""
        return replace(self, rows=self.rows[rows])

    def copy_out(self, rows: np.ndarray, what: str) -> MappedPixelCache:
        """Returns a pixel cache of these table rows alone, memory-mapped in the cache folder; other rows cannot be taken from it.

        The first call reads all shards once and holds no more than a few chunks of them in memory; later calls, of later runs
        too, find the copy.

        Args:
            rows: int64 (n,), rows of the table, ascending.
            what: their name, for messages.

        Raises:
            DataError: a shard is damaged, or the cache folder cannot be written.
        """
        records = self.rows[rows]
        ordered, size = np.sort(records), self.rule.size
        key = hashlib.sha256(f"{self.cells.set.identity}\n{self.rule}\n".encode() + ordered.astype("<i8").tobytes()).hexdigest()
        folder = self.root / f"{self.cells.set.plan.dataset}-{size}px-{key[:20]}"
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with FileLock(lock_path(folder)):
                images = _load_copy(folder, len(records), self.rule)
                if images is None:
                    self._copy(ordered, folder, what)
                    images = np.load(folder / IMAGES, mmap_mode="r", allow_pickle=False)
        except OSError as error:
            raise cannot_write(
                error, f"cache.root: cannot write the {what} cells to '{self.root}': {error}. Choose another folder: cache.root=..."
            ) from None
        places = np.full(len(self.rows), -1, np.int64)
        places[rows] = np.searchsorted(ordered, records)
        return MappedPixelCache(folder, self.rule, images, places)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """While tf.data reads the shards: its errors become a DataError that names the damaged ones."""
        import tensorflow as tf

        try:
            yield
        except (tf.errors.DataLossError, tf.errors.NotFoundError, tf.errors.InvalidArgumentError) as error:
            lines = self.cells.damage(self.filesystem)
            if not lines:
                raise
            raise damaged_error(self.filesystem, lines) from error

    def _copy(self, records: np.ndarray, folder: Path, what: str) -> None:
        """Streams the records (ascending) into a new pixel cache folder; called under its lock."""
        shape = (len(records), self.rule.size, self.rule.size, 3)
        with new_cache_folder(folder) as partial:
            # Written, not mapped: mapped pages would count as this process's memory until the disk has them.
            with (partial / IMAGES).open("wb") as file:
                np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
                start, each = file.tell(), shape[1] * shape[2] * 3
                written = 0
                for position, images in self._wanted(records, what):
                    file.seek(start + position * each)
                    file.write(images.tobytes())
                    written += len(images)
                file.flush()
                os.fsync(file.fileno())
            if written != len(records):
                raise DataError(f"'{self.cells.filesystem.url}': {written:,} of {len(records):,} {what} cells were found in the shards.")
            write_marker(partial, len(records), 0, self.rule)
        log.info(f"cache     copied {len(records):,} {what} cells, {human_bytes(len(records) * each)}, to {folder}")

    def _wanted(self, records: np.ndarray, what: str) -> Iterator[tuple[int, np.ndarray]]:
        """Yields the images of the records (ascending) in runs, each with the position of its first image among them."""
        import tensorflow as tf

        load_tensorflow()
        wanted = np.zeros(int(self.cells.first[-1]), bool)
        wanted[records] = True
        mask = tf.constant(wanted)
        shards = np.unique(np.searchsorted(self.cells.first, records, side="right") - 1)
        chunks = int(np.ceil(np.diff(self.cells.first)[shards] / CHUNK).sum())
        runs = tf.data.Dataset.from_tensor_slices(shards).interleave(
            lambda shard: self.read_shard(shard, mask), cycle_length=COPY_READERS, num_parallel_calls=COPY_READERS, deterministic=False
        )
        with self.reading():
            for numbers, images in track(runs.prefetch(COPY_READERS), f"copying the {what} cells", total=chunks):
                if len(numbers):
                    # Of a chunk's records all the wanted ones are there, so they are neighbors among the wanted ones too.
                    yield int(np.searchsorted(records, int(numbers[0]))), images.numpy()

    def read_shard(self, shard: "tf.Tensor", wanted: "tf.Tensor") -> "tf.data.Dataset":
        """Returns a shard's wanted cells in chunks: record numbers int64 (m,), images uint8 (m, size * size * 3).

        Other cells are dropped before they are parsed.

        Args:
            shard: its number, a scalar.
            wanted: bool, one for each record of the set.
        """
        import tensorflow as tf

        first = tf.constant(self.cells.first)
        begin, end = tf.gather(first, shard), tf.gather(first, shard + 1)
        pixels = self.rule.size * self.rule.size * 3

        def parse(number: "tf.Tensor", records: "tf.Tensor") -> tuple["tf.Tensor", "tf.Tensor"]:
            start = begin + number * CHUNK
            numbers = tf.range(start, start + tf.size(records, out_type=tf.int64))
            # Records beyond the table belong to no row.
            numbers = numbers[: tf.maximum(end - start, 0)]
            kept = tf.where(tf.gather(wanted, numbers))[:, 0]
            found = tf.io.parse_example(tf.gather(records, kept), {"image": tf.io.FixedLenFeature([], tf.string)})
            # From no strings, decode_raw makes an array without columns.
            images = tf.reshape(tf.io.decode_raw(found["image"], tf.uint8), (tf.size(kept), pixels))
            return tf.gather(numbers, kept), images

        files = tf.constant(self.files)
        return tf.data.TFRecordDataset(tf.gather(files, shard), buffer_size=READ_AHEAD).batch(CHUNK).enumerate().map(parse)


def _load_copy(folder: Path, count: int, rule: ResizeRule) -> np.ndarray | None:
    """Returns the images of a local copy, memory-mapped; None if there is none, or it is not whole."""
    if not is_whole(folder, count, 0, rule):
        return None
    images: np.ndarray = np.load(folder / IMAGES, mmap_mode="r", allow_pickle=False)
    return images
