"""Whether the service still answers, rightly and in time, while it is ill-treated; and whether its memory stays flat.

    python benchmarks/service_abuse.py BUNDLE [cell_images.zip] [--minutes 10] [--soak]

Each attack runs beside a client that asks for the scores of good cells and checks them. Then, for the given minutes, good requests and bad ones
take turns at random (seed 0); with --soak only this. Everything runs over the loopback of this machine, on a service that this program starts itself.
"""

import argparse
import io
import random
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image

from malaria_exp.utils.machine import machine

sys.path.insert(0, str(Path(__file__).parent.parent))
from benchmarks.service_client import BOUNDARY, Client, form, percentiles, read_cells, served, zipped

HEAD = f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
CELLS, ATTACK_SECONDS, SLOW = 50, 6.0, 300


def image_of(width: int, height: int, kind: str) -> bytes:
    """Returns an image of one color, which takes few bytes."""
    out = io.BytesIO()
    Image.new("RGB", (width, height)).save(out, kind)
    return out.getvalue()


def bodies(cells: list[bytes]) -> dict[str, bytes]:
    """Returns requests that do harm where nothing is checked."""
    rng = np.random.default_rng(0)
    inner = zipped({"x.png": cells[0]})
    return {
        "zip bomb of 240 MB": form(("a.zip", zipped({f"{number}.bmp": bytes(15_000_000) for number in range(16)}))),
        "zip of 100,000 entries": form(("a.zip", zipped(dict.fromkeys(map(str, range(100_000)), b"")))),
        "zip in a zip": form(("a.zip", zipped({"b.zip": inner}))),
        "WebP of 144 megapixels": form(("a.webp", image_of(12_000, 12_000, "WEBP"))),
        "PNG of 64 megapixels": form(("a.png", image_of(8000, 8000, "PNG"))),
        "JPEG of 36 megapixels": form(("a.jpg", image_of(6000, 6000, "JPEG"))),
        "60 MB of rubbish": form(("a.png", rng.bytes(60_000_000))),
        "3,000 files": form(*[("a.png", b"x")] * 3000),
        "wrong types": form(("a.exe", b"MZ" + rng.bytes(5000)), ("a.html", b"<script>"), ("a.gif", b"GIF89a"), ("", b"")),
        "no multipart at all": b"rubbish",
    }


def flood(port: int, body: bytes, seconds: float, clients: int) -> Counter[str]:
    """Sends a request again and again from many clients; returns how it was answered."""
    answers: Counter[str] = Counter()
    until = time.perf_counter() + seconds

    def client() -> None:
        while time.perf_counter() < until:
            try:
                answers[str(Client(port).ask("POST", "/predict", body)[0])] += 1
            except OSError:
                # Refused by its length while it was still sent.
                answers["closed"] += 1

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def slow(port: int, begin: bytes, drip: bytes, seconds: float) -> Counter[str]:
    """Opens many connections that send a byte now and then and read nothing; returns how many were still open at the end."""
    sockets: list[socket.socket] = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        if len(sockets) < SLOW:
            with suppress(OSError):
                sockets.append(socket.create_connection(("127.0.0.1", port), timeout=5))
                sockets[-1].sendall(begin)
        else:
            for one in sockets:
                with suppress(OSError):
                    one.sendall(drip)
            time.sleep(0.5)
    still = 0
    for one in sockets:
        one.setblocking(False)
        try:
            while one.recv(65536):
                pass
        except BlockingIOError:
            still += 1
        except OSError:
            pass
        one.close()
    return Counter({"connections": len(sockets), "open at the end": still})


def meanwhile(port: int, good: bytes, expected: list[float | None], attack: Callable[[], Counter[str]]) -> str:
    """Runs an attack and asks for good cells beside it; returns what came of both."""
    times, wrong, failed = [], 0, 0
    found: list[Counter[str]] = []
    thread = threading.Thread(target=lambda: found.append(attack()))
    thread.start()
    while thread.is_alive():
        begin = time.perf_counter()
        try:
            wrong += Client(port).scores(good) != expected
            times.append(time.perf_counter() - begin)
        except (OSError, RuntimeError):
            failed += 1
        time.sleep(0.02)
    answers = ", ".join(f"{count} x {name}" for name, count in sorted(found[0].items()))
    return f"{percentiles(times)}  {len(times)} good, {wrong} wrong, {failed} failed; attack: {answers}"


def soak(port: int, cells: list[bytes], expected: list[float | None], bad: list[bytes], minutes: float) -> None:
    """Sends good and bad requests in turns and prints memory and wrong answers."""
    rng, client = random.Random(0), Client(port)
    until, wrong, counts, memory = time.perf_counter() + 60 * minutes, 0, Counter[str](), [client.megabytes()]
    noted = time.perf_counter()
    while time.perf_counter() < until:
        if rng.random() < 0.5:
            chosen = rng.sample(range(len(cells)), rng.randint(1, 12))
            files = [(f"{number}.png", cells[number]) for number in chosen]
            body = form(*files) if rng.random() < 0.5 else form(("a.zip", zipped(dict(files))))
            wrong += client.scores(body) != [expected[number] for number in chosen]
            counts["good"] += 1
        else:
            data = bytearray(form(("a.png", rng.choice(cells)))) if rng.random() < 0.5 else bytearray(rng.choice(bad))
            for _ in range(rng.randint(0, 4)):
                data[rng.randrange(len(data))] = rng.randrange(256)
            with suppress(OSError):
                counts[f"bad, {client.ask('POST', rng.choice(('/predict', '/explain')), bytes(data))[0]}"] += 1
        if time.perf_counter() - noted > 60 * minutes / 20:
            memory.append(client.megabytes())
            noted = time.perf_counter()
    print(f"soak of {minutes:g} minutes: {dict(sorted(counts.items()))}, {wrong} wrong answers")
    print("memory, MB, at even times: " + " ".join(f"{value:.0f}" for value in memory))


def main() -> None:
    """Runs everything and prints."""
    parser = argparse.ArgumentParser()
    parser.add_argument("bundle")
    parser.add_argument("cells", nargs="?")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--soak", action="store_true")
    arguments = parser.parse_args()
    cells = read_cells(arguments.cells, CELLS)
    print(machine())
    with served(arguments.bundle) as server:
        port = server.port
        client = Client(port)
        expected = [client.scores(form(("a.png", data)))[0] for data in cells]
        good, bad = form(*((f"{number}.png", data) for number, data in enumerate(cells[:4]))), bodies(cells)
        large = form(*((f"{number}.png", cells[number % CELLS]) for number in range(1000)))
        attacks: dict[str, Callable[[], Counter[str]]] = {
            name: lambda body=body: flood(port, body, ATTACK_SECONDS, 4)  # type: ignore[misc]
            for name, body in bad.items()
        }
        attacks["flood of 1,000 cells x 32 clients"] = lambda: flood(port, large, ATTACK_SECONDS, 32)
        attacks["slow heads"] = lambda: slow(port, b"POST /predict HTTP/1.1\r\nX: ", b"x", 15)
        attacks["slow bodies"] = lambda: slow(port, f"{HEAD}Content-Length: 9999\r\n\r\n--".encode(), b"-", 15)
        answer = f"{HEAD}Content-Length: {len(good)}\r\n\r\n".encode() + good
        attacks["requests whose answers are not read"] = lambda: slow(port, answer, answer, 15)
        attacks["rubbish instead of HTTP"] = lambda: slow(port, bytes(range(256)) * 4, b"\r\n\r\n", ATTACK_SECONDS)
        if not arguments.soak:
            print(f"{'':<36} {'p50':>8} {'p95':>8} {'p99':>8}  ms of a good request of 4 cells meanwhile")
        for name, attack in [] if arguments.soak else attacks.items():
            print(f"{name:<36} {meanwhile(port, good, expected[:4], attack)}; {client.megabytes():.0f} MB", flush=True)
        soak(port, cells, expected, list(bad.values())[2:6] + list(bad.values())[8:], arguments.minutes)
        print(f"health: {client.ask('GET', '/health')}")


if __name__ == "__main__":
    main()
