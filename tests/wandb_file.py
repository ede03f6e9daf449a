"""Reading what W&B's client wrote offline: LevelDB's log format, with records of the client's own protocol."""

import json
import time
from pathlib import Path

BLOCK, HEADER = 32768, 7
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def records(folder: Path):
    """Returns all records of the one offline run below a folder, as protocol messages."""
    from wandb.proto import wandb_internal_pb2

    (path,) = Path(folder).rglob("run-*.wandb")
    content, at, found, parts = path.read_bytes(), HEADER, [], b""
    assert content[:4] == b":W&B"
    while at + HEADER <= len(content):
        left = BLOCK - at % BLOCK
        if left < HEADER:
            at += left
            continue
        size, kind = int.from_bytes(content[at + 4 : at + 6], "little"), content[at + 6]
        if kind == 0:
            at += left
            continue
        parts += content[at + HEADER : at + HEADER + size]
        at += HEADER + size
        if kind in (FULL, LAST):
            found.append(wandb_internal_pb2.Record.FromString(parts))
            parts = b""
    return found


def items(message):
    """Returns {name: value} of a list of updates or of a history's items."""
    found = {}
    for item in message:
        name = item.key or "/".join(item.nested_key)
        found[name] = json.loads(item.value_json)
    return found


class Offline:
    """An offline run, read back.

    Attributes:
        run: its name, group, job type and config, as the client put them.
        config: nested.
        history: a dict a logged row.
        summary: the last value of each name.
        metrics: {name or pattern: definition}.
        artifacts: {name: artifact}.
        exit_code: how it ended.
    """

    def __init__(self, folder: Path) -> None:
        # The client's process writes in the background, a moment longer than the client waits for.
        for _ in range(100):
            all_of = records(folder)
            kinds = [one.WhichOneof("record_type") for one in all_of]
            if {"run", "exit"} <= set(kinds):
                break
            time.sleep(0.1)
        self.run = next(one.run for one, kind in zip(all_of, kinds, strict=True) if kind == "run")
        self.config = items(self.run.config.update)
        self.history = [items(one.history.item) for one, kind in zip(all_of, kinds, strict=True) if kind == "history"]
        self.summary = {}
        for one, kind in zip(all_of, kinds, strict=True):
            if kind == "summary":
                self.summary |= items(one.summary.update)
        self.metrics = {
            one.metric.name or one.metric.glob_name: one.metric for one, kind in zip(all_of, kinds, strict=True) if kind == "metric"
        }
        self.artifacts = [one.artifact for one, kind in zip(all_of, kinds, strict=True) if kind == "artifact"]
        self.requests = [one.request for one, kind in zip(all_of, kinds, strict=True) if kind == "request"]
        self.exit_code = next((one.exit.exit_code for one, kind in zip(all_of, kinds, strict=True) if kind == "exit"), None)
        self.kinds = kinds
