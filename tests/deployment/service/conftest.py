"""One tiny bundle, its service in this process, and a live server of it."""

import socket
import threading
import time

import pytest
from tiny_bundle import write_bundle

pytest.importorskip("onnxruntime")
pytest.importorskip("fastapi")


@pytest.fixture(scope="session")
def bundle(tmp_path_factory):
    """The folder of the tiny bundle; tests only read it."""
    pytest.importorskip("onnx")
    return write_bundle(tmp_path_factory.mktemp("bundle") / "bundle")


@pytest.fixture(scope="session")
def model(bundle):
    """The tiny model."""
    from malaria_exp.deployment.open_model import open_model

    return open_model(bundle, threads=1)


@pytest.fixture
def service(model):
    """service(**settings) -> a client of the service in this process, as the machine's own user asks."""
    from fastapi.testclient import TestClient

    from malaria_exp.deployment.service.app import make_app
    from malaria_exp.deployment.service.limits import Settings

    open_clients = []

    def start(used=model, **settings):
        client = TestClient(make_app(used, "0" * 64, Settings(**settings)), base_url="http://127.0.0.1")
        open_clients.append(client.__enter__())
        return client

    yield start
    for client in open_clients:
        client.__exit__(None, None, None)


@pytest.fixture
def live(model):
    """live(**settings) -> (port, server) of a server in a thread of this process."""
    from malaria_exp.deployment.service.limits import Settings
    from malaria_exp.deployment.service.serve import listen, make_server

    started = []

    def start(**settings):
        listener = listen("127.0.0.1", 0)
        server = make_server(model, Settings(**settings))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        started.append((server, thread))
        while not server.started:
            time.sleep(0.01)
        return listener.getsockname()[1], server

    yield start
    for server, thread in started:
        server.should_exit = server.force_exit = True
        thread.join(10)


@pytest.fixture
def connect():
    """connect(port) -> a socket to a server of this machine."""
    sockets = []

    def open_socket(port):
        sockets.append(socket.create_connection(("127.0.0.1", port), timeout=10))
        return sockets[-1]

    yield open_socket
    for one in sockets:
        one.close()
