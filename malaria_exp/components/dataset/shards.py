"""Sharded datasets that `task=prepare` wrote: streamed with constant memory, whatever their size."""

from typing import Annotated

from malaria_exp.config.registry import register
from malaria_exp.config.validation import Pattern, PositiveInt
from malaria_exp.data.cell_table import CellTable
from malaria_exp.data.shards.cells import ShardCells, read_set, read_table
from malaria_exp.data.shards.shard_cache import damaged_error
from malaria_exp.utils.filesystems import open_filesystem
from malaria_exp.utils.terminal_log import log


@register("dataset", "shards")
def shards(
    *, path: Annotated[str, Pattern(r".+", "the folder or URL that task=prepare wrote")], window: PositiveInt = 8, verify: bool = False
) -> CellTable:
    """Cells in checksummed TFRecord shards, as task=prepare writes them: streamed, for datasets larger than the memory.

    The images stay in the shards. Training cells are streamed in windows of `window` shards; one window is shuffled while the next is
    read. task=prepare writes cells to shards in random order, so each window is a random sample of all patients and classes, and batches
    are mixed almost as in a full shuffle. The difference: in an epoch, cells of different windows are never in one batch, and cells of
    one shard are together (shards / window) times as often. Which shards form a window changes every epoch.

    Args:
        path: folder or URL: a local path, one of TensorFlow's file systems such as gs://, or one of fsspec's such as s3:// (those
            shards are fetched into the cache first, as tf.data cannot read them there).
        window: shards that are read at once and shuffled together; memory for about five windows is needed.
        verify: read all shards first and compare them with their SHA-256; sizes are always compared.

    Raises:
        DataError: no finished set, files that are missing or damaged.
        ConfigError: a URL that no installed package reads.
    """
    filesystem = open_filesystem(path, "dataset.path")
    found = read_set(filesystem)
    columns = read_table(filesystem, found)
    cells = ShardCells(filesystem, found, columns.pop("offset"), columns.pop("crc32"), window)
    if verify:
        damage = cells.damage()
        if damage:
            raise damaged_error(filesystem, damage)
        log.info(f"dataset   all {len(found.shards)} shards in '{filesystem.url}' are as they were written")
    return CellTable(name=found.plan.dataset, source=cells, notes=found.notes, **columns)  # type: ignore[arg-type]
