"""Writing a run's dataset as shards, whole or as one of several jobs that share them."""

from dataclasses import replace

from malaria_exp.config.registry import check_params
from malaria_exp.config.run_config import Config
from malaria_exp.data.shards.write_shards import WHOLE, write_shards
from malaria_exp.runs.load_data import load_table, resize_rule
from malaria_exp.utils.errors import ConfigError
from malaria_exp.utils.filesystems import open_filesystem


def prepare_shards(config: Config, *, whole: bool = False) -> None:
    """Writes the shards that the keys of task=prepare ask for.

    Args:
        config: of the job.
        whole: all shards, and with them dataset.json, whatever part the job is; those that are there and right are kept.

    Raises:
        ConfigError: a key has a wrong value.
        DataError: bad images, or the folder cannot be written or holds something else.
    """
    params = check_params("task", "prepare", config.one("task").params)
    parts, part = params["parts"], params["part"]
    if part >= parts:
        raise ConfigError(
            f"task.part: expected 0 to {parts - 1}, as task.parts={parts}; received {part}. All of them: -m task=prepare task.parts={parts}"
            f" 'task.part=range({parts})'"
        )
    rule = resize_rule(config)
    rule = replace(rule, size=params["size"] or rule.size)
    write_shards(
        load_table(config),
        open_filesystem(params["to"], "task.to"),
        rule,
        shard_mb=params["shard_mb"],
        seed=params["seed"],
        workers=config.cache.workers,
        root=config.cache.path,
        part=WHOLE if whole else (part, parts),
    )
