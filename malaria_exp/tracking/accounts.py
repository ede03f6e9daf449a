"""Which accounts the program would find on this machine: where a key comes from, never the key."""

import os
from pathlib import Path

from malaria_exp.tracking.wandb_settings import has_key, need_wandb


def wandb_account() -> str:
    """Returns where W&B's key comes from, in words.

    Raises:
        ConfigError: the client is not installed, or cannot use the key.
    """
    need_wandb("logger.wandb")
    mode = f"; WANDB_MODE={os.environ['WANDB_MODE']}" if os.environ.get("WANDB_MODE") else ""
    if not has_key("logger.wandb.mode"):
        return f"no key: runs are kept offline{mode}"
    return ("a key in WANDB_API_KEY" if os.environ.get("WANDB_API_KEY") else "a key from 'wandb login'") + mode


def mlflow_account() -> str:
    """Returns where MLflow's server is named and whether there are credentials for it, in words."""
    server = "a server in MLFLOW_TRACKING_URI" if os.environ.get("MLFLOW_TRACKING_URI") else "no server: a store beside the runs"
    return f"{server}; {_found(('MLFLOW_TRACKING_TOKEN', 'MLFLOW_TRACKING_USERNAME', 'MLFLOW_TRACKING_PASSWORD'), '~/.mlflow/credentials')}"


def kaggle_account() -> str:
    """Returns where Kaggle's key is, in words; https://github.com/Kaggle/kaggle-api/blob/main/docs/README.md."""
    folder = os.environ.get("KAGGLE_CONFIG_DIR", "~/.kaggle")
    files = (f"{folder}/kaggle.json", f"{folder}/access_token", "~/.config/kaggle/kaggle.json")
    return _found(("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY"), *files)


def _found(variables: tuple[str, ...], *files: str) -> str:
    places = [name for name in variables if os.environ.get(name)]
    places += [file for file in files if Path(file).expanduser().is_file()]
    return f"credentials in {', '.join(places)}" if places else "no credentials"
