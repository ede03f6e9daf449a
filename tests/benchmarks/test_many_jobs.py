"""The program that plans large grids: the jobs it makes up are, for resume=true, those of the command it then times."""

import json

import yaml

from malaria_exp.sweeps.job_status import unfinished
from malaria_exp.sweeps.multirun_record import Record, changed_jobs, read_record


def test_copied_jobs_are_those_of_the_grid_and_done(load, tmp_path):
    many = load("many_jobs")
    config = "optimizer:\n  name: adamw\n  learning_rate: {rate}\nseed: {seed}\nbatch_size: 128\n"
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "config.yaml").write_text(config.format(rate=many.RATES[0], seed=0))
    (tmp_path / "0" / "status.json").write_text(json.dumps({"status": "done"}))
    Record.of([["batch_size=128", f"optimizer.learning_rate={rate}", "seed=0"] for rate in many.RATES[:2]]).write(tmp_path)
    assert many.multiply(tmp_path, 3) == 30
    # As Hydra counts: the last key varies first.
    values = [(rate, seed) for rate in many.RATES for seed in range(3)]
    whole = Record.of([["batch_size=128", f"optimizer.learning_rate={rate}", f"seed={seed}"] for rate, seed in values])
    assert read_record(tmp_path) == whole and unfinished(tmp_path, len(whole.jobs)) == []
    composed = {number: yaml.safe_load(config.format(rate=rate, seed=seed)) for number, (rate, seed) in enumerate(values)}
    assert changed_jobs(tmp_path, composed) == []
