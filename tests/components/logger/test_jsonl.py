import json
import math

from malaria_exp.config.durations import RunLength
from malaria_exp.config.registry import build
from malaria_exp.tracking.logger_interface import Artifact


def test_every_event_is_a_line_of_strict_json(run):
    logger = build("logger", "jsonl", {"steps": 5})
    assert logger.wants == {"steps": 5}
    logger.start(run)
    logger.hparams({"seed": 3, "model": "cellnet"})
    logger.training(RunLength(2, 3, 4), "val_auc")
    logger.scalars("step", 5, {"loss": 0.5})
    logger.scalars("epoch", 1, {"epoch": 1, "loss": math.nan, "val_auc": 0.75})
    logger.results({"test/auc": 0.9})
    logger.artifact(Artifact("split", "split", (run.folder / "split.csv",), {"split_hash": "ab"}))
    logger.finish("failed", "Training diverged")

    def refuse(text):
        raise AssertionError(text)

    lines = [json.loads(line, parse_constant=refuse) for line in (run.folder / "events.jsonl").read_text().splitlines()]
    assert [line["event"] for line in lines] == ["start", "hparams", "training", "step", "epoch", "results", "artifact", "finish"]
    assert lines[2]["steps"] == 6
    assert (lines[3]["step"], lines[3]["loss"]) == (5, 0.5)
    assert (lines[4]["loss"], lines[4]["val_auc"]) == (None, 0.75)
    assert lines[6]["files"] == ["split.csv"] and lines[6]["facts"] == {"split_hash": "ab"}
    assert (lines[7]["status"], lines[7]["reason"]) == ("failed", "Training diverged")
    assert all(line["time"] > 1.7e9 for line in lines)
