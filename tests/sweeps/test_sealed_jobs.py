"""Which jobs of a grid leave their test subsets sealed."""

import json

import pytest

from malaria_exp.sweeps.sealed_jobs import SEAL, choose, may_be_sealed, sealed, sealed_as


@pytest.mark.parametrize(
    ("jobs", "chooses"),
    [
        ([["seed=0", "split.seed=${seed}"], ["seed=1", "split.seed=${seed}"]], False),
        ([["split=patient_kfold", "split.fold=0"], ["split=patient_kfold", "split.fold=1"]], False),
        ([["split=patient_kfold"], ["split=patient_holdout", "+split.x=1"]], False),
        ([["model=vit"]], False),
        ([["seed=0", "model=vit"], ["seed=1", "model=cellnet"]], True),
        ([["seed=0"], ["seed=0", "~aug.dihedral"]], True),
        # Keys that only begin alike.
        ([["seed_of_mine=0"], ["seed_of_mine=1"]], True),
        ([["dataset.seed=0"], ["dataset.seed=1"]], True),
    ],
)
def test_jobs_choose_if_they_differ_in_more_than_seed_and_split(jobs, chooses):
    assert choose(jobs) == chooses
    assert sealed(jobs) == [[*job, *[SEAL] * chooses] for job in jobs]


def test_what_the_user_said_stays_and_only_trainings_are_sealed():
    jobs = [["a=1"], ["a=2", "evaluation.test=true"], ["a=3", "++evaluation.test=false"], ["task=evaluate", "run=x"], ["task=train", "a=4"]]
    assert [job[-1] == SEAL for job in sealed(jobs)] == [True, False, False, False, True]
    assert may_be_sealed(["evaluation.tests=1"])


def test_a_job_that_goes_on_keeps_what_it_was_begun_with():
    jobs = [["a=1"], ["a=2"], ["a=3", SEAL]]
    assert sealed_as(jobs, [["a=1", SEAL], ["a=2"], ["a=3", SEAL]]) == [["a=1", SEAL], ["a=2"], ["a=3", SEAL]]


def test_a_grid_that_chooses_says_so_and_one_begun_before_goes_on_as_it_was(call_main, tmp_path):
    folder = tmp_path / "out"
    # Neither job can be run, so no TensorFlow is loaded.
    command = ["-m", "batch_size=-1,-2", f"hydra.sweep.dir={folder}"]
    _, told = call_main(*command)
    assert f"stay sealed ({SEAL})" in told and "evaluation.test=true opens all" in told

    def overrides():
        return [json.loads((folder / str(job) / "status.json").read_text())["overrides"] for job in range(2)]

    begun = [["batch_size=-1", SEAL], ["batch_size=-2", SEAL]]
    assert overrides() == json.loads((folder / "multirun.json").read_text())["jobs"] == begun
    call_main(*command, "resume=true")
    assert overrides() == begun
    # As a version wrote it that did not know the seal.
    record = json.loads((folder / "multirun.json").read_text())
    (folder / "multirun.json").write_text(json.dumps(record | {"jobs": [job[:1] for job in begun]}))
    _, told = call_main(*command, "resume=true")
    assert overrides() == [job[:1] for job in begun] and "sealed" not in told


def test_seeds_and_folds_choose_nothing(call_main, tmp_path):
    _, told = call_main("-m", "seed=-1,-2", "split.seed=0,1", f"hydra.sweep.dir={tmp_path / 'out'}")
    assert "sealed" not in told and len(json.loads((tmp_path / "out" / "multirun.json").read_text())["jobs"]) == 4
