"""Reading a sharded set: its table, single cells, and what is wrong with damaged files."""

import hashlib
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from malaria_exp.data.cache_folders import MARKER as CACHE_MARKER
from malaria_exp.data.cache_folders import tag
from malaria_exp.data.cell_table import BadImageError
from malaria_exp.data.resize import ResizeRule
from malaria_exp.data.shards.format import MARKER, Shard, ShardSet, decode_image, read_sidecar, unframe
from malaria_exp.data.shards.shard_cache import ShardCache, damaged_error
from malaria_exp.utils.atomic_files import human_bytes, write_json
from malaria_exp.utils.errors import ConfigError, DataError, DiskFullError, cannot_write
from malaria_exp.utils.filesystem_kinds import REQUESTS, LocalFilesystem
from malaria_exp.utils.filesystems import Filesystem, local_copy, stored_sha256
from malaria_exp.utils.progress_bars import track
from malaria_exp.utils.terminal_log import log


def read_set(filesystem: Filesystem) -> ShardSet:
    """Reads a set's dataset.json and compares the sizes of all files with it.

    Raises:
        DataError: there is no finished set, or files are missing or of another size.
    """
    sizes = filesystem.sizes()
    if MARKER not in sizes:
        begun = any(name.startswith("cells-") for name in sizes)
        raise DataError(
            f"dataset.path: '{filesystem.url}' holds no finished set of shards: no {MARKER} in it."
            + (" Writing was cut off; the same command of task=prepare goes on where it stopped." if begun else "")
            + f" To write one: python run.py task=prepare task.to={filesystem.url} dataset=..."
        )
    found = ShardSet.from_json(filesystem.read(MARKER), f"{filesystem.url}/{MARKER}")
    wrong = [
        f"{item.records}: {_size(sizes.get(item.records))}, expected {item.bytes:,} bytes"
        for item in found.shards
        if sizes.get(item.records) != item.bytes
    ]
    wrong += [f"{item.table}: missing" for item in found.shards if item.table not in sizes]
    if wrong:
        raise damaged_error(filesystem, wrong)
    return found


def _size(size: int | None) -> str:
    return "missing" if size is None else f"{size:,} bytes"


def read_table(filesystem: Filesystem, found: ShardSet) -> dict[str, np.ndarray]:
    """Returns the columns of all shards, row by record, read side by side; a DataError if any CSV is not the one that was written."""

    def read(shard: Shard) -> dict[str, np.ndarray]:
        data = filesystem.read(shard.table)
        if hashlib.sha256(data).hexdigest() != shard.table_sha256:
            raise damaged_error(filesystem, [f"{shard.table}: its SHA-256 is not the one in {MARKER}"])
        return read_sidecar(data, f"{filesystem.url}/{shard.table}")

    with ThreadPoolExecutor(REQUESTS) as pool:
        parts = list(track(pool.map(read, found.shards), "reading the table", total=len(found.shards)))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


class ShardCells:
    """The cells of a sharded set; an ImageSource that opens a pixel cache of its own.

    Attributes:
        filesystem: the folder of the set.
        set: what its dataset.json says.
        first: int64 (shards + 1,), number of each shard's first record, and of all records.
        window: shards that are read at once.
    """

    def __init__(self, filesystem: Filesystem, found: ShardSet, offset: np.ndarray, crc32: np.ndarray, window: int) -> None:
        self.filesystem, self.set, self.window = filesystem, found, window
        self.first = np.concatenate([[0], np.cumsum([shard.cells for shard in found.shards])]).astype(np.int64)
        if len(offset) != self.first[-1]:
            raise damaged_error(filesystem, [f"{MARKER}: {self.first[-1]:,} cells, the shards' CSVs have {len(offset):,}"])
        self._offset, self._crc32 = offset, crc32

    def read(self, index: int) -> np.ndarray:
        """Returns cell `index`, RGB, uint8 (size, size, 3); safe in several threads."""
        return self.take(np.array([index]))[0]

    def take(self, records: np.ndarray) -> np.ndarray:
        """Returns the images of these records, uint8 (len(records), size, size, 3); neighbors are read together.

        Raises:
            BadImageError: a record is damaged.
            DataError: a shard cannot be read.
        """
        size = self.set.rule.size
        images = np.empty((len(records), size, size, 3), np.uint8)
        order = np.argsort(records, kind="stable")
        shard_of = np.searchsorted(self.first, records, side="right") - 1
        breaks = (np.diff(records[order]) > 1) | (np.diff(shard_of[order]) > 0)
        for run in np.split(order, np.flatnonzero(breaks) + 1):
            if not len(run):
                continue
            shard = int(shard_of[run[0]])
            start, stop = int(records[run[0]]), int(records[run[-1]]) + 1
            edges = self._edges(shard, start, stop)
            data = self.filesystem.read(self.set.shards[shard].records, int(edges[0]), int(edges[-1]))
            for position in run.tolist():
                at = int(records[position]) - start
                frame = data[edges[at] - edges[0] : edges[at + 1] - edges[0]]
                try:
                    images[position] = decode_image(unframe(frame, int(self._crc32[start + at])), size)
                except ValueError as error:
                    raise BadImageError(f"damaged in {self.filesystem.url}/{self.set.shards[shard].records}: {error}") from None
        return images

    def _edges(self, shard: int, start: int, stop: int) -> np.ndarray:
        """Returns the bytes at which the frames of records start to stop - 1 begin, and at which the last one ends."""
        end = self.set.shards[shard].bytes if stop == self.first[shard + 1] else self._offset[stop]
        return np.append(self._offset[start:stop], end)

    def damage(self, filesystem: Filesystem | None = None) -> list[str]:
        """Reads all shards and returns a line for each that is not the one that was written.

        Args:
            filesystem: where to read them; by default where the set lies.
        """
        where = filesystem or self.filesystem

        def look(shard: Shard) -> str | None:
            try:
                received = stored_sha256(where, shard.records, shard.bytes)
            except DataError as error:
                return str(error)
            return None if received == shard.sha256 else f"{shard.records}: its SHA-256 is {received}, expected {shard.sha256}"

        with ThreadPoolExecutor(4) as pool:
            return [line for line in track(pool.map(look, self.set.shards), "checking the shards", total=len(self.set.shards)) if line]

    def open_pixel_cache(self, rule: ResizeRule, root: Path) -> ShardCache:
        """Returns the pixel cache of the whole set; shards that tf.data cannot read where they are are fetched into the cache first.

        Args:
            rule: what the model needs.
            root: the cache folder.

        Raises:
            ConfigError: the set was written with another rule.
            DataError: a fetched shard is damaged, or the cache folder cannot be written.
        """
        own = self.set.rule
        if rule != own:
            raise ConfigError(
                f"dataset.path: the shards in '{self.filesystem.url}' hold images of {own.size} px, resized with '{own.mode}' (version {own.version});"
                f" the run needs {rule.size} px, '{rule.mode}' (version {rule.version}). Type {_what_to_type(own, rule)}, or write"
                f" shards of that size: python run.py task=prepare task.size={rule.size} cache.resize={rule.mode} task.to=... dataset=..."
            )
        filesystem = self.filesystem if self.filesystem.streams else LocalFilesystem(self._fetch(root))
        return ShardCache(self, root, filesystem, np.arange(self.first[-1]))

    def _fetch(self, root: Path) -> Path:
        folder = root / f"{self.set.plan.dataset}-shards-{self.set.identity[:20]}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # Written first, so that task=clean_cache also finds what a killed run has fetched.
            tag(folder)
            write_json(folder / CACHE_MARKER, {"shards_of": self.filesystem.url})
            have = {path.name: path.stat().st_size for path in folder.iterdir()}
            missing = [shard for shard in self.set.shards if have.get(shard.records) != shard.bytes]
            if missing:
                total = sum(shard.bytes for shard in missing)
                free = shutil.disk_usage(folder).free
                if total > free:
                    raise DiskFullError(
                        f"cache.root: tf.data cannot read '{self.filesystem.url}', so its shards are fetched to '{root}' first: {human_bytes(total)}"
                        f" are needed, {human_bytes(free)} are free. Choose another folder: cache.root=..."
                    )
                with ThreadPoolExecutor(4) as pool:
                    copies = pool.map(lambda shard: local_copy(self.filesystem, shard.records, folder, shard.sha256), missing)
                    for _ in track(copies, "fetching shards", total=len(missing)):
                        pass
                log.info(f"cache     fetched {len(missing)} shards, {human_bytes(total)}, to {folder} (task=clean_cache empties it)")
        except OSError as error:
            raise cannot_write(
                error, f"cache.root: cannot write the shards to '{root}': {error}. Choose another folder: cache.root=..."
            ) from None
        return folder


def _what_to_type(own: ResizeRule, rule: ResizeRule) -> str:
    typed = [f"model.image_size={own.size}"] * (own.size != rule.size) + [f"cache.resize={own.mode}"] * (own.mode != rule.mode)
    return " ".join(typed) or "the command with the version of this program that wrote them"
