"""Fetching a model from Weights & Biases: wandb://entity/project/name:version."""

import re
from pathlib import Path

from malaria_exp.data.cache_contents import FETCHED
from malaria_exp.data.cache_folders import TAG
from malaria_exp.runs.remote_runs import CHECKSUMS, content_name, fetch_once
from malaria_exp.runs.weights_file import ENDINGS
from malaria_exp.tracking.wandb_settings import has_key, need_wandb
from malaria_exp.utils.errors import ConfigError, DataError, UserError
from malaria_exp.utils.terminal_log import log

SCHEME = "wandb"
ADDRESS = re.compile(r"wandb://(?:(?P<entity>[\w.-]+)/)?(?P<project>[\w.-]+)/(?P<name>[\w.-]+):(?P<version>[\w.-]+)")


def local_artifact(url: str, root: Path, key: str) -> Path:
    """Returns the local file of a model artifact's weights, fetched unless the cache has this version.

    Args:
        url: wandb://entity/project/name:version; the version is v3, say, or an alias such as latest or trained.
        root: the cache folder.
        key: the key of the configuration, for messages.

    Raises:
        ConfigError: the address is malformed, the client is not installed, there is no key, or the artifact holds no weights.
        DataError: it cannot be fetched.
    """
    found = ADDRESS.fullmatch(url)
    if not found:
        raise ConfigError(
            f"{key}: received '{url}'; expected wandb://entity/project/name:version, such as wandb://me/malaria_exp/cellnet-model:trained."
        )
    need_wandb(key)
    if not has_key(key):
        raise ConfigError(f"{key}: '{url}' needs a key. Run 'wandb login', or set WANDB_API_KEY; or give a file or a run's folder instead.")
    import wandb

    try:
        artifact = wandb.Api(timeout=30).artifact(url.removeprefix("wandb://"))
        # Named by its digest, because an alias may move on to another version.
        folder = root / FETCHED / content_name(f"{url.rpartition(':')[0]}\0{artifact.digest}".encode())
        if fetch_once(folder, lambda temporary: artifact.download(root=str(temporary))):
            log.info(f"fetched   {url} ({artifact.version})")
    except UserError:
        raise
    except Exception as error:  # noqa: BLE001 - the client raises what its transport raises
        reason = " ".join(str(error).split())
        raise DataError(f"{key}: cannot fetch '{url}': {type(error).__name__}: {reason[:300]}") from None
    weights = sorted(path for path in folder.rglob("*") if path.name.endswith(ENDINGS))
    if not weights:
        names = sorted(path.name for path in folder.iterdir() if path.name not in (TAG, CHECKSUMS))
        raise ConfigError(f"{key}: '{url}' holds no weights ({', '.join(ENDINGS)}), but {', '.join(names)}.")
    return weights[0]
