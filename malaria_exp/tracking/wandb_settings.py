"""How the W&B client is set up: quietly, without a question, and without anything secret."""

import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, Literal

from malaria_exp.utils.errors import ConfigError
from malaria_exp.utils.redaction import redact, redact_overrides

Mode = Literal["auto", "online", "offline", "disabled"]
ONLINE_PATIENCE, OFFLINE_PATIENCE, INIT_SECONDS = 300.0, 60.0, 90.0


def need_wandb(path: str) -> None:
    """Raises a ConfigError if the client is not installed."""
    if not find_spec("wandb"):
        raise ConfigError(f"{path}: the package wandb is not installed. Install it: pip install 'malaria_exp[wandb]'")


def has_key(path: str) -> bool:
    """Tells whether the client finds a key by itself: in the environment, or for its server in the netrc file that 'wandb login' writes.

    Args:
        path: where the client is asked for in the configuration, for messages.

    Raises:
        ConfigError: the key, or the server's address in WANDB_BASE_URL, is malformed.
    """
    import wandb
    from wandb.sdk import wandb_setup
    from wandb.sdk.lib import wbauth

    try:
        # The client's own search, as the host under which a key is stored differs between its versions.
        host = os.environ.get("WANDB_BASE_URL") or wandb_setup.singleton().settings.base_url
        return wbauth.authenticate_session(host=host, source="malaria_exp", prompt=False, update_session=False) is not None
    except (wandb.errors.AuthenticationError, ValueError) as error:
        reason = redact(" ".join(str(error).split()))
        raise ConfigError(f"{path}: the client cannot use the key or the server's address it finds: {reason}") from None


def choose_mode(mode: Mode) -> Literal["online", "offline", "disabled"]:
    """Returns the mode that "auto" stands for: WANDB_MODE's, else online with a key and offline without; checks "online".

    Raises:
        ConfigError: online, and there is no key.
    """
    source = ""
    if mode == "auto":
        wanted = os.environ.get("WANDB_MODE", "")
        if wanted not in ("online", "offline", "disabled"):
            return "online" if has_key("logger.wandb.mode") else "offline"
        mode, source = wanted, " from WANDB_MODE"  # type: ignore[assignment]
    # Without a key the client would ask for one on a thread that cannot read an answer.
    if mode == "online" and not has_key("logger.wandb.mode"):
        raise ConfigError(
            f"logger.wandb.mode: received 'online'{source}, but there is no key. Run 'wandb login', or set WANDB_API_KEY, or give"
            " logger.wandb.mode=offline: its runs can be sent later with 'wandb sync'."
        )
    return mode  # type: ignore[return-value]


def keep_quiet() -> None:
    """Keeps the client's remarks and warnings off the terminal; its errors are still shown."""
    import wandb
    from wandb.sdk import wandb_setup

    # Loading the settings resets what is shown, so they are loaded first.
    _ = wandb_setup.singleton().settings
    wandb.termsetup(wandb.Settings(show_info=False, show_warnings=False), None)


def settings(seconds: float) -> Any:
    """Returns the client's settings.

    Args:
        seconds: it may take to finish.
    """
    import wandb

    # The client would record the command line as it was typed.
    secret = hides_something(sys.argv[1:])
    return wandb.Settings(
        console="off", silent=True, init_timeout=INIT_SECONDS, finish_timeout=seconds, finish_timeout_raises=True, x_disable_meta=secret
    )


def hides_something(arguments: Sequence[str]) -> bool:
    """Tells whether a command line holds a key, a token, a password or a signed address."""
    return redact_overrides(list(arguments)) != list(arguments)
