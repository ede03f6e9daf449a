"""A web server for tests that does what it is told, and downloads from it that end as they should."""

import hashlib
import re
import socket
import struct
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from malaria_exp.utils.download import fetch
from malaria_exp.utils.errors import DataError
from malaria_exp.utils.resuming_download import RemoteFile

ROOT = Path(__file__).resolve().parents[1]
SIZE = 300_000
CONTENT = np.random.default_rng(0).bytes(SIZE)
OTHER = np.random.default_rng(1).bytes(SIZE)
DAMAGED = CONTENT[:150_000] + bytes([CONTENT[150_000] ^ 1]) + CONTENT[150_001:]
HINT = "Or download it by hand."
DATE = "Tue, 03 Jul 2018 10:00:00 GMT"


class Site(ThreadingHTTPServer):
    """Answers each GET with the next of `answers`, the last one again and again.

    Attributes:
        requests: (address, headers) of each request.
        statuses: of each answer.
        sent: bytes of the file in each answer.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, tls=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers, self.requests, self.statuses, self.sent, self.over = [serve()], [], [], [], threading.Event()
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_side=True)
        self.origin = f"{'https' if tls else 'http'}://localhost:{self.server_port}"
        self.url = f"{self.origin}/cells.zip"
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def remote(self, content=CONTENT, **changes):
        return RemoteFile(**{"url": self.url, "size": len(content), "sha256": sha256(content), **changes})

    def ranges(self):
        return [headers["Range"] for _, headers in self.requests]

    def handle_error(self, request, client_address):
        """Says nothing: clients hang up here on purpose."""

    def close(self):
        self.over.set()
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.requests.append((self.path, self.headers))
        self.server.sent.append(0)
        self.number = len(self.server.requests) - 1
        self.server.answers[min(self.number, len(self.server.answers) - 1)](self)

    def start(self, status, headers):
        self.server.statuses.append(status)
        self.send_response(status)
        for name, value in headers.items():
            if value is not None:
                self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def write(self, data):
        # Counted first: the client may be done with the bytes before this thread goes on.
        self.server.sent[self.number] += len(data)
        self.wfile.write(data)

    def log_message(self, *arguments):
        pass


def serve(content=CONTENT, *, ranges=True, cut=None, reset=False, stall=False, honest=True, **headers):
    """An answer with the file, or the part of it that was asked for.

    Args:
        content: the file.
        ranges: whether Range is understood.
        cut: after so many bytes the connection ends.
        reset: it ends by a reset.
        stall: it stays open instead, and silent.
        honest: whether If-Range is understood.
        headers: of the answer; None takes one away that would be sent.
    """

    def answer(handler):
        asked, condition = handler.headers["Range"], handler.headers["If-Range"]
        fits = not honest or condition in (None, headers.get("ETag"), headers.get("Last_Modified"))
        start = int(asked[6:-1]) if asked and ranges and fits else 0
        span = f"bytes {start}-{len(content) - 1}/{len(content)}" if start else None
        handler.start(206 if start else 200, {"Content_Length": len(content) - start, "Content_Range": span, **headers})
        handler.write(content[start:] if cut is None else content[start : start + cut])
        if stall:
            handler.server.over.wait(20)
        if reset:
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            handler.connection.close()
        handler.close_connection = True

    return answer


def say(status, body=b"sorry", **headers):
    """An answer with a status and nothing of the file."""

    def answer(handler):
        handler.start(status, {"Content_Length": len(body), **headers})
        handler.wfile.write(body)

    return answer


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def part_of(path):
    return path.with_name("cells.zip.part")


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def left(path):
    """Names of what lies in the download's folder, but for the lock."""
    return sorted(item.name for item in path.parent.glob("*") if item.name != "cells.zip.lock")


def arrives(remote, path, content=CONTENT, **options):
    """Fetches, and asserts that exactly the file and the memory of its check are there then."""
    assert fetch(remote, path, **{"patience": 5, "attempts": 3, "wait": 0.001, **options}) == path
    assert path.read_bytes() == content and left(path) == ["cells.zip", "cells.zip.ok"]


def fails(remote, path, **options):
    """Fetches and returns the message: one line in the user's words, with no other error shown behind it."""
    with pytest.raises(DataError) as error:
        fetch(remote, path, **{"patience": 5, "attempts": 3, "wait": 0.001, "hint": HINT, **options})
    text = str(error.value)
    assert "\n" not in text
    assert re.search(r"\wError\b|Errno", text) is None
    assert error.value.__context__ is None or error.value.__suppress_context__
    return text


CHILD = """
import sys
from pathlib import Path
from malaria_exp.utils.download import fetch
from malaria_exp.utils.resuming_download import RemoteFile

url, path, size, sha256 = sys.argv[1:]
print("ready", flush=True)
sys.stdin.readline()
print(fetch(RemoteFile(url, int(size), sha256), Path(path), wait=0.01))
"""


def start_child(site, path):
    remote = site.remote()
    command = [sys.executable, "-c", CHILD, remote.url, str(path), str(remote.size), remote.sha256]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)


def go(children):
    """Lets the children start at the same moment."""
    for child in children:
        assert child.stdout.readline() == "ready\n", child.stderr.read()
    for child in children:
        child.stdin.write("\n")
        child.stdin.flush()
