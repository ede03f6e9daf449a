"""Starting the service and ending it."""

import os
import socket
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from malaria_exp.config.run_files import MODEL_FILE
from malaria_exp.deployment.bundle import IN_RUN, MODELS, content_hash, file_name, onnx_of
from malaria_exp.deployment.deployed_model import DeployedModel, ModelFacts
from malaria_exp.deployment.open_model import open_model
from malaria_exp.deployment.service.limits import Limits, Settings
from malaria_exp.utils.errors import ConfigError
from malaria_exp.utils.program import program
from malaria_exp.utils.terminal_log import log

if TYPE_CHECKING:
    import uvicorn

    from malaria_exp.deployment.explanations.draw_one import Drawer

TOKEN_VARIABLE = "MALARIA_EXP_SERVE_TOKEN"  # noqa: S105 - the variable's name
SHORTEST_TOKEN = 16
PACKAGES = {"fastapi": "fastapi", "uvicorn": "uvicorn", "python_multipart": "python-multipart", "prometheus_client": "prometheus-client"}
LOOPBACK = ("127.0.0.1", "localhost", "::1")
# Idle connections are closed after so many seconds; when the service stops, requests in progress have so many to end.
KEEP_ALIVE_SECONDS, GRACE_SECONDS = 15, 20


def check_packages() -> None:
    """Raises a ConfigError if a package of the extra `serve` is missing."""
    missing = [shown for name, shown in PACKAGES.items() if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"task: serve needs the package{'s' * (len(missing) > 1)} {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not"
            " installed. Install what the service needs: pip install 'malaria_exp[serve]'"
        )


def read_token(file: str | None) -> str | None:
    """Returns the token that requests have to bring: the content of a file, or of the environment's MALARIA_EXP_SERVE_TOKEN; None for none.

    Raises:
        ConfigError: the file cannot be read, or the token is too short or holds letters that no header can.
    """
    where = f"the environment's {TOKEN_VARIABLE}" if file is None else f"task.token_file: '{file}'"
    try:
        text = os.environ.get(TOKEN_VARIABLE) if file is None else Path(file).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigError(f"{where} cannot be read: {reason}.") from None
    if text is None or (file is None and not text):
        return None
    token = text.strip()
    if len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError(
            f"{where}: expected a token of at least {SHORTEST_TOKEN} letters, digits and signs without spaces; received {len(token)}"
            ' characters. Make one: python -c "import secrets; print(secrets.token_urlsafe())"'
        )
    return token


def listen(host: str, port: int) -> socket.socket:
    """Returns a socket that listens; a ConfigError if the address cannot be had."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=512)
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"task.port: {port} on task.host={host} cannot be had: {getattr(error, 'strerror', None) or error}. Choose another: task.port=0 takes any"
            " that is free."
        ) from None


def serve(
    source: Path,
    *,
    host: str,
    port: int,
    token: str | None,
    limits: Limits,
    threads: int,
    drawer_of: "Callable[[DeployedModel], Drawer] | None" = None,
) -> None:
    """Serves a run or a bundle until SIGTERM or Ctrl-C; requests in progress are answered first.

    Args:
        source: the run's folder, or the bundle's. Of a run that has been exported its bundle is served, if that can make the maps.
        host: address to listen on.
        port: 0 for any that is free.
        token: that requests have to bring; None for none.
        limits: of requests.
        threads: that compute scores; 0 for one a core.
        drawer_of: from the model to what draws maps of cells, where that takes a run's own model; None: occlusion.

    Raises:
        ConfigError: a package is missing, the address cannot be had, or the model cannot be explained so.
        RunFolderError: there is no model.
    """
    check_packages()
    if drawer_of is None and (source / IN_RUN / file_name("onnx", "float32")).is_file():
        source /= IN_RUN
    # Before the model is read, which takes longer.
    with listen(host, port) as listener:
        model = open_model(source, threads=threads)
        drawer = drawer_of(model) if drawer_of else None
        server = make_server(model, Settings(token, frozenset(LOOPBACK) if host in LOOPBACK else None, limits, drawer))
        if MODELS not in model.facts.record and drawer is None:
            log.info(
                f"note      a run is served on TensorFlow; its bundle starts faster in less memory: {program()} task=export run={source}"
            )
        shown = f"[{host}]" if ":" in host else host
        log.info(f"serving   http://{shown}:{listener.getsockname()[1]}/ {source}; Ctrl-C stops it")
        if host not in LOOPBACK and token is None:
            log.warning(f"open      anybody who reaches this machine can use it; a token in {TOKEN_VARIABLE} or task.token_file closes it")
        try:
            server.run(sockets=[listener])
        except KeyboardInterrupt:
            # uvicorn raises the signal again once it has stopped; that it stopped is what was asked for.
            log.info("stopped")


def make_server(model: DeployedModel, settings: Settings) -> "uvicorn.Server":
    """Returns the server of a model; `run(sockets=[...])` starts it."""
    import uvicorn

    from malaria_exp.deployment.service.app import make_app
    from malaria_exp.deployment.service.connections import Connection

    config = uvicorn.Config(
        make_app(model, _digest(model.facts), settings),
        http=Connection,
        loop="asyncio",
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    return uvicorn.Server(config)


def _digest(facts: ModelFacts) -> str:
    """Returns the SHA-256 of the model's file as hex."""
    if MODELS not in facts.record:
        return content_hash(facts.folder / MODEL_FILE)
    return onnx_of(facts).sha256
