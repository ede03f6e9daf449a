"""The program that plans large grids: the jobs it makes up are, for resume=true, those of the command it then times."""

import importlib.util
import json

import yaml
from conftest import ROOT

from malaria_exp.multirun_record import Record, changed_jobs, read_record, unfinished


def test_copied_jobs_are_those_of_the_grid_and_done(tmp_path):
    spec = importlib.util.spec_from_file_location("benchmark_many_jobs", ROOT / "benchmarks" / "many_jobs.py")
    many = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(many)
    config = "model:\n  name: cellnet\nseed: 0\nbatch_size: 128\n"
    for number in range(2):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "config.yaml").write_text(config.replace("seed: 0", f"seed: {number}"))
        (tmp_path / str(number) / "status.json").write_text(json.dumps({"status": "done"}))
    Record.of([["batch_size=128", f"seed={number}"] for number in range(2)]).write(tmp_path)
    many.multiply(tmp_path, 5)
    whole = Record.of([["batch_size=128", f"seed={number}"] for number in range(5)])
    assert read_record(tmp_path) == whole
    assert unfinished(tmp_path, whole) == []
    assert changed_jobs(tmp_path, {number: yaml.safe_load(config) | {"seed": number} for number in range(5)}) == []
