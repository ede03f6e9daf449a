"""Training batches streamed from shards: flat memory, a stated shuffle, any step of any epoch as a starting point."""

import copy
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import numpy as np

from malaria_exp.config.durations import RunLength
from malaria_exp.data.augmentation_chain import NO_AUGMENTATION, Chain
from malaria_exp.data.seeds import position, seed_words, step_seed, to_unit, untuned
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

    Attributes:
        cells: the training cells; their pixel cache is a ShardCache.
        steps_per_epoch: whole batches in an epoch.
        batch_size: cells in a batch; all of them, if the subset is smaller than the batch asked for.
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
        weights: np.ndarray | None = None,
        epochs: int = 0,
    ) -> None:
        if not isinstance(cells.pixel_cache, ShardCache):
            raise TypeError(f"Expected cells in shards. Received: {type(cells.pixel_cache).__name__}")
        self.cells, self.chain, self.seed = cells, chain, seed
        self.pixel_cache = cells.pixel_cache
        self.window = self.pixel_cache.cells.window
        self.batch_size = min(batch_size, len(cells))
        self.steps_per_epoch = len(cells) * chain.copies // self.batch_size
        self.length = RunLength(epochs, self.steps_per_epoch, self.batch_size)
        # The number of this worker, where there are several.
        self.worker: int | None = None
        size = self.pixel_cache.rule.size
        self.shape = (size, size, 3)
        # By record: its label, or -1 where it is no training cell.
        self._label = np.full(int(self.pixel_cache.cells.first[-1]), -1, np.int8)
        self._label[self.pixel_cache.rows[cells.rows]] = cells.labels
        # By record too; weights are optional, and a batch of a run without them has no third part.
        self._weight = None
        if weights is not None:
            self._weight = np.zeros(len(self._label), np.float32)
            self._weight[self.pixel_cache.rows[cells.rows]] = weights
        wanted = np.concatenate([[0], np.cumsum(self._label >= 0)])
        self._count = np.diff(wanted[self.pixel_cache.cells.first])
        self.shards = np.flatnonzero(self._count)
        log.info(f"stream    {self.describe()}")

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
        own.shards, own.batch_size, own.steps_per_epoch = self.shards[index::count], batch_size, min(cells_of) // batch_size
        own.length = RunLength(self.length.epochs, own.steps_per_epoch, self.batch_size)
        own.worker = index if count > 1 else None
        return own

    def distributed(
        self, strategy: "tf.distribute.Strategy", start_epoch: int = 0, start_step: int = 0
    ) -> tuple["tf.distribute.DistributedDataset", int]:
        """Returns the batches for a strategy's replicas, and the steps in an epoch.

        Each input pipeline (each host) reads shards of its own; its batches are then dealt out to its replicas. Together a step's
        batches hold `batch_size` cells, or a few less where that cannot be divided by the replicas. On one host they are the
        batches that a single device would get.
        """
        import tensorflow as tf

        steps = []

        def pipeline(context: "tf.distribute.InputContext") -> "tf.data.Dataset":
            count = context.num_input_pipelines
            each = max(1, self.batch_size // context.num_replicas_in_sync)
            replicas = context.num_replicas_in_sync // count
            options = tf.data.Options()
            # The shards are dealt out already.
            options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
            worker = self.for_worker(context.input_pipeline_id, count, each * replicas)
            steps.append(worker.steps_per_epoch)
            return worker.dataset(start_epoch, start_step).rebatch(each, drop_remainder=True).with_options(options)

        return strategy.distribute_datasets_from_function(pipeline), steps[0]

    def reading(self) -> AbstractContextManager[None]:
        """Returns the context in which errors of reading shards become a DataError that names the damaged ones."""
        return self.pixel_cache.reading()

    def dataset(self, start_epoch: int = 0, start_step: int = 0) -> "tf.data.Dataset":
        """Returns the batches from a step of an epoch on; see Batches.

        The first batch takes the time of reading one window, wherever the start is.
        """
        import tensorflow as tf

        base = seed_words(self.seed)
        if self.worker is not None:
            # No epoch has such a number, so every worker has random numbers of its own, other than those of a single worker.
            base = tf.random.fold_in(base, np.iinfo(np.int32).max - self.worker)
        start_epoch, start_step = position(self, start_epoch, start_step)
        steps = tf.constant(self.steps_per_epoch, tf.int64)

        def finish(number: "tf.Tensor", batch: tuple["tf.Tensor", ...]) -> tuple["tf.Tensor", ...]:
            copy, images, labels, *weights = batch
            made = self.chain(
                to_unit(tf.reshape(images, (self.batch_size, *self.shape))),
                tf.cast(tf.reshape(labels, (self.batch_size, 1)), tf.float32),
                step_seed(base, number // steps, number % steps),
                step=number,
                copy=tf.reshape(copy, (self.batch_size,)),
                length=self.length,
            )
            return *made, *(tf.reshape(part, (self.batch_size,)) for part in weights)

        # Made outside of the pipeline: inside they would become constants of its graph, whose size is limited.
        known = [tf.constant(self._label)] + ([] if self._weight is None else [tf.constant(self._weight)])
        wanted = tf.constant(self._label >= 0)
        windows = (
            self._windows(base, start_epoch, start_step).flat_map(lambda *window: self._read_window(known, wanted, *window)).prefetch(1)
        )
        batches = windows.flat_map(self._parts).rebatch(self.batch_size, drop_remainder=True)
        numbered = batches.enumerate(start=start_epoch * self.steps_per_epoch + start_step)
        return untuned(numbered.map(finish, num_parallel_calls=2, deterministic=True).prefetch(2))

    def _windows(self, base: "tf.Tensor", start_epoch: int, start_step: int) -> "tf.data.Dataset":
        """Returns, window after window from the one that holds the given step: shards, seed, and the first and last cell to use.

        An epoch's last window ends where its last whole batch does, so batches never reach into the next epoch.
        """
        import tensorflow as tf

        width = min(self.window, len(self.shards))
        number = -(-len(self.shards) // width)
        count_of = tf.constant(self._count * self.chain.copies)
        in_epoch, skipped = self.steps_per_epoch * self.batch_size, start_step * self.batch_size

        def of_epoch(epoch: "tf.Tensor") -> "tf.data.Dataset":
            seed = tf.random.fold_in(base, epoch)
            order = tf.random.experimental.stateless_shuffle(tf.constant(self.shards), seed=seed)
            # Filled up with -1, which stands for no shard and has no cells.
            order = tf.reshape(
                tf.concat([order, tf.fill((number * width - len(self.shards),), tf.constant(-1, tf.int64))], 0), (number, width)
            )
            counts = tf.reduce_sum(tf.where(order >= 0, tf.gather(count_of, tf.maximum(order, 0)), 0), axis=1)
            begin = tf.cumsum(counts, exclusive=True)
            first = tf.clip_by_value(tf.where(epoch == start_epoch, tf.constant(skipped, tf.int64), 0) - begin, 0, counts)
            last = tf.clip_by_value(tf.constant(in_epoch, tf.int64) - begin, 0, counts)
            windows = tf.data.Dataset.from_tensor_slices((order, first, last)).enumerate()
            used = windows.filter(lambda _, window: window[1] < window[2])
            return used.map(lambda at, window: (window[0], tf.random.fold_in(tf.random.fold_in(seed, 0), at), window[1], window[2]))

        return tf.data.Dataset.range(start_epoch, np.iinfo(np.int64).max).flat_map(of_epoch)

    def _read_window(
        self, known: list["tf.Tensor"], wanted: "tf.Tensor", shards: "tf.Tensor", seed: "tf.Tensor", first: "tf.Tensor", last: "tf.Tensor"
    ) -> "tf.data.Dataset":
        """Returns one element, a window's training cells, read when it is asked for.

        It is built of operations without a state alone: any other (an assertion, a dataset reduced inside of a map) would make TensorFlow,
        which has to be repeatable, take the reading ahead out of the pipeline.

        Returns:
            The order in which the cells and their copies are used, int64 (m,), each place + n * copy; images uint8 (n, size * size * 3);
            and what is known of each cell by record: labels int8 (n,), perhaps weights float32 (n,).
        """
        import tensorflow as tf

        shards = tf.boolean_mask(shards, shards >= 0)
        total = tf.reduce_sum(tf.gather(tf.constant(self._count), shards))
        width = min(self.window, len(self.shards))
        # In one order whatever thread is the fastest: the same seed gives the same batches.
        chunks = tf.data.Dataset.from_tensor_slices(shards).interleave(
            lambda shard: self.pixel_cache.read_shard(shard, wanted), cycle_length=width, num_parallel_calls=width, deterministic=True
        )

        def shuffle(records: "tf.Tensor", images: "tf.Tensor") -> tuple["tf.Tensor", ...]:
            order = tf.random.experimental.stateless_shuffle(tf.range(total * self.chain.copies), seed=seed)[first:last]
            # Fails where cells are missing; sizes and checksums should have told before.
            return order, tf.reshape(images, (total, int(np.prod(self.shape)))), *(tf.gather(one, records) for one in known)

        return chunks.rebatch(total).map(shuffle)

    def _parts(self, order: "tf.Tensor", *of_cells: "tf.Tensor") -> "tf.data.Dataset":
        """Cuts a window into batches, its last one perhaps smaller, without copying it as a whole."""
        import tensorflow as tf

        cells = tf.data.Dataset.from_tensor_slices(order).batch(self.batch_size)
        total = tf.shape(of_cells[0], tf.int64)[0]
        return cells.map(lambda places: (places // total, *(tf.gather(one, places % total) for one in of_cells)))
