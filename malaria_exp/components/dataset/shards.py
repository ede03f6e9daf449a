"""Sharded sets: what `task=prepare` wrote, streamed with flat memory however large it is."""

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
    """Cells in checksummed TFRecord shards, as task=prepare writes them: streamed, for sets that outgrow memory.

    The images stay in the shards. Training cells are streamed in windows of so many shards; a window is shuffled as a whole while the
    next one is read. Cells were dealt to shards at random when they were written, so each window is a random sample of all
    patients and classes: batches mix as under a full shuffle. The difference to one: in an epoch, cells of different windows never
    meet in a batch, and cells of one shard meet (shards / window) times as often; which shards share a window is drawn anew each epoch.

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
