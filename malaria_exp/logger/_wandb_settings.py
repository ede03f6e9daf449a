"""How the W&B client is set up: quietly, without a question, and without anything secret."""

import netrc
import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, Literal
from urllib.parse import urlsplit

from malaria_exp.errors import ConfigError
from malaria_exp.provenance import redact_overrides

Mode = Literal["auto", "online", "offline", "disabled"]
HOST = "https://api.wandb.ai"
ONLINE_PATIENCE, OFFLINE_PATIENCE, INIT_SECONDS = 300.0, 60.0, 90.0


def need_wandb(path: str) -> None:
    """Raises a ConfigError if the client is not installed."""
    if not find_spec("wandb"):
        raise ConfigError(f"{path}: the package wandb is not installed. Install it: pip install 'malaria_exp[wandb]'")


def has_key() -> bool:
    """Tells whether the client would find a key by itself: in WANDB_API_KEY, or in the netrc file for the server's host."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL", HOST)).hostname or ""
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def choose_mode(mode: Mode) -> Literal["online", "offline", "disabled"]:
    """Returns the mode that "auto" stands for: WANDB_MODE's, else online with a key and offline without; checks "online".

    Raises:
        ConfigError: online, and there is no key.
    """
    if mode == "auto":
        wanted = os.environ.get("WANDB_MODE", "")
        if wanted in ("online", "offline", "disabled"):
            return wanted  # type: ignore[return-value]
        return "online" if has_key() else "offline"
    if mode == "online" and not has_key():
        raise ConfigError(
            "logger.wandb.mode: received 'online', but there is no key. Run 'wandb login', or set WANDB_API_KEY, or give"
            " logger.wandb.mode=offline: its runs can be sent later with 'wandb sync'."
        )
    return mode


def settings(seconds: float) -> Any:
    """Returns the client's settings.

    Args:
        seconds: it may take to finish.
    """
    import wandb

    # The client puts the command line as it was typed on record.
    secret = hides_something(sys.argv[1:])
    return wandb.Settings(
        console="off", silent=True, init_timeout=INIT_SECONDS, finish_timeout=seconds, finish_timeout_raises=True, x_disable_meta=secret
    )


def hides_something(arguments: Sequence[str]) -> bool:
    """Tells whether a command line holds a key, a token, a password or a signed address."""
    return redact_overrides(list(arguments)) != list(arguments)
