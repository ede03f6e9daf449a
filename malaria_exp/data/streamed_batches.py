"""Training batches streamed from shards: flat memory, a stated shuffle, any step of any epoch as a starting point."""

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from malaria_exp.data.augmentation_chain import NO_AUGMENTATION, Chain
from malaria_exp.data.sampling import UNIFORM, EpochCells, Sampling
from malaria_exp.data.seeds import Position, more_columns, position, seed_words, starts, step_seed, steps_before, steps_in, to_unit, untuned
from malaria_exp.data.shards.shard_cache import ShardCache
from malaria_exp.data.subsets import Cells
from malaria_exp.utils.atomic_files import human_bytes
from malaria_exp.utils.errors import ConfigError
from malaria_exp.utils.terminal_log import log

if TYPE_CHECKING:
    import tensorflow as tf


class StreamedBatches:
    """Endless training batches read from shards; they depend on nothing but (seed, epoch, step), and the set's window.

    Each epoch reads the shards in a new random order, `window` shards at once. A window's training cells are shuffled as a
    whole and cut into batches, which may reach into the next window; while they are trained on, the next window is read. So
    memory holds about five windows (two, what reading one takes, and what malloc keeps), however large the set is.

    Cells were dealt to shards at random when they were written, so a window is a random sample of the set, and patients and classes mix
    in a batch as under a full shuffle. There are two differences to one: in an epoch, cells of different windows never meet in a batch
    (except in the batch that spans both), and cells of one shard meet (shards / window) times as often.

    For an epoch that does not hold all cells the shards are read all the same; the other cells are dropped before they are parsed.

    Attributes:
        cells: the training cells; their pixel cache is a ShardCache.
        batch_size: cells in a batch; all of them, if the subset is smaller than the batch asked for.
        epoch_cells: how often an epoch holds each cell in `shards`.
        length: of the run.
        shards: int64, numbers of the shards that are read.
        window: shards that are read at once.
    """

    def __init__(
        self,
        cells: Cells,
        *,
        batch_size: int,
        chain: Chain = NO_AUGMENTATION,
        seed: int,
        sampling: Sampling = UNIFORM,
        epochs: int = 0,
    ) -> None:
        if not isinstance(cells.pixel_cache, ShardCache):
            raise TypeError(f"Expected cells in shards. Received: {type(cells.pixel_cache).__name__}")
        self.cells, self.sampling, self.chain, self.seed = cells, sampling, chain, seed
        self.pixel_cache = cells.pixel_cache
        self.window = self.pixel_cache.cells.window
        self.batch_size = min(batch_size, len(cells))
        self.length = sampling.length(epochs, len(cells), chain.copies, self.batch_size)
        # The number of this worker, where there are several.
        self.worker: int | None = None
        size = self.pixel_cache.rule.size
        self.shape = (size, size, 3)
        # By record: its place among the training cells, or -1 where it is none.
        self._place = np.full(int(self.pixel_cache.cells.first[-1]), -1, np.int32)
        self._place[self.pixel_cache.rows[cells.rows]] = np.arange(len(cells))
        self._count = self._in_shards(self._place >= 0)
        self.shards = np.flatnonzero(self._count)
        self.epoch_cells = self._epoch_cells(np.full(len(cells), np.nan, np.float32))
        log.info(f"stream    {self.describe()}")

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in an epoch that holds all cells."""
        return self.length.steps_per_epoch

    def _in_shards(self, of_record: np.ndarray) -> np.ndarray:
        """Returns the sum over the records of each shard, int64 (shards,)."""
        return np.diff(np.concatenate([[0], np.cumsum(of_record)])[self.pixel_cache.cells.first])

    def _epoch_cells(self, losses: np.ndarray) -> EpochCells:
        shard = np.repeat(np.arange(len(self._count)), np.diff(self.pixel_cache.cells.first))
        own = self._place[np.isin(shard, self.shards) & (self._place >= 0)]
        least = -(-self.batch_size // self.chain.copies)
        whole = self.length.whole_epochs
        return EpochCells(self.sampling, np.sort(own), losses, seed=self.seed, whole_epochs=whole, least=least, stream=self.worker or 0)

    def describe(self) -> str:
        """Returns what is read, what it takes, and how good the shuffle is, in a line."""
        window = min(self.window, len(self.shards))
        held = int(self._count[self.shards].sum() / len(self.shards) * window) * int(np.prod(self.shape))
        shuffle = (
            f"each window is a random sample of the set; cells of one shard meet in a batch {len(self.shards) / window:.3g} times as often as"
            " under a full shuffle"
        )
        if window == len(self.shards):
            shuffle = "one window holds them all, so the shuffle is full"
        return f"{len(self.cells):,} cells from {len(self.shards)} shards, windows of {window} ({human_bytes(held)}; memory for about five): {shuffle}"

    def for_worker(self, index: int, count: int, batch_size: int) -> "StreamedBatches":
        """Returns the batches of one of several workers: every `count`-th shard, so that no cell goes to two of them.

        Every worker has the same number of steps in an epoch, that of the one with the fewest cells.

        Args:
            index: the worker's number, from 0.
            count: number of workers.
            batch_size: cells in a worker's batch.

        Raises:
            ConfigError: too few shards or cells for so many workers.
        """
        cells_of = [int(self._count[self.shards[worker::count]].sum()) * self.chain.copies for worker in range(count)]
        if min(cells_of) < batch_size:
            raise ConfigError(
                f"dataset: {len(self.shards)} shards give the {count} workers {min(cells_of):,} to {max(cells_of):,} training cells each;"
                f" expected at least a worker's batch of {batch_size}. Write more, smaller shards (task=prepare task.shard_mb=...) or use fewer workers."
            )
        own = copy.copy(self)
        own.shards, own.batch_size, own.worker = self.shards[index::count], batch_size, index if count > 1 else None
        length = self.sampling.length(self.length.epochs, min(cells_of) // self.chain.copies, self.chain.copies, batch_size)
        own.length = replace(length, batch_size=self.batch_size)
        # All workers know the losses of all cells.
        own.epoch_cells = own._epoch_cells(self.epoch_cells.losses)
        return own

    def distributed(
        self, strategy: "tf.distribute.Strategy", read: "Callable[[StreamedBatches], tf.data.Dataset]"
    ) -> "tf.distribute.DistributedDataset":
        """Returns the batches for a strategy's replicas.

        Each input pipeline (each host) reads shards of its own; its batches are then dealt out to its replicas. Together a step's
        batches hold `batch_size` cells, or a few less where that cannot be divided by the replicas. On one host they are the
        batches that a single device would get.

        Args:
            strategy: of the training.
            read: returns the pipeline of a host's batches.
        """
        import tensorflow as tf

        def pipeline(context: "tf.distribute.InputContext") -> "tf.data.Dataset":
            count = context.num_input_pipelines
            each = max(1, self.batch_size // context.num_replicas_in_sync)
            replicas = context.num_replicas_in_sync // count
            options = tf.data.Options()
            # The shards are dealt out already.
            options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
            worker = self.for_worker(context.input_pipeline_id, count, each * replicas)
            return read(worker).rebatch(each, drop_remainder=True).with_options(options)

        return strategy.distribute_datasets_from_function(pipeline)

    def reading(self) -> AbstractContextManager[None]:
        """Returns the context in which errors of reading shards become a DataError that names the damaged ones."""
        return self.pixel_cache.reading()

    def dataset(self, start_epoch: int = 0, start_step: int = 0) -> "tf.data.Dataset":
        """Returns the batches from a step of an epoch on; see Batches.

        The first batch takes the time of reading one window, wherever the start is.
        """
        return self._batches(starts(*position(self.length, start_epoch, start_step)), numbered=False)

    def epoch_under_way(self, at: Position) -> "tf.data.Dataset":
        """See Batches. Each epoch begins with the time of reading one window."""
        return self._batches(starts(at), numbered=True)

    def _batches(self, starts: "tf.data.Dataset", *, numbered: bool) -> "tf.data.Dataset":
        import tensorflow as tf

        base, length = seed_words(self.seed), self.length
        if self.worker is not None:
            # No epoch has such a number, so every worker has random numbers of its own, other than those of a single worker.
            base = tf.random.fold_in(base, np.iinfo(np.int32).max - self.worker)
        # Made outside of the pipeline: inside they would become constants of its graph, whose size is limited.
        place, labels = tf.constant(self._place), tf.constant(self.cells.labels[:, None], tf.float32)
        weights = None if self.sampling.weights is None else tf.constant(self.sampling.weights, tf.float32)

        def finish(
            epoch: "tf.Tensor", before: "tf.Tensor", copy: "tf.Tensor", images: "tf.Tensor", cells: "tf.Tensor"
        ) -> tuple["tf.Tensor", ...]:
            epoch, step, cells = epoch[0], before[0] // self.batch_size, tf.reshape(cells, (self.batch_size,))
            made = self.chain(
                to_unit(tf.reshape(images, (self.batch_size, *self.shape))),
                tf.gather(labels, cells),
                step_seed(base, epoch, step),
                step=steps_before(length, epoch) + step,
                copy=tf.reshape(copy, (self.batch_size,)),
                length=length,
            )
            return *made, *more_columns(weights, cells, numbered=numbered)

        windows = self._windows(base, starts).flat_map(lambda *window: self._read_window(place, *window)).prefetch(1)
        batches = windows.flat_map(self._parts).rebatch(self.batch_size, drop_remainder=True)
        return untuned(batches.map(finish, num_parallel_calls=2, deterministic=True).prefetch(2))

    def _windows(self, base: "tf.Tensor", starts: "tf.data.Dataset") -> "tf.data.Dataset":
        """Returns the windows, one after another from the one that holds an epoch's first step on.

        Of each: its shards, seed, the first and last cell to use, how many cells come before it in the epoch, how many different ones it
        has, the epoch, and how often that holds each record. An epoch's last window ends
        where its last whole batch does, so batches never reach into the next epoch.
        """
        import tensorflow as tf

        width = min(self.window, len(self.shards))
        number = -(-len(self.shards) // width)
        every = [tf.constant(column) for column in ((self._place >= 0).astype(np.int32), self._count, self._count)]

        def of_epoch(epoch: "tf.Tensor", first_step: "tf.Tensor") -> "tf.data.Dataset":
            seed = tf.random.fold_in(base, epoch)
            times, uses, distinct = every
            if self.sampling.choose is not None:
                chosen = tf.numpy_function(self._chosen, [epoch], [column.dtype for column in every], stateful=False)
                times, uses, distinct = (tf.ensure_shape(one, column.shape) for one, column in zip(chosen, every, strict=True))
            order = tf.random.experimental.stateless_shuffle(tf.constant(self.shards), seed=seed)
            # Filled up with -1, which stands for no shard and has no cells.
            order = tf.reshape(
                tf.concat([order, tf.fill((number * width - len(self.shards),), tf.constant(-1, tf.int64))], 0), (number, width)
            )
            uses, distinct = (
                tf.reduce_sum(tf.where(order >= 0, tf.gather(column, tf.maximum(order, 0)), 0), axis=1) for column in (uses, distinct)
            )
            counts = uses * self.chain.copies
            before = tf.cumsum(counts, exclusive=True)
            first = tf.clip_by_value(first_step * self.batch_size - before, 0, counts)
            last = tf.clip_by_value(steps_in(self.length, epoch) * self.batch_size - before, 0, counts)
            windows = tf.data.Dataset.from_tensor_slices((order, first, last, before, distinct)).enumerate()
            used = windows.filter(lambda _, window: window[1] < window[2])
            return used.map(lambda at, window: (window[0], tf.random.fold_in(tf.random.fold_in(seed, 0), at), *window[1:], epoch, times))

        return starts.flat_map(of_epoch)

    def _chosen(self, epoch: np.ndarray) -> tuple[np.ndarray, ...]:
        """Returns how often an epoch holds each record, int32; and for each shard how many cells that makes, and how many different ones, int64."""
        # The last stands for records that are no training cells.
        times = np.zeros(len(self.cells) + 1, np.int32)
        times[self.epoch_cells.candidates] = self.epoch_cells.times(int(epoch))
        of_record = times[self._place]
        return of_record, self._in_shards(of_record), self._in_shards(of_record > 0)

    def _read_window(
        self,
        place: "tf.Tensor",
        shards: "tf.Tensor",
        seed: "tf.Tensor",
        first: "tf.Tensor",
        last: "tf.Tensor",
        before: "tf.Tensor",
        total: "tf.Tensor",
        epoch: "tf.Tensor",
        times: "tf.Tensor",
    ) -> "tf.data.Dataset":
        """Returns one element, a window's training cells, read when it is asked for.

        It is built of operations without a state alone: any other (an assertion, a dataset reduced inside of a map) would make TensorFlow,
        which has to be repeatable, take the reading ahead out of the pipeline.

        Returns:
            For each use of a cell, in order, int64 (m,): the epoch, how many uses of it come before, which copy it is, and which cell of the
            window; of the window's cells images uint8 (n, size * size * 3), and their places among the training cells, int32 (n,).
        """
        import tensorflow as tf

        shards = tf.boolean_mask(shards, shards >= 0)
        width = min(self.window, len(self.shards))
        # In one order whatever thread is the fastest: the same seed gives the same batches.
        chunks = tf.data.Dataset.from_tensor_slices(shards).interleave(
            lambda shard: self.pixel_cache.read_shard(shard, times > 0), cycle_length=width, num_parallel_calls=width, deterministic=True
        )

        def shuffle(records: "tf.Tensor", images: "tf.Tensor") -> tuple["tf.Tensor", ...]:
            cell = tf.range(total)
            if self.sampling.choose is not None:
                cell = tf.repeat(cell, tf.gather(times, records))
            uses = tf.size(cell, tf.int64)
            order = tf.random.experimental.stateless_shuffle(tf.range(uses * self.chain.copies), seed=seed)[first:last]
            about = tf.fill(tf.shape(order), epoch), before + tf.range(first, last), order // uses, tf.gather(cell, order % uses)
            # Fails where cells are missing; sizes and checksums should have told before.
            return *about, tf.reshape(images, (total, int(np.prod(self.shape)))), tf.gather(place, records)

        return chunks.rebatch(total).map(shuffle)

    def _parts(
        self, epoch: "tf.Tensor", before: "tf.Tensor", copy: "tf.Tensor", cell: "tf.Tensor", *of_cells: "tf.Tensor"
    ) -> "tf.data.Dataset":
        """Cuts a window into batches, its last one perhaps smaller, without copying it as a whole."""
        import tensorflow as tf

        uses = tf.data.Dataset.from_tensor_slices((epoch, before, copy, cell)).batch(self.batch_size)
        return uses.map(lambda epoch, before, copy, cell: (epoch, before, copy, *(tf.gather(one, cell) for one in of_cells)))
