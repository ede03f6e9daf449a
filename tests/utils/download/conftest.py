"""What the tests of downloads share."""

import contextlib
import logging
import shutil
import socket
import ssl
import subprocess

import pytest
from web_server import Site

from malaria_exp.utils import resuming_download


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def site():
    with contextlib.closing(Site()) as server:
        yield server


@pytest.fixture
def messages(caplog, monkeypatch):
    """Returns the texts that were logged."""
    caplog.set_level(logging.INFO, logger="malaria_exp")
    monkeypatch.setattr(logging.getLogger("malaria_exp"), "propagate", True)
    return lambda: [record.getMessage() for record in caplog.records]


@pytest.fixture
def pauses(monkeypatch):
    """Seconds of each pause between two requests; nothing is waited for."""
    found = []
    monkeypatch.setattr(resuming_download.time, "sleep", found.append)
    return found


@pytest.fixture
def path(tmp_path):
    return tmp_path / "downloads" / "cells.zip"


@pytest.fixture
def closed():
    """An address of this machine where nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def tls_site(tmp_path):
    """A server with a certificate of its own for localhost, and the certificate's file."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    where = ["-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate]
    subprocess.run([*command.split(), *where], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with contextlib.closing(Site(context)) as server:
        yield server, certificate
