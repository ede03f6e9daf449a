"""What the service costs beside bare onnxruntime: time to start, requests and cells a second, times of answers, memory.

    python benchmarks/service_load.py BUNDLE [cell_images.zip] [--seconds 10]

Everything runs on this machine over the loopback, the clients too, so that they take their part of its cores. Bare onnxruntime scores the same
cells in this process, one thread, one cell at a time: decoded and resized before (only the model), and from the file's bytes (all that the
service does but HTTP). Without a zip the cells are synthetic. Scores are compared with the bare ones, all of them.
"""

import argparse
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from malaria_exp.data.decode import decode
from malaria_exp.data.resize import resize
from malaria_exp.deployment.open_model import open_model
from malaria_exp.utils.machine import machine

sys.path.insert(0, str(Path(__file__).parent.parent))
from benchmarks.service_client import Client, form, percentiles, read_cells, served, zipped

CELLS, IN_ZIP, STARTS = 200, 100, 5
PACKAGES = "import numpy, PIL.Image, onnxruntime, fastapi, uvicorn, prometheus_client, hydra"


def bare(bundle: str, files: list[bytes], seconds: float) -> np.ndarray:
    """Prints how fast the model alone is, and with decoding; returns the scores."""
    model = open_model(Path(bundle), threads=1)
    images = [resize(decode(data), model.facts.rule)[None] for data in files]

    def whole(number: int) -> None:
        model(resize(decode(files[number]), model.facts.rule)[None])

    for name, call in (("onnxruntime alone", lambda number: model(images[number])), ("with decoding", whole)):
        times: list[float] = []
        until = time.perf_counter() + seconds
        while (begin := time.perf_counter()) < until:
            call(len(times) % len(files))
            times.append(time.perf_counter() - begin)
        print(f"{name:<34} {len(times) / sum(times):9.0f} {percentiles(times)}")
    return np.array([model(image).score[0] for image in images])


def load(port: int, bodies: list[bytes], expected: list[list[float]], clients: int, seconds: float) -> tuple[list[float], int]:
    """Lets clients send one request after the other; returns the seconds of each answer and how many were wrong."""
    times: list[float] = []
    wrong = [0]
    until = time.perf_counter() + seconds

    def client(first: int) -> None:
        own = Client(port)
        number = first
        while (begin := time.perf_counter()) < until:
            found = own.scores(bodies[number % len(bodies)])
            times.append(time.perf_counter() - begin)
            wrong[0] += not np.allclose(np.array(found, float), expected[number % len(bodies)], atol=1e-6)
            number += clients

    threads = [threading.Thread(target=client, args=(first,)) for first in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times, wrong[0]


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser()
    parser.add_argument("bundle")
    parser.add_argument("cells", nargs="?")
    parser.add_argument("--seconds", type=float, default=10)
    arguments = parser.parse_args()
    files = read_cells(arguments.cells, CELLS)
    print(machine())
    starts, imports = [], []
    for _ in range(STARTS):
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", PACKAGES], check=True)
        imports.append(time.perf_counter() - begin)
        with served(arguments.bundle) as server:
            starts.append(server.seconds)
    for name, values in (("start to first answer", starts), ("Python with its packages alone", imports)):
        print(f"{name}: median {statistics.median(values):.2f} s, {min(values):.2f} to {max(values):.2f} s, {STARTS} starts")
    print(f"{'':<34} {'a second':>9} {'p50':>8} {'p95':>8} {'p99':>8}  ms")
    with threadpool_limits(1, user_api="blas"):
        expected = bare(arguments.bundle, files, arguments.seconds).tolist()
    with served(arguments.bundle) as server:
        client = Client(server.port)
        print(f"memory after the start: {client.megabytes():.0f} MB")
        single = [form(("cell.png", data)) for data in files]
        zips, in_zips = [], []
        for start in range(0, len(files), IN_ZIP):
            zips.append(form(("cells.zip", zipped({f"{number}.png": data for number, data in enumerate(files[start : start + IN_ZIP])}))))
            in_zips.append(expected[start : start + IN_ZIP])
        singly = [[score] for score in expected]
        for name, bodies, right, clients, cells in (
            ("one cell a request, 1 client", single, singly, 1, 1),
            ("one cell a request, 4 clients", single, singly, 4, 1),
            ("one cell a request, 16 clients", single, singly, 16, 1),
            (f"zip of {IN_ZIP} cells, 1 client", zips, in_zips, 1, IN_ZIP),
        ):
            times, wrong = load(server.port, bodies, right, clients, arguments.seconds)
            rate = len(times) / arguments.seconds
            more = f", {rate * cells:.0f} cells a second" if cells > 1 else ""
            print(f"{name:<34} {rate:9.0f} {percentiles(times)}  {wrong} wrong answers{more}")
        print(f"memory after all: {client.megabytes():.0f} MB")


if __name__ == "__main__":
    main()
