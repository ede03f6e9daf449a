"""What the benchmarks of the service share: cells, a server in a process of its own, and a client that speaks HTTP by hand."""

import http.client
import io
import json
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from malaria_exp.config.registry import build

ROOT = Path(__file__).resolve().parent.parent
BOUNDARY = "cells"
HEADERS = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


def read_cells(source: str | None, number: int) -> list[bytes]:
    """Returns image files: from an official zip of cells, spread over it, or synthetic ones."""
    if source:
        with zipfile.ZipFile(source) as archive:
            names = [name for name in archive.namelist() if name.endswith(".png")]
            return [archive.read(name) for name in names[:: max(1, len(names) // number)][:number]]
    table = build("dataset", "synthetic", {"infected_patients": 10, "healthy_patients": 4, "cells_per_patient": -(-number // 14)})
    files = []
    for row in range(number):
        out = io.BytesIO()
        Image.fromarray(table.source.read(row)).save(out, "PNG")
        files.append(out.getvalue())
    return files


def form(*files: tuple[str, bytes]) -> bytes:
    """Returns the body of a request with files."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'.encode() + data + b"\r\n"
        for name, data in files
    ]
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Returns a zip of files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


@dataclass
class Client:
    """A client with one connection, which is opened again when the server has closed it."""

    port: int
    connection: http.client.HTTPConnection = field(init=False)

    def __post_init__(self) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Returns status and content of an answer."""
        for last in (False, True):
            try:
                self.connection.request(method, path, body, HEADERS if body else {})
                response = self.connection.getresponse()
                return response.status, response.read()
            except (http.client.HTTPException, OSError):
                self.connection.close()
                if last:
                    raise
        raise AssertionError

    def scores(self, body: bytes) -> list[float | None]:
        """Returns the scores of a request's cells; waits where the service is busy."""
        while (answer := self.ask("POST", "/predict", body))[0] == 429:
            time.sleep(0.2)
        if answer[0] != 200:
            raise RuntimeError(f"{answer[0]}: {answer[1][:200]!r}")
        return [cell["score"] for cell in json.loads(answer[1])["cells"]]

    def number(self, name: str) -> float:
        """Returns one of the service's numbers."""
        lines = self.ask("GET", "/metrics")[1].decode().splitlines()
        return float(next(line for line in lines if line.startswith(f"{name} ")).split()[1])

    def megabytes(self) -> float:
        """Returns the service's memory."""
        return self.number("process_resident_memory_bytes") / 1e6


@dataclass
class Server:
    """A running service.

    Attributes:
        port: of 127.0.0.1.
        seconds: from its start to its first answer.
        process: its process.
    """

    port: int
    seconds: float
    process: Any


@contextmanager
def served(bundle: str, *overrides: str) -> Iterator[Server]:
    """Starts the service of a bundle with `task=serve`, and stops it at the end."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    begin = time.perf_counter()
    command = [sys.executable, str(ROOT / "run.py"), "task=serve", f"run={bundle}", f"task.port={port}", *overrides]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        while True:
            try:
                if Client(port).ask("GET", "/ready")[0] == 200:
                    break
            except OSError:
                time.sleep(0.01)
            if process.poll() is not None:
                raise RuntimeError(f"the service has ended with {process.returncode}")
        yield Server(port, time.perf_counter() - begin, process)
    finally:
        process.terminate()
        process.wait()


def percentiles(seconds: list[float]) -> str:
    """Returns median, 95th and 99th percentile in milliseconds."""
    return "".join(f"{1000 * value:9.2f}" for value in np.percentile(seconds, [50, 95, 99]))
