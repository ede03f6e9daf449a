"""Runs to compare, made of one finished run's files."""

import json
from pathlib import Path

import pytest
from omegaconf import OmegaConf

FILES = ("config.yaml", "status.json", "metrics.json", "history.csv", "split.csv", "predictions.csv")


@pytest.fixture
def copy_run(finished_run, tmp_path):
    """copy_run(name, {"loss.name": "focal"}, auc=0.9 ...) -> a folder with the files of a finished run, changed.

    history and split replace the files' text (history=None: no file), auc stands on test, leaky and split_hash in metrics.json.
    """

    def copy(name, changes=None, *, auc=None, history="", split=None, split_hash=None, leaky=False) -> Path:
        folder = tmp_path / name
        folder.mkdir(parents=True)
        texts = {file: (finished_run / file).read_text(encoding="utf-8") for file in FILES}
        config = OmegaConf.to_container(OmegaConf.create(texts["config.yaml"]))
        for key, value in (changes or {}).items():
            *path, last = key.split(".")
            section = config
            for part in path:
                section = section[part]
            section[last] = value
        texts["config.yaml"] = OmegaConf.to_yaml(OmegaConf.create(config))
        metrics = json.loads(texts["metrics.json"])
        metrics["leaky"] = leaky
        if auc is not None:
            metrics["subsets"]["test"]["ranking"]["auc"] = {"value": auc, "low": auc - 0.05, "high": auc + 0.05, "undefined": 0}
        if split_hash is not None:
            metrics["split_hash"] = split_hash
        texts["metrics.json"] = json.dumps(metrics)
        texts["split.csv"] = split or texts["split.csv"]
        texts["history.csv"] = history if history != "" else texts["history.csv"]
        for file, text in texts.items():
            if text is not None:
                (folder / file).write_text(text, encoding="utf-8")
        (folder / "report.html").write_text("<p>a report", encoding="utf-8")
        return folder

    return copy
