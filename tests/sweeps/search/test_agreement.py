"""The same grid through Hydra's multirun, engine=local and engine=wandb: the same runs, the same numbers to the last bit."""

import csv
import json
import subprocess
import sys

import pytest
from conftest import ROOT
from wandb_server import WandbServer

from malaria_exp.sweeps.search.trials import read_values

pytest.importorskip("wandb")
pytest.importorskip("optuna")
# A nested parameter and a null are among them: W&B's agent hands these over as Python shows them.
SWEEP = """
program: run.py
method: grid
metric: {name: epoch/val_auc, goal: maximize}
parameters:
  model: {value: lenet_sequential}
  model.units: {values: [8, 16]}
  optimizer: {parameters: {learning_rate: {value: 0.002}, clip_norm: {value: null}}}
command: ["${env}", "${interpreter}", "${program}", "${args_no_hyphens}"]
"""
GRID = ["model=lenet_sequential", "model.units=8,16", "optimizer.learning_rate=0.002", "optimizer.clip_norm=null"]
VARIED = ("model", "model.units", "optimizer.learning_rate", "optimizer.clip_norm")
WAYS = ("multirun", "local", "wandb")


@pytest.fixture(scope="module")
def folders(tiny, cache_root, tmp_path_factory):
    """{way: the folders of its runs}; the three ways work at the same time."""
    root = tmp_path_factory.mktemp("agreement")
    (root / "grid.yaml").write_text(SWEEP)
    server = WandbServer()
    # The runs stay offline: that the sweep lives at the server is no reason for them to go there.
    environment = server.environment(root / "home") | {"WANDB_MODE": "offline"}
    sweep = ["task=sweep", f"file={root / 'grid.yaml'}"]
    commands = {
        "multirun": ["-m", *GRID, f"hydra.sweep.dir={root / 'multirun'}"],
        "local": [*sweep, "engine=local", f"hydra.run.dir={root / 'local'}"],
        "wandb": [*sweep, "engine=wandb", f"hydra.run.dir={root / 'wandb'}"],
    }
    processes = {}
    for way, command in commands.items():
        with (root / f"{way}.txt").open("w") as said:
            processes[way] = subprocess.Popen(
                [sys.executable, "run.py", *command, *tiny], cwd=ROOT, env=environment, stdout=said, stderr=subprocess.STDOUT
            )
    try:
        for way, process in processes.items():
            assert process.wait(timeout=400) == 0, (root / f"{way}.txt").read_text()
    finally:
        for process in processes.values():
            process.terminate()
        server.close()
    found = {way: sorted(path.parent for path in (root / way).rglob("metrics.json")) for way in WAYS}
    assert all(len(paths) == 2 for paths in found.values())
    return found


def overrides(folder):
    """What the sweep gave to a run, as text that can be a key."""
    values = read_values(json.loads((folder / "status.json").read_text())["overrides"])
    return json.dumps([values[name] for name in VARIED])


def numbers(folder):
    """All results of a run and the course of its training, but for what a clock says."""
    metrics = json.loads((folder / "metrics.json").read_text())
    del metrics["training"]["train_seconds"]
    with (folder / "history.csv").open(newline="") as file:
        rows = [{name: text for name, text in row.items() if name not in ("seconds", "cells_per_second")} for row in csv.DictReader(file)]
    return metrics, rows


def test_the_same_runs(folders):
    expected = {json.dumps(["lenet_sequential", units, 0.002, None]) for units in (8, 16)}
    for way in WAYS:
        assert {overrides(folder) for folder in folders[way]} == expected, way


def test_the_same_numbers_to_the_last_bit(folders):
    by_way = {way: {overrides(folder): numbers(folder) for folder in folders[way]} for way in WAYS}
    one, other = by_way["multirun"].values()
    assert one != other, "the runs of the grid differ"
    assert by_way["local"] == by_way["multirun"]
    assert by_way["wandb"] == by_way["multirun"]


def test_runs_that_stay_offline_keep_the_names_that_the_agent_gave_them(folders):
    names = {json.loads((folder / "wandb.json").read_text())["id"] for folder in folders["wandb"]}
    assert names == {"s0r0", "s0r1"}
    assert not any((folder / "wandb.json").exists() for way in ("multirun", "local") for folder in folders[way])
