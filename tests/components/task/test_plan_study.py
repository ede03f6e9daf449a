"""The plan of a study from the files of a run; nothing is trained."""

import csv

import pytest
from conftest import compose_app
from omegaconf import OmegaConf
from pool_runs import write_run

from malaria_exp.utils.errors import ConfigError, RunFolderError


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs with the same test cells, and one with others."""
    folder = tmp_path_factory.mktemp("runs")
    config = OmegaConf.to_container(OmegaConf.create(compose_app(["split=patient_kfold"], folder).config_text))
    # Two folds: half of the twelve patients are too few for sensitivity, but not for specificity.
    return [
        write_run(folder / name, config, fold=fold, seed=seed, changes={"split.k": 3})
        for name, fold, seed in (("a", 0, 0), ("b", 0, 1), ("c", 1, 0))
    ]


def test_too_few_patients_tell_nothing(runs, run_task, tmp_path):
    with pytest.raises(RunFolderError, match="tells nothing to plan by: sensitivity: no plan; . patients have cells for it, 5 are needed"):
        run_task(["task=plan_study", f"run={runs[0]}"], tmp_path / "plan")


@pytest.mark.parametrize(
    ("overrides", "error", "message"),
    [
        ([], ConfigError, "run: missing"),
        (["task.cells=[]", "run={0}"], ConfigError, "task.cells: expected at least one"),
        (["task.width=2", "run={0}"], ConfigError, "task.width"),
        (["task.other={2}", "run={0}"], RunFolderError, "tested on other cells"),
        (["run=/nowhere"], RunFolderError, "nowhere"),
    ],
)
def test_what_a_user_can_get_wrong_is_one_message(runs, run_task, tmp_path, overrides, error, message):
    with pytest.raises(error, match=message):
        run_task(["task=plan_study", *(one.format(*runs) for one in overrides)], tmp_path / "plan")
    assert not (tmp_path / "plan" / "plan_study.csv").exists()


@pytest.mark.parametrize("other", [False, True])
def test_a_pooled_result_gives_a_row_for_each_metric_and_number_of_cells(runs, run_task, tmp_path, other):
    pooled = run_task(["task=pool", f"runs=[{runs[0]},{runs[2]}]", "evaluation.resamples=20"], tmp_path / "pooled")
    more = [f"task.other={pooled}"] if other else []
    folder = run_task(["task=plan_study", f"run={pooled}", "task.cells=[10,100]", *more], tmp_path / "plan")
    with (folder / "plan_study.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if other:
        # A run does not differ from itself.
        assert {row["patients_for_difference"] for row in rows} == {""}
    else:
        assert [row["cells"] for row in rows] == ["10", "100"] * (len(rows) // 2)
        assert all(int(row["patients_for_difference"]) > 2 for row in rows)
    assert "95% interval 0.05 wide needs" in (folder / "plan_study.md").read_text()
