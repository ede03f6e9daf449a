"""Writing a sharded set: in parallel, with constant memory; after a kill, the same command goes on where it stopped."""

import hashlib
import os
import threading
import zlib
from collections.abc import Iterator, Set
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout
from threadpoolctl import threadpool_limits

from malaria_exp.data.bad_images import all_bad_images, check_policy, describe, total_images
from malaria_exp.data.cell_table import BadImageError, CellTable
from malaria_exp.data.resize import ResizeRule, resize
from malaria_exp.data.shards.format import HEAD, MARKER, TAIL, Plan, Shard, ShardSet, encode_cell, read_sidecar_head, write_sidecar
from malaria_exp.utils.atomic_files import human_bytes
from malaria_exp.utils.errors import DataError, cannot_write
from malaria_exp.utils.filesystems import Filesystem, file_sha256, new_file, stored_sha256, write_bytes
from malaria_exp.utils.progress_bars import track
from malaria_exp.utils.tensorflow_setup import load_tensorflow
from malaria_exp.utils.terminal_log import log

# Bytes of a record beside the pixels, about: names, patient, slide, field, content hash and framing.
RECORD_TEXT = 300
# The part of a set, see `write_shards`, that is all of it.
WHOLE = (0, 1)


def write_shards(
    table: CellTable,
    filesystem: Filesystem,
    rule: ResizeRule,
    *,
    shard_mb: int,
    seed: int,
    workers: int,
    root: Path,
    part: tuple[int, int] = WHOLE,
) -> None:
    """Writes the table's cells, decoded and resized, as shards; what a killed run or other jobs have written already is kept.

    Args:
        table: the cells.
        filesystem: the folder that the set is written to.
        rule: size and resize mode.
        shard_mb: megabytes of a shard, about.
        seed: of the order in which cells are dealt to shards.
        workers: shards written at a time; 0 for one a core.
        root: the cache folder, for the lock that keeps two processes of a machine from writing one set, or one part of it.
        part: (number, parts): only every parts-th shard is written, from this number on, and the set is not finished. Shards do not depend on it.

    Raises:
        DataError: the folder holds another set or cannot be written, cells have weights, or images are bad.
    """
    if table.weight is not None:
        raise DataError(
            "dataset.csv: shards hold no weights of cells. Take the column weight out of the CSV, or train on the files themselves."
        )
    load_tensorflow()
    order = np.argsort(table.cell_id, kind="stable")[np.random.default_rng(seed).permutation(len(table))]
    record = rule.size * rule.size * 3 + RECORD_TEXT
    count = max(1, round(len(table) * record / (shard_mb * 1e6)))
    plan = Plan(table.name, table.data_hash, rule.size, rule.mode, rule.version, seed, min(count, len(table)))
    locked = filesystem.url if part == WHOLE else f"{filesystem.url} {part}"
    lock = FileLock(root / f".prepare-{hashlib.sha256(locked.encode()).hexdigest()[:20]}.lock")
    try:
        root.mkdir(parents=True, exist_ok=True)
        with lock.acquire(timeout=0):
            _write_locked(table, filesystem, plan, rule, order, workers, part)
    except Timeout:
        raise DataError(f"task.to: another process is writing to '{filesystem.url}'.") from None
    except OSError as error:
        raise cannot_write(error, f"cache.root: cannot write to '{root}': {error}. Choose another folder: cache.root=...") from None


def _write_locked(
    table: CellTable, filesystem: Filesystem, plan: Plan, rule: ResizeRule, order: np.ndarray, workers: int, part: tuple[int, int]
) -> None:
    numbers = range(part[0], plan.shards, part[1])
    check_policy(table, all_bad_images(table, {}))
    sizes = filesystem.sizes()
    finished = _refuse_other(filesystem, plan, sizes)
    _remove_left_overs(filesystem, None if part == WHOLE else {plan.shard_name(number) for number in numbers})
    rows_of = np.array_split(order, plan.shards)
    done: dict[int, Shard] = {}
    bad: dict[int, str] = {}
    written = 0
    stop = threading.Event()

    def work(number: int) -> tuple[int, Shard | None, dict[int, str], bool]:
        name = plan.shard_name(number)
        kept = _kept(filesystem, plan, name, sizes, finished)
        # A shard without its bad images is written again: only so are they known.
        if kept is not None and kept.cells == len(rows_of[number]):
            return number, kept, {}, False
        shard, reasons = _write_shard(table, filesystem, plan, rule, name, rows_of[number], stop)
        return number, shard, reasons, True

    # The shards are written in parallel already; threads of BLAS within each would only compete with them.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        try:
            futures = [pool.submit(work, number) for number in numbers]
            for future in track(as_completed(futures), "writing shards", total=len(numbers)):
                number, shard, reasons, is_new = future.result()
                bad |= reasons
                written += is_new
                if shard is not None:
                    done[number] = shard
        except BaseException:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    excluded = all_bad_images(table, bad)
    check_policy(table, excluded)
    if excluded:
        log.warning(
            f"excluded  {describe(excluded, total_images(table))}: {', '.join(item.file for item in excluded[:5])}{' ...' * (len(excluded) > 5)}"
        )
    if part != WHOLE:
        log.info(
            f"prepared  {len(numbers)} of {plan.shards} shards, {written} of them written now: {filesystem.url}; other jobs have the others"
        )
        return
    good = table if not bad else table.select(np.setdiff1d(np.arange(len(table)), np.array(sorted(bad))))
    notes = list(table.notes)
    if excluded:
        notes.append(f"When the shards were written, {describe(excluded, total_images(table))} were bad and excluded.")
    found = ShardSet(plan, good.data_hash, tuple(done[number] for number in sorted(done)), tuple(notes))
    # Written last: a set without it is not finished.
    write_bytes(filesystem, MARKER, found.to_json())
    total = sum(shard.bytes for shard in found.shards)
    log.info(
        f"prepared  {len(good):,} cells of {plan.size} px in {plan.shards} shards, {human_bytes(total)}, {written} of them written now: {filesystem.url}"
    )
    log.info(f"          python run.py dataset=shards dataset.path={filesystem.url} model.image_size={plan.size}")


def _refuse_other(filesystem: Filesystem, plan: Plan, sizes: dict[str, int]) -> ShardSet | None:
    """Returns the finished set of this plan that lies in the folder, if there is one; another set is a DataError."""
    if MARKER in sizes:
        found = ShardSet.from_json(filesystem.read(MARKER), f"{filesystem.url}/{MARKER}")
        different = plan.differences(found.plan.to_dict())
        if different:
            raise DataError(
                f"task.to: '{filesystem.url}' holds another finished set, which is never overwritten: {'; '.join(different)}. Choose another folder."
            )
        return found
    for name in sorted(sizes):
        if name.startswith("cells-") and name.endswith(".csv"):
            head = read_sidecar_head(filesystem.read(name))
            different = plan.differences(head.get("plan", {}))
            if head and different:
                raise DataError(
                    f"task.to: '{filesystem.url}' holds the beginning of another set: {'; '.join(different)}. Finish it with its own settings,"
                    " delete it, or choose another folder."
                )
    return None


def _remove_left_overs(filesystem: Filesystem, shards: Set[str] | None) -> None:
    """Deletes the temporary files that killed runs left in a local folder, of these shards or of all; under the lock nobody else writes them."""
    folder = filesystem.beside()
    for path in folder.glob(".????????.cells-*") if folder else ():
        if shards is None or path.name.split(".")[2] in shards:
            path.unlink(missing_ok=True)


def _kept(filesystem: Filesystem, plan: Plan, name: str, sizes: dict[str, int], finished: ShardSet | None) -> Shard | None:
    """Returns the shard if it was written before by this plan and its bytes are still right."""
    table, records = f"{name}.csv", f"{name}.tfrecord"
    if table not in sizes or records not in sizes:
        return None
    data = filesystem.read(table)
    head = read_sidecar_head(data)
    if (
        head.get("plan") != plan.to_dict()
        or head["bytes"] != sizes[records]
        or stored_sha256(filesystem, records, sizes[records]) != head["sha256"]
    ):
        return None
    shard = Shard(name, data.count(b"\n") - 2, head["bytes"], head["sha256"], hashlib.sha256(data).hexdigest())
    return shard if finished is None or shard in finished.shards else None


def _write_shard(
    table: CellTable, filesystem: Filesystem, plan: Plan, rule: ResizeRule, name: str, rows: np.ndarray, stop: threading.Event
) -> tuple[Shard | None, dict[int, str]]:
    """Writes a shard's two files, the CSV last, holding one cell in memory at a time.

    Returns:
        The shard, or None if images are bad and the policy is to stop; and the reasons of the bad ones by row.
    """
    import tensorflow as tf

    offsets, crcs, good = [0], [], []
    bad: dict[int, str] = {}
    with new_file(filesystem, f"{name}.tfrecord") as path:
        with tf.io.TFRecordWriter(str(path)) as writer:
            for row, image in _decoded(table, rule, rows, bad, stop):
                record = encode_cell(image, table, row)
                writer.write(record)
                offsets.append(offsets[-1] + HEAD + len(record) + TAIL)
                crcs.append(zlib.crc32(record))
                good.append(row)
        sha256 = file_sha256(path)
        if path.stat().st_size != offsets[-1]:
            raise DataError(f"'{filesystem.url}/{name}.tfrecord' was not written whole.")
    data = write_sidecar(plan, table, good, offsets, crcs, sha256)
    if bad and table.policy.on_bad_image == "error":
        return None, bad
    write_bytes(filesystem, f"{name}.csv", data)
    return Shard(name, len(good), offsets[-1], sha256, hashlib.sha256(data).hexdigest()), bad


def _decoded(
    table: CellTable, rule: ResizeRule, rows: np.ndarray, bad: dict[int, str], stop: threading.Event
) -> Iterator[tuple[int, np.ndarray]]:
    """Yields the rows with their resized images; bad ones go into `bad` with their reason."""
    for row in rows.tolist():
        if stop.is_set():
            raise DataError("stopped, as another shard could not be written")
        try:
            image = resize(table.source.read(row), rule)
        except BadImageError as error:
            bad[row] = str(error)
            continue
        yield row, image
