"""Every file of conf/ is composed and run for a few steps."""

import json
import zipfile

import pytest
from conftest import ROOT, compose_app

from malaria_exp.config.registry import GROUPS
from malaria_exp.utils.errors import ConfigError

CONF = ROOT / "conf"
FILES = sorted(str(path.relative_to(CONF).with_suffix("")) for path in CONF.glob("*/*.yaml"))
# Options that need a file or a run to be given; their own tests run them.
NEEDS_A_FILE = {
    "dataset/folder",
    "dataset/nih",
    "dataset/shards",
    "dataset/tfds",
    "split/by_manifest",
    "storage/fsspec",
    "storage/google_drive",
    "storage/path",
    "model/ensemble",
    *(name for name in FILES if name.startswith("task/") and name != "task/train"),
}
# What a preset is about must not be too long for a run of one epoch.
SHORT = {"debug/one_step": ["limit_cells=16"], "experiment/averaged_weights": ["batch_size=8"]}
# cellnet's own numbers cannot be overridden where another model is chosen, nor fit's where another trainer is.
SMALL = {
    "cellnet": ["model.stem=4", "model.widths=[8]"],
    "resnet_functional": ["model.width=4"],
    "transfer": ["model.weights=null"],
    "vit": ["model.depth=1", "model.width=16", "model.heads=2"],
}
# Presets of what no other run here has, and the options that are in them.
TRAINED = {
    "debug/limit_data": (),
    "debug/one_step": (),
    "debug/profile": (),
    "experiment/averaged_weights": (),
    "experiment/residual_networks": ("model/resnet_functional",),
    "experiment/saving_formats": (),
    "experiment/transfer_learning": ("model/transfer", "trainer/staged"),
    "experiment/vision_transformer": ("model/vit",),
    "trainer/none": (),
}
# Options of these groups go with each other: each is in one of the runs, in which several of a group are, or one.
TOGETHER = (
    "aug", "calibration", "callback", "dataset", "explanation", "interval", "logger", "loss", "metric", "model", "ood", "optimizer", "sampling", "schedule", "split",
    "storage", "task", "threshold", "trainer",
)  # fmt: skip
# The same network as resnet_functional, layer by layer (test_resnet_subclassed.py): one of the two is trained.
SAME_AS_ANOTHER = {"model/resnet_subclassed"}
ROUNDS = 8


def test_each_left_out_has_a_test_of_its_own():
    for name in NEEDS_A_FILE:
        group, option = name.split("/")
        own = ROOT / "tests" / ("" if group == "task" else f"components/{group}")
        assert any(own.rglob(f"test_{option}.py")) or any(own.rglob(f"test_*_{option}.py")), name


def test_every_group_is_tried():
    assert {*TOGETHER, "debug", "experiment", "hydra"} >= set(GROUPS)


def rounds():
    """Overrides of the runs that have all options of those groups in them."""
    elsewhere = {*NEEDS_A_FILE, *SAME_AS_ANOTHER, *TRAINED, *(option for options in TRAINED.values() for option in options)}
    options = {
        group: [name.partition("/")[2] for name in FILES if name.startswith(f"{group}/") and name not in elsewhere] for group in TOGETHER
    }
    for number in range(ROUNDS):
        overrides = []
        for group, names in options.items():
            chosen = names[number::ROUNDS] or names[:1]
            if GROUPS[group].many:
                overrides.append(f"{group}=[{','.join(chosen)}]")
            else:
                assert len(chosen) == 1, f"more runs are needed for the options of {group}"
                overrides.append(f"{group}={chosen[0]}")
        yield overrides


@pytest.fixture(autouse=True)
def _offline(monkeypatch):
    """W&B's client remembers a key that another test of this process gave it, and would wait for its server."""
    monkeypatch.setenv("WANDB_MODE", "offline")


def train(overrides, run_task, tiny, folder):
    """Trains what the overrides choose for an epoch, as small as its model and trainer can be made."""
    composed = compose_app(overrides, folder).config
    keys = composed.one("trainer").params
    own = [item for item in tiny if not item.startswith("trainer.") or item[8:].partition("=")[0] in keys]
    own = [item for item in own if item.partition("=")[0] not in {override.partition("=")[0] for override in overrides}]
    if "stages" in keys:
        own.append(f"trainer.stages=[{{epochs: 1, train: {json.dumps(keys['stages'][-1]['train'])}}}]")
    run_task([*overrides, *own, *SMALL.get(composed.one("model").name, [])], folder)
    assert json.loads((folder / "status.json").read_text())["status"] == "done"
    assert "failed" not in (folder / "run.log").read_text() and (folder / "report.html").stat().st_size > 10_000


@pytest.mark.parametrize("overrides", list(rounds()), ids=" ".join)
def test_they_train_together(overrides, run_task, tiny, tmp_path):
    train(overrides, run_task, tiny, tmp_path / "outputs" / "run")


@pytest.mark.parametrize("name", TRAINED)
def test_it_trains(name, run_task, tiny, tmp_path):
    overrides = [name.replace("/", "=")]
    composed = compose_app(overrides, tmp_path).config
    for group, option in (covered.split("/") for covered in TRAINED[name]):
        assert composed.one(group).name == option
    train([*overrides, *SHORT.get(name, [])], run_task, tiny, tmp_path / "run")


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith(("experiment/", "debug/")) and name not in TRAINED])
def test_a_preset_chooses_what_is_trained_elsewhere(name, tmp_path):
    compose_app([name.replace("/", "=")], tmp_path).config.check_components()


@pytest.mark.parametrize("debug", ["limit_data", "profile"])
@pytest.mark.parametrize("experiment", ["transfer_learning", "custom_loss_and_metric", "averaged_weights"])
def test_what_helps_to_debug_goes_with_experiments(debug, experiment, tmp_path):
    compose_app([f"debug={debug}", f"experiment={experiment}"], tmp_path).config.check_components()


@pytest.mark.parametrize(
    ("overrides", "out"),
    [
        (["debug=overfit_batch", "experiment=custom_loss_and_metric"], "~loss.label_smoothing"),
        (["debug=overfit_batch", "experiment=transfer_learning"], "~trainer.epochs"),
        (["debug=one_step", "experiment=transfer_learning"], "~trainer.stages"),
    ],
)
def test_a_key_of_a_preset_that_the_option_lacks_can_be_taken_out_as_the_message_says(overrides, out, tmp_path):
    with pytest.raises(ConfigError, match=f"unknown key.*If a preset .* sets it: {out} takes it out"):
        compose_app(overrides, tmp_path).config.check_components()
    compose_app([*overrides, out], tmp_path).config.check_components()


def test_overfit_batch_evaluates_the_weights_that_fit_the_batch_best(run_task, tiny_cellnet, tmp_path):
    # A rate that makes the loss go up and down.
    own = [
        "debug=overfit_batch",
        "trainer.epochs=4",
        "limit_cells=16",
        "batch_size=16",
        "optimizer.learning_rate=0.2",
        "optimizer.clip_norm=null",
    ]
    folder = run_task([*tiny_cellnet, *own], tmp_path / "run")
    lines = [line.split(",") for line in (folder / "history.csv").read_text().splitlines()]
    losses = [float(line[lines[0].index("loss")]) for line in lines[1:]]
    training = json.loads((folder / "metrics.json").read_text())["training"]
    assert (training["monitor"], training["best_epoch"]) == ("loss", losses.index(min(losses)) + 1)
    assert "chosen by the training loss" in (folder / "report.html").read_text()


def test_on_the_official_layout(run_task, tiny, nih_files, make_nih_zip, tmp_path):
    archive = make_nih_zip(tmp_path / "cell_images.zip", nih_files)
    own = [item for item in tiny if not item.startswith("dataset.")]
    overrides = ["dataset=nih", f"dataset.path={archive}", "split.val=0.25", "split.test=0.25", "split.train=0.5"]
    folder = run_task([*overrides, *own, "model.stem=4", "model.widths=[8]"], tmp_path / "run", pictures=True)
    assert json.loads((folder / "status.json").read_text())["status"] == "done"


def test_on_real_cells(run_task, tiny, real_zip, tmp_path):
    own = [item for item in tiny if not item.startswith(("dataset.", "batch_size", "trainer.epochs", "evaluation.batch_size"))]
    net = ["model.stem=8", "model.widths=[16,32]", "batch_size=32", "trainer.epochs=6"]
    some = tmp_path / "cell_images.zip"
    with zipfile.ZipFile(real_zip) as archive, zipfile.ZipFile(some, "w") as kept:
        for name in [name for name in archive.namelist() if name.endswith(".png")][::6]:
            kept.writestr(name, archive.read(name))
    folder = run_task(["dataset=nih", f"dataset.path={some}", *own, *net], tmp_path / "run")
    headline = json.loads((folder / "status.json").read_text())["headline"]
    # A tiny net at 32 px after six epochs: far from good, and far from guessing.
    assert headline["test"]["auc"] > 0.85
