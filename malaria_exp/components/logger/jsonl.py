"""events.jsonl in the run's folder: everything a program may want to follow while the run goes on, one JSON object a line."""

import json
import math
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from malaria_exp.config.durations import RunLength
from malaria_exp.config.registry import register
from malaria_exp.config.validation import Count
from malaria_exp.tracking.logger_interface import Artifact, Axis, Logger, Position, Run, Status
from malaria_exp.utils.atomic_files import write_text
from malaria_exp.utils.rows import Row


@register("logger", "jsonl")
def jsonl(*, steps: Count = 1) -> Logger:
    """Writes events.jsonl, a JSON object a line: parameters, every step and epoch, results, artifacts and the end.

    Args:
        steps: scalars of every so many training steps; 0 for none.
    """
    return JsonlLogger(steps)


class JsonlLogger(Logger):
    """Appends each event as one whole line and flushes it; nan and infinite numbers are null.

    Args:
        steps: see `jsonl`.
    """

    def __init__(self, steps: int = 1) -> None:
        self.wants = {"steps": steps}

    def start(self, run: Run) -> None:
        """Opens the file; of a run that goes on, it keeps what came before."""
        self.path: Path = run.folder / "events.jsonl"
        if run.resumed is not None and self.path.exists():
            write_text(self.path, "".join(_until(run.resumed, self.path.read_text(encoding="utf-8").splitlines(keepends=True))))
        if run.resumed is None or not run.resumed.step:
            self._write("start", {"name": run.name, "group": run.group, "job": run.job})
        else:
            self._write("resume", {"epoch": run.resumed.epoch, "step": run.resumed.step})

    def hparams(self, params: Mapping[str, str | int | float | bool]) -> None:
        """Writes them."""
        self._write("hparams", params)

    def training(self, length: RunLength, monitor: str) -> None:
        """Writes how long it will be."""
        self._write("training", {"epochs": length.epochs, "steps": length.steps, "batch_size": length.batch_size, "monitor": monitor})

    def scalars(self, axis: Axis, number: int, values: Row) -> None:
        """Writes them."""
        self._write(axis, {axis: number, **values})

    def results(self, values: Row) -> None:
        """Writes them."""
        self._write("results", values)

    def artifact(self, artifact: Artifact) -> None:
        """Writes what it is and where it lies."""
        known = {"name": artifact.name, "kind": artifact.kind, "made": artifact.made, "facts": dict(artifact.facts)}
        self._write("artifact", known | {"files": [file.name for file in artifact.files]})

    def finish(self, status: Status, reason: str) -> None:
        """Writes how it ended."""
        self._write("finish", {"status": status, "reason": reason})

    def _write(self, event: str, values: Mapping[str, Any]) -> None:
        plain = {key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in values.items()}
        line = json.dumps({"event": event, "time": round(time.time(), 3), **plain}, allow_nan=False)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def _until(position: Position, lines: list[str]) -> Iterator[str]:
    """Yields the lines of a run that was cut off, up to where it goes on."""
    for line in lines if position.step else ():
        try:
            event = json.loads(line)
            number = event.get(event["event"], 0)
        except (ValueError, KeyError, AttributeError):
            return  # the last line, written in part
        if event["event"] in ("results", "finish") or (
            event["event"] in ("step", "epoch") and not position.reaches(event["event"], number)
        ):
            return
        yield line
