"""The program that draws configurations: a set is the same for the same numbers, and what it calls a failure is one."""

import importlib.util
import json

import pytest
from conftest import ROOT

from malaria_exp.utils.errors import ConfigError, DataError


@pytest.fixture(scope="module")
def fuzz():
    spec = importlib.util.spec_from_file_location("benchmark_fuzz_config", ROOT / "benchmarks" / "fuzz_config.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_set_depends_on_its_numbers_alone(fuzz):
    assert fuzz.draw(0, 7) == fuzz.draw(0, 7)
    assert len({tuple(fuzz.draw(0, number)) for number in range(20)}) > 15


def test_a_refused_set_leaves_no_folder(fuzz, tmp_path):
    how, text = fuzz.attempt(["model.stem=0"], tmp_path / "run")
    assert (how, text.partition(":")[0]) == ("refused", "model.stem")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("error", "recorded", "log", "how"),
    [
        (DataError("too few patients"), "DataError", "12:00 INFO dataset   synthetic: 107 cells", "by data"),
        (ConfigError("trainer.accumulate: 9"), "ConfigError", "12:00 INFO dataset   synthetic: 107 cells", "by data"),
        (ConfigError("model.stem: 0"), "ConfigError", "", "failure"),
        (DataError("too few patients"), "ValueError", "12:00 INFO dataset   synthetic: 107 cells", "failure"),
        (DataError(" "), "DataError", "12:00 INFO dataset   synthetic: 107 cells", "failure"),
    ],
)
def test_what_counts_as_a_failure(fuzz, tmp_path, error, recorded, log, how):
    (tmp_path / "status.json").write_text(json.dumps({"status": "failed", "error": recorded, "reason": "x"}))
    (tmp_path / "run.log").write_text(log)
    assert fuzz.judge(error, tmp_path)[0] == how
