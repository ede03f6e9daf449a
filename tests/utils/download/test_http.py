"""Servers that refuse, redirect, are busy or cannot be reached: one message in the user's words, and nothing secret in it."""

import contextlib
import itertools
import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from web_server import CONTENT, DAMAGED, HINT, SIZE, Site, arrives, fails, left, part_of, put, say, serve

from malaria_exp.utils.http import public_url
from malaria_exp.utils.resuming_download import RemoteFile

# Errors of the server

REFUSALS = [
    (403, "403 Forbidden"),
    (404, "404 Not Found"),
    (416, "416 Requested Range Not Satisfiable"),
    (204, "204 No Content"),
    (499, "499"),
]


@pytest.mark.parametrize(("status", "phrase"), REFUSALS)
def test_a_refusal_ends_at_once(site, path, status, phrase):
    site.answers = [say(status, b"")]
    phrases = [phrase, phrase.replace("Requested Range", "Range")]
    assert fails(site.remote(), path) in [f"cannot download {site.url}: the server answered HTTP {text}. {HINT}" for text in phrases]
    assert len(site.requests) == 1
    assert left(path) == []


def test_a_refusal_keeps_what_has_arrived(site, path):
    site.answers = [serve(cut=100_000), say(403)]
    assert f"HTTP 403 Forbidden. 100 kB of 300 kB are kept in '{path}.part'; the same command goes on" in fails(site.remote(), path)
    assert part_of(path).read_bytes() == CONTENT[:100_000]


@pytest.mark.parametrize("status", [429, 500, 503, 522])
def test_a_busy_server_is_asked_again_but_not_forever(site, path, status, messages):
    site.answers = [say(status), say(status), serve()]
    arrives(site.remote(), path)
    assert sum(f"HTTP {status}" in message for message in messages()) == 2
    path.unlink()
    site.answers = [say(status)]
    assert f"the server answered HTTP {status} " in fails(site.remote(), path) and len(site.requests) == 3 + 4


def http_date(**distance):
    return format_datetime(datetime.now(UTC) + timedelta(**distance), usegmt=True)


TIMES = {"7": 7, "3600": 60, "0": 1, "soon": 1, "²": 1, "-5": 1, http_date(days=1): 60, http_date(days=-1): 1}


@pytest.mark.parametrize(
    ("text", "seconds"), TIMES.items(), ids=["7", "hour", "0", "word", "odd number", "negative", "tomorrow", "yesterday"]
)
def test_a_busy_server_says_when_to_come_back(site, path, pauses, text, seconds):
    site.answers = [say(503, Retry_After=text), serve()]
    arrives(site.remote(), path, wait=1.0)
    assert pauses == [seconds]


NO_HTTP = {"other protocol": b"SSH-2.0-OpenSSH_9.6\r\n", "headers": b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 200 + b"\r\n", "nothing": b""}


@pytest.mark.parametrize("data", NO_HTTP.values(), ids=NO_HTTP)
def test_an_answer_that_is_no_http_is_one_message(site, path, data):
    def answer(handler):
        handler.wfile.write(data)
        handler.close_connection = True

    site.answers = [answer]
    assert ("the answer is not proper HTTP (" if data else "the connection was cut (") in fails(site.remote(), path, attempts=1)
    assert len(site.requests) == 2


# Redirects and addresses


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed_also_for_a_part(site, path, status):
    site.answers = [say(status, Location="/a b/ö?x=1"), serve(cut=100_000), say(status, Location=f"{site.origin}/c"), serve()]
    arrives(site.remote(), path)
    assert [address for address, _ in site.requests] == ["/cells.zip", "/a%20b/%F6?x=1", "/cells.zip", "/c"]
    assert site.ranges() == [None, None, "bytes=100000-", "bytes=100000-"]


@pytest.mark.parametrize("location", ["/cells.zip", "", None], ids=["itself", "nowhere", "missing"])
def test_a_loop_of_redirects_ends(site, path, location):
    site.answers = [say(302, Location=location)]
    assert "it redirects more than 10 times" in fails(site.remote(), path) and len(site.requests) == 11
    assert left(path) == []


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ftp://localhost/cells.zip", "data:text/plain,x", "//[", "http://localhost:99999/"]
)
def test_a_redirect_to_anything_but_http_is_refused(site, path, target):
    site.answers = [say(302, Location=target)]
    assert f"it redirects to '{target}'; expected http://... or https://..." in fails(site.remote(), path)
    assert len(site.requests) == 1
    assert left(path) == []


@pytest.mark.parametrize("url", ["file:///etc/passwd", "cells.zip", "", "ftp://localhost/x", "http://", "http://[", "http://localhost:x/"])
def test_an_address_that_is_not_http_is_refused(path, url):
    assert f"the address is '{url}'; expected http://... or https://..." in fails(RemoteFile(url, SIZE, "0" * 64), path)
    assert left(path) == []


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "a..b", "a b"], ids=["long", "dots", "space"])
def test_a_host_that_cannot_be_is_one_message(path, host):
    text = fails(RemoteFile(f"http://{host}/cells.zip", SIZE, "0" * 64), path)
    assert "is not valid" in text or "no connection to" in text


def test_passwords_and_tokens_are_used_but_never_shown(site, path, messages):
    remote = site.remote(url=site.url.replace("//", "//me:s%C3%BCss@") + "?token=tok3n#frag")
    site.answers = [
        say(503),
        say(302, Location="/real?sig=s1gn"),
        serve(DAMAGED),
        serve(cut=10),
        say(302, Location="ftp://you:h1dden@x/?k=k3y"),
    ]
    text = fails(remote, path)
    assert site.requests[0][0] == "/cells.zip?token=tok3n"
    assert site.requests[0][1]["Authorization"] == "Basic bWU6c8O8c3M=" and len(site.requests) == 6 - 1
    shown = "\n".join([text, *messages(), path.with_name("cells.zip.part.json").read_text()])
    assert f"{site.url}?***" in shown and "it redirects to 'ftp://x/?***'" in shown
    assert not [secret for secret in ("me:", "s%C3", "tok3n", "s1gn", "frag", "bWU6", "h1dden", "k3y") if secret in shown]


def test_a_password_does_not_follow_to_another_host(site, path):
    with contextlib.closing(Site()) as other:
        site.answers = [say(302, Location=other.url)]
        arrives(site.remote(url=site.url.replace("//", "//me:word@")), path)
        assert [site.requests[0][1]["Authorization"], other.requests[0][1]["Authorization"]] == ["Basic bWU6d29yZA==", None]


SHOWN = {
    "https://example.org/a/b.zip": "https://example.org/a/b.zip",
    "https://me:word@example.org:8/a?x=1&y=2#z": "https://example.org:8/a?***",
    "https://a:b@c@example.org/d@e": "https://example.org/d@e",
    "http://me:word@[": "http://[",
    "http://example.org?me@x": "http://example.org?***",
}


@pytest.mark.parametrize(("url", "shown"), SHOWN.items())
def test_public_url(url, shown):
    assert public_url(url) == shown


# No way to the server


def test_nothing_listens(path, closed, pauses):
    text = fails(RemoteFile(f"http://{closed}/cells.zip", SIZE, "0" * 64), path)
    assert text == f"cannot download http://{closed}/cells.zip: no connection to {closed}: Connection refused. {HINT}"
    assert left(path) == []
    assert pauses == []


def test_offline_is_told_at_once_and_keeps_what_has_arrived(path, monkeypatch, pauses):
    def getaddrinfo(*arguments, **keywords):
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    put(part_of(path), CONTENT[:100_000])
    assert fails(RemoteFile("https://cells.example/x.zip", SIZE, "0" * 64), path) == (
        "cannot download https://cells.example/x.zip: no connection to cells.example: its name is not known (is this machine online?). "
        f"100 kB of 300 kB are kept in '{path}.part'; the same command goes on from there. {HINT}"
    )
    assert part_of(path).read_bytes() == CONTENT[:100_000]
    assert pauses == []


def test_a_server_that_is_away_for_a_moment_is_waited_for(site, path, monkeypatch):
    connect, calls = socket.create_connection, itertools.count()

    def create_connection(*arguments, **keywords):
        if next(calls) in (1, 2):
            raise ConnectionRefusedError(111, "Connection refused")
        return connect(*arguments, **keywords)

    monkeypatch.setattr(socket, "create_connection", create_connection)
    site.answers = [serve(cut=100_000), serve()]
    arrives(site.remote(), path)
    assert next(calls) == 4
    assert sum(site.sent) == SIZE


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_is_away_is_named_without_its_password(path, monkeypatch, scheme, closed):
    monkeypatch.setenv(f"{scheme}_proxy", f"http://me:word@{closed}")
    text = fails(RemoteFile(f"{scheme}://cells.example/cells.zip", SIZE, "0" * 64), path)
    assert f"no connection to the proxy {closed}: Connection refused" in text and "word" not in text


def test_a_server_without_tls_is_told(site, path):
    assert f": no secure connection to localhost:{site.server_port}: " in fails(site.remote(url=site.url.replace("http:", "https:")), path)


def test_a_certificate_nobody_vouches_for_is_refused(tls_site, path):
    site = tls_site[0]
    assert f"the certificate of localhost:{site.server_port} is not valid: self-signed certificate" in fails(site.remote(), path)
    assert site.requests == []


def test_https_is_resumed_and_never_left_for_http(tls_site, site, path, monkeypatch):
    server, certificate = tls_site
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    server.answers = [serve(cut=100_000), say(302, Location=site.url), serve()]
    # Capitals do not get around it.
    remote = server.remote(url=server.url.replace("https", "HTTPS"))
    assert f"it redirects from https to http, where anyone on the way may change it: {site.url}" in fails(remote, path)
    assert site.requests == []
    arrives(remote, path)
    assert sum(server.sent) == SIZE
