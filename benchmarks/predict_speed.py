"""Prediction beside bare onnxruntime: cells a second of both in turns, in one process; and the memory of 100,000 images.

python benchmarks/predict_speed.py BUNDLE [cell_images.zip]     without a zip: synthetic cells

The bare side is what nobody can leave out, one after the other: all images are read and decoded by as many threads, and onnxruntime computes
their scores in batches of the same size. Prediction reads, decodes and scores the same images and writes their rows.
"""

import argparse
import io
import os
import tempfile
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image
from threadpoolctl import threadpool_limits

from malaria_exp.config.registry import build
from malaria_exp.data.resize import resize
from malaria_exp.deployment.deployed_model import INPUT, SCORE, DeployedModel
from malaria_exp.deployment.image_sources import NewImages, open_images
from malaria_exp.deployment.open_model import open_model
from malaria_exp.deployment.predict_images import images_decoder, score_into
from malaria_exp.deployment.predictions_file import PartFile, columns
from malaria_exp.deployment.trained_on import read_guard
from malaria_exp.utils.machine import machine

BATCH, ROUNDS, SYNTHETIC = 256, 5, 3000
# Between two looks at the memory, and images after which it should have settled.
STEP, SETTLED = 2000, 20_000
MB = 1e6


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("zip", nargs="?", help="the official cell_images.zip")
    parser.add_argument("--images", type=int, default=100_000, help="of the measurement of memory")
    parser.add_argument("--cells", type=int, default=4000, help="of the measurement of speed")
    arguments = parser.parse_args()
    print(machine(), f"load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder, open_images(arguments.zip or synthetic(Path(folder))) as images:
        model = open_model(arguments.bundle)
        speed(model, images, min(arguments.cells, len(images.names)), Path(folder))
        memory_of_many(model, images, arguments.images, Path(folder))


def synthetic(folder: Path) -> str:
    """Writes synthetic cells into a zip and returns its path."""
    table = build("dataset", "synthetic", {})
    with zipfile.ZipFile(folder / "cells.zip", "w") as archive:
        for row in range(min(SYNTHETIC, len(table))):
            file = io.BytesIO()
            Image.fromarray(table.source.read(row)).save(file, "PNG")
            archive.writestr(f"{table.cell_id[row]}.png", file.getvalue())
    return str(folder / "cells.zip")


def speed(model: DeployedModel, images: NewImages, count: int, folder: Path) -> None:
    """Times both sides in turns."""
    print(f"\n{count:,} images, batches of {BATCH}, {ROUNDS} rounds in turns after one that is not counted; microseconds an image")
    decode = images_decoder(images)
    session = model._session  # type: ignore[attr-defined]
    times: dict[str, list[tuple[float, float]]] = {"decoding": [], "onnxruntime": [], "prediction": []}
    decoded: list[np.ndarray] = []
    guard = read_guard(model.facts)

    def decode_all() -> None:
        with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(os.cpu_count()) as pool:
            decoded[:] = pool.map(lambda number: resize(decode(number), model.facts.rule), range(count))

    def compute() -> None:
        for start in range(0, count, BATCH):
            session.run([SCORE], {INPUT: np.stack(decoded[start : start + BATCH])})

    def predict() -> None:
        with tempfile.TemporaryDirectory(dir=folder) as place:
            part = PartFile(Path(place), columns(model.facts), {}, BATCH)
            score_into(part, model, images, range(count), batch_size=BATCH, workers=0, guard=guard)
            part.finish()

    for _ in range(ROUNDS + 1):
        for name, work in (("decoding", decode_all), ("onnxruntime", compute), ("prediction", predict)):
            times[name].append(seconds(work))
    for place, clock in enumerate(("wall clock", "CPU time")):
        found = {name: np.array(values)[1:, place] * 1e6 / count for name, values in times.items()}
        for name, values in found.items():
            print(f"{clock:<11} {name:<12} {np.median(values):7.0f} ({values.min():.0f} to {values.max():.0f})")
        ratio = (found["decoding"] + found["onnxruntime"]) / found["prediction"]
        print(
            f"{clock:<11} speed of prediction, of that of the other two together: {np.median(ratio):.3f} ({ratio.min():.3f} to {ratio.max():.3f})"
        )


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Returns the seconds of some work, by the clock on the wall and by that of the processor."""
    before = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - before[0], time.process_time() - before[1]


def memory_of_many(model: DeployedModel, images: NewImages, count: int, folder: Path) -> None:
    """Predicts many images, the given ones over and over under new names, and looks at the memory meanwhile."""
    own = len(images.names)
    many = NewImages([f"{number // own}/{images.names[number % own]}" for number in range(count)], lambda number: images.read(number % own))
    part = PartFile(folder, columns(model.facts), {}, BATCH)
    seen = [(0, memory())]
    append = part.append

    def look(rows: list[list[object]]) -> None:
        append(rows)
        if part.done - seen[-1][0] >= STEP:
            seen.append((part.done, memory()))

    part.append = look  # type: ignore[method-assign, assignment]
    start = time.perf_counter()
    score_into(part, model, many, range(count), batch_size=BATCH, workers=0, guard=read_guard(model.facts))
    part.finish()
    done, used = np.array(seen).T
    late = done >= min(SETTLED, count / 2)
    slope = np.polyfit(done[late], used[late], 1)[0] * 10_000 if late.sum() > 1 else float("nan")
    print(f"\n{count:,} images in {time.perf_counter() - start:.0f} s; memory of the process, MB (anonymous pages), their names included:")
    print(
        f"before {used[0]:.0f}, settled {used[late][0]:.0f}, at the end {used[-1]:.0f}, peak {used.max():.0f}; {slope:+.2f} an additional 10,000 images"
    )


def memory() -> float:
    """Returns this process's resident memory in MB, without pages of files that the system may drop."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) * 1024 / MB


if __name__ == "__main__":
    main()
