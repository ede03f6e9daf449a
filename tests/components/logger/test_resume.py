"""The logger of a run that was cut off and goes on has every point once, as that of a run that nobody touched."""

import csv
import json

import pytest

from malaria_exp.components.logger.tensorboard import read_events
from malaria_exp.config.durations import RunLength
from malaria_exp.config.registry import build
from malaria_exp.tracking.logger_interface import Position, Run

PARAMS = {"csv": {}, "jsonl": {}, "tensorboard": {"steps": 1}}


def begin(name, folder, resumed=None):
    folder.mkdir(exist_ok=True)
    logger = build("logger", name, PARAMS[name])
    logger.start(Run(folder, "run", None, "train", {}, resumed=resumed))
    if not (resumed and resumed.step):
        logger.hparams({"seed": 1})
    logger.training(RunLength(3, 3, 4), "val_auc")
    return logger


def tell(logger, steps):
    for step in steps:
        logger.scalars("step", step, {"loss": 1 / step})
        if step % 3 == 0:
            logger.scalars("epoch", step // 3, {"epoch": step // 3, "loss": 1 / step, "val_auc": 0.5})


def end(logger, status="done"):
    if status == "done":
        logger.results({"test/auc": 0.75})
    logger.finish(status, "" if status == "done" else "stopped")


def points(name, folder):
    if name == "csv":
        with (folder / "history.csv").open() as file:
            return list(csv.DictReader(file))
    if name == "jsonl":
        lines = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
        return [{key: line[key] for key in line if key != "time"} for line in lines if line["event"] not in ("resume", "training")]
    events = read_events((folder / "tensorboard").rglob("events.out.tfevents.*"))
    return sorted((value.tag, event.step) for event in events for value in event.summary.value)


DURING = [(how, position) for how in ("killed", "interrupted") for position in (Position(), Position(1, 4), Position(2, 6))]


@pytest.mark.parametrize(("how", "position"), [*DURING, ("after the training", Position(3, 9))])
@pytest.mark.parametrize("name", PARAMS)
def test_every_point_stands_there_once(tmp_path, name, how, position):
    whole = begin(name, tmp_path / "whole")
    tell(whole, range(1, 10))
    end(whole)
    cut = begin(name, tmp_path / "cut")
    tell(cut, range(1, 10 if how == "after the training" else 8))
    if how == "after the training":
        cut.results({"test/auc": 0.75})
    cut.settle()
    if how == "interrupted":
        end(cut, "interrupted")
    if how == "killed" and name != "tensorboard":
        path = next((tmp_path / "cut").iterdir())
        path.write_text(path.read_text() + '{"event": "st')
    resumed = begin(name, tmp_path / "cut", position)
    tell(resumed, range(position.step + 1, 10))
    end(resumed)
    assert points(name, tmp_path / "cut") == points(name, tmp_path / "whole")
