"""Clients that are too slow, or too many, over real connections."""

import http.client
import socket
import time
from contextlib import suppress

import pytest
from conftest import png_bytes
from tiny_bundle import cell

from malaria_exp.deployment.service import connections, uploads

HEAD = b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=b\r\n"


def closed(connection, seconds=10):
    """Waits until a connection is closed from the other side, and returns what came before."""
    connection.settimeout(seconds)
    found = b""
    try:
        while data := connection.recv(65536):
            found += data
    except ConnectionError:
        pass
    return found


def answers(port):
    """Tells whether the service scores a cell."""
    body = b'--b\r\ncontent-disposition: form-data; name="files"; filename="a.png"\r\n\r\n' + png_bytes(cell(99)) + b"\r\n--b--\r\n"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", "/predict", body, {"Content-Type": "multipart/form-data; boundary=b"})
    response = connection.getresponse()
    found = response.status == 200 and b'"score":0.' in response.read()
    connection.close()
    return found


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Everything that takes ten seconds takes a fraction of one."""
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.3)
    monkeypatch.setattr(connections, "CHECK_SECONDS", 0.1)
    monkeypatch.setattr(uploads, "PATIENCE_SECONDS", 0.3)


def test_who_is_too_slow_is_put_out(live, connect):
    port, _ = live()
    silent, dripping, body = connect(port), connect(port), connect(port)
    dripping.sendall(b"POST /pre")
    body.sendall(HEAD + b"Content-Length: 5000\r\n\r\n--b\r\n")
    for _ in range(5):
        time.sleep(0.1)
        for one in (dripping, body):
            with suppress(OSError):
                one.sendall(b"d")
    assert closed(silent) == b"" and closed(dripping) == b""
    assert b" 408 " in closed(body)
    assert answers(port)


def test_who_does_not_read_is_put_out(live, connect):
    port, server = live()
    greedy = connect(port)
    greedy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    request = b"GET /openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    greedy.settimeout(0.5)
    try:
        for _ in range(20_000):
            greedy.sendall(request)
    except OSError:
        pass
    until = time.monotonic() + 10
    while server.server_state.connections and time.monotonic() < until:
        time.sleep(0.05)
    assert not server.server_state.connections and answers(port)


def test_when_there_are_too_many_the_slowest_sender_goes(live, connect, monkeypatch):
    monkeypatch.setattr(connections, "HEAD_SECONDS", 60)
    monkeypatch.setattr(connections, "MOST", 5)
    port, server = live()
    many = []
    for _ in range(12):
        many.append(connect(port))
        many[-1].sendall(b"GET / HT")
        time.sleep(0.01)
    assert closed(many[0]) == b""
    assert answers(port)
    until = time.monotonic() + 10
    while len(server.server_state.connections) > 5 and time.monotonic() < until:
        time.sleep(0.01)
    assert len(server.server_state.connections) <= 5
    many[-1].sendall(b"TP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    assert closed(many[-1]).startswith(b"HTTP/1.1 200")


def test_whole_requests_that_come_with_a_crowd_are_all_answered(live, connect, monkeypatch):
    monkeypatch.setattr(connections, "HEAD_SECONDS", 60)
    monkeypatch.setattr(connections, "MOST", 2)
    # Longer than a busy machine may take from the first connection to the last request.
    monkeypatch.setattr(connections, "DECIDE_SECONDS", 1.0)
    port, _ = live()
    crowd = [connect(port) for _ in range(20)]
    for one in crowd:
        one.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    assert [closed(one)[:12] for one in crowd] == [b"HTTP/1.1 200"] * 20


def test_what_is_no_http_is_refused_and_an_answer_may_be_waited_for(live, connect):
    port, _ = live()
    rubbish = connect(port)
    rubbish.sendall(bytes(range(256)))
    assert b"400" in closed(rubbish)
    huge = connect(port)
    with suppress(OSError):
        huge.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * 200_000)
    closed(huge)
    assert answers(port)
