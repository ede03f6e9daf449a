"""What loggers are told of a run at its start: its name, its group, and what tells it from other runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from malaria_exp.config.run_config import Config
from malaria_exp.tracking.logger_interface import Run
from malaria_exp.utils.redaction import redact_overrides

# Hydra keeps this file in the folder of a multirun, above the jobs' own folders.
MULTIRUN_FILE = "multirun.yaml"
# The groups whose option tells a run from others; the names of several options are joined by "+".
TELLING_GROUPS = ("dataset", "split", "aug", "model", "loss", "optimizer", "schedule", "trainer")


def describe_run(config: Config, folder: Path, overrides: list[str]) -> Run:
    """Returns the facts of a run whose folder holds its config.yaml."""
    group = folder.parent.name if (folder.parent / MULTIRUN_FILE).exists() else None
    fold = config.one("split").params.get("fold")
    composed = OmegaConf.to_container(OmegaConf.load(folder / "config.yaml"), resolve=False)
    if not isinstance(composed, dict):
        raise TypeError("Expected a mapping in config.yaml.")
    plain = {str(key): value for key, value in composed.items()}
    name = f"{group}-{folder.name}" if group else folder.name
    # A run writes its config.yaml first; the loggers begin some seconds later, when their packages are imported.
    started = (folder / "config.yaml").stat().st_mtime
    return Run(folder, name, group, "train" if fold is None else f"fold-{fold}", plain, redact_overrides(overrides), started=started)


def run_params(config: Mapping[str, Any], overrides: list[str] | tuple[str, ...] = ()) -> dict[str, str | int | float | bool]:
    """Returns what tells a run from others: the options of its groups, seed, batch size and learning rate, and what was set by hand.

    Args:
        config: the composed configuration, nested.
        overrides: what the user typed; of these, keys with a plain value are taken from the configuration.
    """
    params: dict[str, str | int | float | bool] = {}
    for group in TELLING_GROUPS:
        node = config.get(group)
        if isinstance(node, Mapping):
            params[group] = str(node["name"]) if "name" in node else "+".join(map(str, node))
    keys = ["seed", "batch_size", "optimizer.learning_rate", "trainer.epochs"]
    keys += [item.partition("=")[0].lstrip("+~") for item in overrides]
    for key in keys:
        value: Any = config
        for part in key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if isinstance(value, str | int | float | bool):
            params[key] = value
    return params
