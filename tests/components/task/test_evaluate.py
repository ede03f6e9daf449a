import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import compose_app
from PIL import Image

from malaria_exp.config.registry import build
from malaria_exp.data.cell_table import CLASS_NAMES
from malaria_exp.evaluation.predictions import read
from malaria_exp.runs.finished_runs import FinishedRun
from malaria_exp.runs.load_data import load_and_decode
from malaria_exp.utils.errors import ConfigError, DataError, LeakError, RunFolderError

SMALL = ["dataset.healthy_patients=3", "dataset.cells_per_patient=8", "dataset.cell_size=40", "evaluation.resamples=20"]


def test_a_run_scored_again_scores_the_same(finished_run, run_task, tmp_path):
    folder = run_task(["task=evaluate", f"run={finished_run}", "evaluation.resamples=20"], tmp_path / "again")
    one, two = read(finished_run / "predictions.csv"), read(folder / "predictions.csv")
    assert one.cell_id.tolist() == two.cell_id.tolist()
    np.testing.assert_array_equal(one.score, two.score)
    assert json.loads((finished_run / "metrics.json").read_text())["calibration"]["name"] == "platt"
    first, second = (json.loads((path / "metrics.json").read_text()) for path in (finished_run, folder))
    assert first["subsets"] == second["subsets"]
    assert second["thresholds"] == first["thresholds"]


def test_other_patients_are_all_scored_at_the_frozen_thresholds(finished_run, run_task, tmp_path):
    folder = run_task(
        [
            "task=evaluate",
            f"run={finished_run}",
            "dataset=synthetic",
            "dataset.seed=5",
            "dataset.infected_patients=3",
            "allow_leak=true",
            *SMALL,
        ],
        tmp_path / "other",
    )
    predictions = read(folder / "predictions.csv")
    assert predictions.subsets == ("external",)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["thresholds"] == json.loads((finished_run / "metrics.json").read_text())["thresholds"]
    assert metrics["subsets"]["external"]["counted"]["cells"] == len(predictions)
    # Synthetic patients of another seed have the same names, so they leak, and the report says so.
    assert metrics["leaky"] is True
    assert "LEAKY" in (folder / "report.html").read_text()


def test_shared_patients_and_images_are_listed_and_refused(finished_run, run_task, tmp_path):
    with pytest.raises(LeakError) as error:
        # More patients of the same seed: those of the run are among them, to the pixel.
        run_task(
            ["task=evaluate", f"run={finished_run}", "dataset=synthetic", "dataset.infected_patients=10", *SMALL], tmp_path / "refused"
        )
    assert "patients" in str(error.value)
    assert "images" in str(error.value)
    assert "P50" in str(error.value)
    assert "allow_leak=true" in str(error.value)
    assert json.loads((tmp_path / "refused" / "status.json").read_text())["status"] == "failed"


@pytest.fixture
def copies(finished_run, tmp_path):
    """copies(ending, **options) -> a folder with training cells of the run, written anew as other files under other names."""

    def write(ending, **options):
        sizes = {"infected_patients": 8, "healthy_patients": 3, "cells_per_patient": 8, "cell_size": 40}
        table = build("dataset", "synthetic", sizes)
        rows = FinishedRun.read(finished_run).manifest.rows("train")
        for label, name in enumerate(CLASS_NAMES):
            (tmp_path / ending / name).mkdir(parents=True)
            for row in rows[table.label[rows] == label][:6]:
                Image.fromarray(table.source.read(row)).save(tmp_path / ending / name / f"x{row}.{ending}", **options)
        return tmp_path / ending

    return write


def test_training_cells_in_other_files_are_known_by_their_pixels(finished_run, run_task, copies, tmp_path):
    with pytest.raises(LeakError, match=r"12 images, matched by content:\n"):
        run_task(
            ["task=evaluate", f"run={finished_run}", "dataset=folder", f"dataset.path={copies('png', compress_level=1)}"], tmp_path / "x"
        )


def test_lossy_copies_of_training_cells_are_reported(finished_run, run_task, copies, tmp_path):
    given = ["dataset=folder", f"dataset.path={copies('jpg', quality=90)}", "evaluation.resamples=20"]
    page = (run_task(["task=evaluate", f"run={finished_run}", *given], tmp_path / "x") / "report.html").read_text()
    assert "no image with the same pixels was in training or validation" in page
    assert "12 look like copies of images in training or validation" in page


def test_the_same_data_named_again_is_the_runs_own(finished_run, run_task, tmp_path):
    folder = run_task(
        ["task=evaluate", f"run={finished_run}", "dataset=synthetic", "dataset.infected_patients=8", *SMALL], tmp_path / "own"
    )
    assert set(read(folder / "predictions.csv").subsets) == {"val", "test"}


@pytest.mark.parametrize(("overrides", "message"), [([], r"run=outputs/"), (["run={}/nowhere"], r"nowhere.*status\.json")])
def test_without_a_run_it_says_what_to_give(run_task, tmp_path, overrides, message):
    with pytest.raises((ConfigError, RunFolderError), match=message):
        run_task(["task=evaluate", *(item.format(tmp_path) for item in overrides)], tmp_path / "x")


@pytest.fixture
def copy_of_run(finished_run, tmp_path):
    return shutil.copytree(finished_run, tmp_path / "copy")


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def changed(old, new):
    """A change of a file's text, once."""
    return lambda path: path.write_text(path.read_text().replace(old, new, 1))


def replaced(text):
    return lambda path: path.write_text(text)


NAMELESS = ("dataset: {}\nsplit: {name: patient_holdout}\n", "dataset: nih\n", "split: {name: 3}\ndataset: {name: nih}\n")
HARM = [
    *(
        (name, Path.unlink, re.escape(name))
        for name in ("metrics.json", "model.json", "provenance.json", "config.yaml", "split.csv", "model.keras", "ood.npz")
    ),
    *((name, cut, re.escape(name)) for name in ("metrics.json", "model.json", "model.keras", "ood.npz")),
    *(("config.yaml", replaced(text), r"config\.yaml' cannot be read") for text in ("{", "- a\n- list\n", "dataset: [\n")),
    *(("config.yaml", replaced(text), r"config\.yaml' lacks (dataset|split)\.name") for text in NAMELESS),
    ("status.json", changed('"done"', '"failed", "reason": "the disk was full"'), "the disk was full"),
    ("split.csv", changed(",test\n", ",train\n"), "hash"),
    ("config.yaml", changed("healthy_patients: 3", "healthy_patients: 4"), "the data is no longer what"),
]


@pytest.mark.parametrize(("name", "harm", "message"), HARM)
def test_what_is_wrong_with_a_run_is_said(copy_of_run, run_task, tmp_path, name, harm, message):
    harm(copy_of_run / name)
    with pytest.raises((RunFolderError, DataError, ConfigError), match=message):
        run_task(["task=evaluate", f"run={copy_of_run}"], tmp_path / "x")


def test_nothing_that_a_saved_run_names_is_imported(copy_of_run, run_task, tmp_path):
    record = json.loads((copy_of_run / "model.json").read_text())
    record["model"]["name"] = "os.system"
    (copy_of_run / "model.json").write_text(json.dumps(record))
    with pytest.raises(ConfigError, match="no option 'os.system'"):
        run_task(["task=evaluate", f"run={copy_of_run}"], tmp_path / "x")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("size", "32"),
        ("size", 0),
        ("size", -5),
        ("size", None),
        ("mode", "crop"),
        ("mode", ["pad"]),
        ("version", 2),
        ("version", [1]),
        ("precision", "int4"),
        ("precision", ["float32"]),
        ("input", []),
        ("input", None),
        ("input", "pad"),
        ("input", {}),
        ("size", 48),
        ("model", "cellnet"),
        ("model", {"name": "cellnet"}),
        ("model", {"name": ["cellnet"], "params": {}}),
        ("model", {"name": "cellnet", "params": []}),
        ("model", {"name": "cellnet", "params": {"image_size": "32"}}),
    ],
)
def test_a_record_with_impossible_values_is_named(copy_of_run, run_task, tmp_path, key, value):
    record = json.loads((copy_of_run / "model.json").read_text())
    (record if key in record else record["input"])[key] = value
    (copy_of_run / "model.json").write_text(json.dumps(record))
    with pytest.raises((RunFolderError, ConfigError), match=r"model\.json"):
        run_task(["task=evaluate", f"run={copy_of_run}"], tmp_path / "x")


# Unknown patients


@pytest.fixture
def nameless(tmp_path):
    """A folder of synthetic cells whose names tell nothing."""
    table = build(
        "dataset", "synthetic", {"seed": 9, "infected_patients": 2, "healthy_patients": 1, "cells_per_patient": 8, "cell_size": 40}
    )
    for row in range(len(table)):
        path = tmp_path / "nameless" / ("uninfected", "parasitized")[table.label[row]] / f"{row}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(table.source.read(row)).save(path)
    return tmp_path / "nameless"


def test_cells_of_unknown_patients_are_scored_without_intervals_and_the_report_says_why(finished_run, nameless, run_task, tmp_path):
    folder = run_task(
        ["task=evaluate", f"run={finished_run}", "dataset=folder", f"dataset.path={nameless}", "evaluation.resamples=20"],
        tmp_path / "other",
    )
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["leaky"] is False
    external = metrics["subsets"]["external"]
    assert external["counted"]["cells"] == len(list(nameless.rglob("*.png")))
    assert "not known" in external["no_interval"]
    cells = external["at"]["fixed"] | external["ranking"]
    assert all(cell["low"] is None for cell in cells.values() if isinstance(cell, dict))
    report = " ".join((folder / "report.html").read_text().split())
    assert "its patients are not known, so nobody knows whether they are others" in report
    assert "no patients are known" in report


def test_columns_of_the_users_csv_are_subgroups_of_a_finished_run(finished_run, nameless, run_task, tmp_path):
    files = sorted(path.relative_to(nameless).as_posix() for path in nameless.rglob("*.png"))
    rows = [f"{file},Q{number % 4},{'north' if number % 4 < 2 else 'south'}" for number, file in enumerate(files)]
    (tmp_path / "cells.csv").write_text("\n".join(["file,patient,Site", *rows]) + "\n")
    data = ["dataset=folder", f"dataset.path={nameless}", f"dataset.csv={tmp_path / 'cells.csv'}", "evaluation.resamples=20"]
    run = ["task=evaluate", f"run={finished_run}", *data]
    folder = run_task([*run, "evaluation.subgroups=[site]"], tmp_path / "groups", pictures=True)
    found = json.loads((folder / "metrics.json").read_text())["subsets"]["external"]["subgroups"][:2]
    assert [(row["title"], row["group"], row["patients"]) for row in found] == [("Column site", "north", 2), ("Column site", "south", 2)]
    with (folder / "predictions.csv").open(newline="") as file:
        assert {(row["patient"], row["subgroup_site"]) for row in csv.DictReader(file)} == {
            ("Q0", "north"),
            ("Q1", "north"),
            ("Q2", "south"),
            ("Q3", "south"),
        }
    assert "Column site" in (folder / "report.html").read_text()
    with pytest.raises(DataError, match="Did you mean 'site'"):
        run_task([*run, "evaluation.subgroups=[sites]"], tmp_path / "other")


# One class


def test_a_cohort_of_one_class_is_explored_and_scored_and_not_trained_on(finished_run, nameless, run_task, tiny_cellnet, tmp_path):
    shutil.rmtree(nameless / "parasitized")
    data = ["dataset=folder", f"dataset.path={nameless}"]
    folder = run_task(["task=evaluate", f"run={finished_run}", *data, "evaluation.resamples=20"], tmp_path / "scored", pictures=True)
    at = json.loads((folder / "metrics.json").read_text())["subsets"]["external"]["at"]["fixed"]
    assert at["specificity"]["value"] == at["tn"] / (at["tn"] + at["fp"])
    assert at["sensitivity"]["value"] is None
    assert "only the specificity says something" in " ".join((folder / "report.html").read_text().split())
    config = compose_app([*data, "model.image_size=32"], tmp_path).config
    assert set(load_and_decode(config, one_class=True)[0].label) == {0}
    with pytest.raises(
        DataError, match=r"all \d+ cells of 'folder' are uninfected, and from one class nothing can be learned.*task=evaluate"
    ):
        load_and_decode(config)
