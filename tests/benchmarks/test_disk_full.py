"""The program that fills disks would see a run that ends badly on one."""

import importlib.util
import subprocess

import pytest
from conftest import ROOT

MESSAGE = "dataset   synthetic: 10 cells\nerror: no room\n"


@pytest.fixture(scope="module")
def program():
    spec = importlib.util.spec_from_file_location("benchmark_disk_full", ROOT / "benchmarks" / "disk_full.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("code", "said", "files", "wrong"),
    [
        (6, MESSAGE, {"status.json": '{"status": "failed"}'}, []),
        (0, "", {"status.json": '{"status": "done"}'}, []),
        (6, MESSAGE, {}, []),
        (-7, MESSAGE, {}, ["exit code -7"]),
        (6, "", {}, ["0 messages"]),
        (6, MESSAGE + "error: more\n", {}, ["2 messages"]),
        (6, MESSAGE + "Traceback (most recent call last)", {}, ["'Traceback' printed"]),
        (6, MESSAGE, {"status.json": '{"status": "running"}'}, ["status is not failed"]),
        (6, MESSAGE, {"metrics.json": '{"a": '}, ["metrics.json is no JSON"]),
        (6, MESSAGE, {".0123abcd.model.keras": ""}, ["left .0123abcd.model.keras"]),
    ],
)
def test_what_is_wrong_is_seen(program, tmp_path, code, said, files, wrong):
    (tmp_path / "run").mkdir()
    for name, text in files.items():
        (tmp_path / "run" / name).write_text(text)
    found = program.faults(subprocess.CompletedProcess([], code, said, ""), tmp_path)
    assert len(found) == len(wrong)
    assert all(text in line for text, line in zip(wrong, found, strict=True))
    assert program.stage(said) == ("before decoding" if said else "at the start")
