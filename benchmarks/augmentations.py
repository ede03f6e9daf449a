"""Measures how fast each augmentation is, and what it costs in training: images per second, and percent of a step of cellnet.

    python benchmarks/augmentations.py [cell_images.zip] [--docs docs] [--rounds 5]

Batches of 128 cells at 64 px; on synthetic cells without a zip. All sides of a table take turns in one process:
    alone        the option called on a batch as a TensorFlow graph, with all cores
    a step       a step of cellnet's training on the framework's batches with the option, compared with none; in the precision that
                 trainer.precision=auto takes on this machine, unless --precision names another
    notebooks    one image at a time in tf.data: decoded each epoch, resized, and Albumentations in a numpy_function
    plain loop   Albumentations by itself on bytes, as a PyTorch data set calls it, over 1, 2 and 4 threads; the best counts
The last two run the transforms of `aug=albumentations`, if it is installed. With --docs, writes the tables of docs/augmentation.md.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

import numpy as np

from malaria_exp.config.durations import RunLength
from malaria_exp.config.registry import build, options
from malaria_exp.data.augmentation_chain import Chain
from malaria_exp.data.batches import TrainingBatches
from malaria_exp.data.pixel_cache import open_pixel_cache
from malaria_exp.data.resize import ResizeRule
from malaria_exp.data.seeds import to_unit
from malaria_exp.data.subsets import Cells, Data
from malaria_exp.training.precision import Precision, choose_precision, set_precision
from malaria_exp.utils.atomic_files import write_between
from malaria_exp.utils.machine import machine
from malaria_exp.utils.tensorflow_setup import load_tensorflow

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path(tempfile.gettempdir()) / "malaria_exp_benchmark"
BATCH, SIZE, WARM, STEPS, LOOPED = 128, 64, 4, 8, 512
LENGTH = RunLength(10, 100, BATCH)
Side = Callable[[], float]


def main() -> None:
    """Measures, prints, and writes where asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", nargs="?", help="the NIH zip; synthetic cells without it")
    parser.add_argument("--docs", type=Path, help="folder with augmentation.md")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--precision", choices=get_args(Precision), default="auto")
    asked = parser.parse_args()
    load_tensorflow()
    table = build("dataset", "nih", {"path": asked.archive}) if asked.archive else build("dataset", "synthetic", {})
    cells = Data(build("split", "patient_holdout", {}, table), open_pixel_cache(table, ResizeRule(SIZE, "pad"), CACHE)).training()[0]
    names = [name for name in options("aug") if name != "albumentations" or find_spec("albumentations")]
    chains = {name: Chain([build("aug", name, {})]) for name in names}
    images = cells.images(0, BATCH)
    labels = cells.labels[:BATCH, None].astype(np.float32)
    alone = measure({name: called(chain, images, labels) for name, chain in chains.items()}, asked.rounds)
    precision = chosen_precision(asked.precision, cells)
    steps = measure(training_sides(cells, chains, precision), asked.rounds)
    looped = measure(loops(table, cells), asked.rounds) if "albumentations" in names else {}
    text = describe(alone, steps, looped, len(cells), precision)
    print(text)
    if asked.docs:
        page = asked.docs / "augmentation.md"
        write_between(page, "speed", text)
        print(f"wrote {page}")


def measure(sides: dict[str, Side], rounds: int) -> dict[str, list[float]]:
    """Returns the seconds of each round; the sides take turns, after one round that does not count."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, side in sides.items():
            seconds = side()
            if number:
                times[name].append(seconds)
    return times


def called(chain: Chain, images: np.ndarray, labels: np.ndarray) -> Side:
    """Returns a function that augments one batch and returns the seconds it took."""
    import tensorflow as tf

    pixels, classes = to_unit(tf.constant(images)), tf.constant(labels)
    copy = tf.range(BATCH, dtype=tf.int64) % chain.copies
    augment = tf.function(partial(chain, step=tf.constant(0, tf.int64), copy=copy, length=LENGTH))
    seeds = iter(range(10**9))

    def run() -> float:
        start = time.perf_counter()
        augment(pixels, classes, tf.constant([1, next(seeds)]))[0].numpy()
        return time.perf_counter() - start

    return run


def compiled_cellnet(labels: np.ndarray) -> Any:
    """Returns cellnet in the precision that is set, ready to be trained."""
    model = build("model", "cellnet", {"image_size": SIZE})
    optimizer = build("optimizer", "adamw", {}, build("schedule", "cosine", {}, LENGTH))
    model.compile(optimizer, build("loss", "bce", {}, labels))
    return model


def chosen_precision(asked: str, cells: Cells) -> str:
    """Returns the precision to train in: the one asked for, or the one that is faster here."""
    if asked != "auto":
        return asked

    def batch() -> tuple[np.ndarray, ...]:
        return cells.images(0, BATCH).astype(np.float32) / 255, cells.labels[:BATCH, None].astype(np.float32)

    with tempfile.TemporaryDirectory() as fresh:
        return choose_precision(lambda: compiled_cellnet(cells.labels), batch, identity="augmentations", root=Path(fresh))


def training_sides(cells: Cells, chains: dict[str, Chain], precision: str) -> dict[str, Side]:
    """Returns a function for each option that trains some steps and returns the seconds a step took."""
    set_precision(precision)
    model = compiled_cellnet(cells.labels)

    def side(chain: Chain) -> Side:
        dataset = TrainingBatches(cells, batch_size=BATCH, chain=chain, seed=0, resident_gb=4, epochs=10).dataset()

        def run() -> float:
            # A new iterator, so that a pipeline works only while it is measured; the first steps fill its queues.
            batches = iter(dataset)
            for _ in range(WARM):
                model.train_on_batch(*next(batches))
            start = time.perf_counter()
            for _ in range(STEPS):
                model.train_on_batch(*next(batches))
            return (time.perf_counter() - start) / STEPS

        return run

    return {name: side(chain) for name, chain in chains.items()}


def loops(table: Any, cells: Cells) -> dict[str, Side]:
    """Returns functions that put the same cells through Albumentations' transforms in other ways, and return the seconds it took."""
    import albumentations
    import tensorflow as tf

    from malaria_exp.components.aug.albumentations import NOTEBOOKS

    def one(given: dict[str, Any]) -> Any:
        """Builds a transform as its users do, with nothing of ours."""
        ((name, arguments),) = given.items()
        return getattr(albumentations, name)(
            **{key: [one(inner) for inner in value] if key == "transforms" else value for key, value in arguments.items()}
        )

    def compose() -> Any:
        return albumentations.Compose([one(given) for given in NOTEBOOKS])

    shown = cells.images(0, LOOPED)
    encoded = [tf.io.encode_png(table.source.read(int(row))).numpy() for row in cells.rows[:LOOPED]]
    of_image = compose()

    def framework(*, keep_black: bool) -> Side:
        chain: Chain = Chain([build("aug", "albumentations", {"keep_black": keep_black})])
        batches = [called(chain, shown[first : first + BATCH], np.zeros((BATCH, 1), np.float32)) for first in range(0, LOOPED, BATCH)]
        return lambda: sum(run() for run in batches)

    def notebooks() -> float:
        def augment(png: tf.Tensor) -> tf.Tensor:
            image = tf.cast(tf.image.resize(tf.io.decode_png(png, 3), (SIZE, SIZE)), tf.uint8)
            image = tf.numpy_function(lambda pixels: of_image(image=pixels)["image"], [image], tf.uint8)
            return tf.cast(tf.ensure_shape(image, (SIZE, SIZE, 3)), tf.float32) / 255

        dataset = tf.data.Dataset.from_tensor_slices(encoded).map(augment, num_parallel_calls=tf.data.AUTOTUNE).batch(BATCH)
        start = time.perf_counter()
        for batch in dataset.prefetch(tf.data.AUTOTUNE):
            batch.numpy()
        return time.perf_counter() - start

    def plain(threads: int) -> Side:
        own = [compose() for _ in range(threads)]
        pool = ThreadPoolExecutor(threads)

        def work(thread: int, batch: np.ndarray) -> list[np.ndarray]:
            return [own[thread](image=image)["image"].astype(np.float32) / 255 for image in batch[thread::threads]]

        def run() -> float:
            start = time.perf_counter()
            for first in range(0, LOOPED, BATCH):
                batch = shown[first : first + BATCH]
                parts = pool.map(work, range(threads), [batch] * threads) if threads > 1 else [work(0, batch)]
                np.stack([image for part in parts for image in part])
            return time.perf_counter() - start

        return run

    sides = {
        "aug=albumentations, keep_black=false: the same work": framework(keep_black=False),
        "aug=albumentations, which also keeps the black outside black": framework(keep_black=True),
        "the notebooks' way": notebooks,
    }
    return sides | {f"plain loop, {number} thread{'s' if number > 1 else ''}": plain(number) for number in (1, 2, 4)}


def describe(
    alone: dict[str, list[float]], steps: dict[str, list[float]], looped: dict[str, list[float]], count: int, precision: str
) -> str:
    """Returns the tables in Markdown."""
    facts = machine()
    lines = [
        f"{facts['cores']} cores of {facts['processor']}, {', '.join(facts.get('gpus', [])) or 'no GPU'}; {count:,} cells, batches of {BATCH} at {SIZE} px,"
        f" cellnet in {precision}, a step without augmentation {spread(steps['none'])} ms. Medians of the rounds, smallest to largest in brackets;"
        " the cost is the median of the rounds' ratios.",
        "",
        "| `aug=` | thousand images a second, alone | ms a batch, alone | ms a step of cellnet with it | cost of a step |",
        "|---|---|---|---|---|",
    ]
    for name, seconds in alone.items():
        ratios = [100 * (own / other - 1) for own, other in zip(steps[name], steps["none"], strict=True)]
        cost = "" if name == "none" else f"{statistics.median(ratios):+.1f} %"
        rate = "" if name == "none" else f"{BATCH / statistics.median(seconds) / 1000:.1f}"
        shown = "" if name == "none" else spread(seconds)
        lines.append(f"| `{name}` | {rate} | {shown} | {spread(steps[name])} | {cost} |")
    if looped:
        lines += ["", "| the same transforms of Albumentations | images a second |", "|---|---|"]
        for name, seconds in looped.items():
            rates = sorted(LOOPED / value for value in seconds)
            lines.append(f"| {name} | {statistics.median(rates):,.0f} ({rates[0]:,.0f} to {rates[-1]:,.0f}) |")
    return "\n".join(lines)


def spread(seconds: list[float]) -> str:
    """Returns median, smallest and largest in milliseconds."""
    return f"{1e3 * statistics.median(seconds):.1f} ({1e3 * min(seconds):.1f} to {1e3 * max(seconds):.1f})"


if __name__ == "__main__":
    main()
