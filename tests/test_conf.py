"""Every file of conf/ is composed and run for a few steps."""

import json
import zipfile

import pytest
from conftest import ROOT, compose_app

from malaria_exp.config.registry import GROUPS, build
from malaria_exp.training.trainable_layers import set_trainable
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
    "vit": ["model.depth=1", "model.width=16", "model.heads=2"],
}
# Presets of what no other run here has, two in a run; and the options that are in them.
TRAINED = {
    ("debug/limit_data", "experiment/averaged_weights"): (),
    ("debug/profile", "experiment/saving_formats"): (),
    ("debug/one_step", "experiment/vision_transformer"): ("model/vit",),
    ("trainer/none",): ("trainer/none",),
}
# Options of these groups go with each other: each is in one of the runs, in which several of a group are, or one.
TOGETHER = (
    "aug", "calibration", "callback", "dataset", "explanation", "interval", "logger", "loss", "metric", "model", "ood", "optimizer", "sampling", "schedule", "split",
    "storage", "task", "threshold", "trainer",
)  # fmt: skip
# Options that other tests have in a run, or train as these runs would: here they are composed and checked.
COMPOSED = {
    # Graphs of many operations, built from the same defaults: components/aug/test_every_option.py.
    *(f"aug/{name}" for name in ("augmix", "keras_layers", "rand_augment", "repeat5", "tf_image")),
    # Runs that are logged: components/logger.
    *(f"logger/{name}" for name in ("mlflow", "tensorboard", "wandb")),
    # Each trains: components/loss/test_losses.py, components/optimizer/test_optimizers.py.
    *("loss/custom_bce_factory", "loss/custom_bce_function", "optimizer/adam", "optimizer/rmsprop"),
    # Trained and saved: components/model/test_all_models.py, runs/test_saved_model.py; in a run: test_transfer.py.
    *(f"model/{name}" for name in ("lenet_callable", "lenet_custom_dense", "lenet_sequential")),
    *(f"model/{name}" for name in ("resnet_functional", "resnet_subclassed", "transfer")),
    # components/task/test_explore_schedule.py, evaluation/test_thresholds.py, components/trainer/test_staged.py.
    *("schedule/exponential", "threshold/youden", "trainer/staged"),
}
ROUNDS = 4


def test_each_left_out_has_a_test_of_its_own():
    for name in NEEDS_A_FILE:
        group, option = name.split("/")
        own = ROOT / "tests" / ("" if group == "task" else f"components/{group}")
        assert any(own.rglob(f"test_{option}.py")) or any(own.rglob(f"test_*_{option}.py")), name


def test_every_group_is_tried():
    assert {*TOGETHER, "debug", "experiment", "hydra"} >= set(GROUPS)


def rounds(names, count):
    """Overrides that have all these options of those groups in them, in so many sets; of a group that has fewer the first comes again."""
    options = {group: [name.partition("/")[2] for name in names if name.startswith(f"{group}/")] for group in TOGETHER}
    for number in range(count):
        overrides = []
        for group, own in options.items():
            chosen = own[number::count] or own[:1]
            if GROUPS[group].many and chosen:
                overrides.append(f"{group}=[{','.join(chosen)}]")
            elif chosen:
                assert len(chosen) == 1, f"more sets are needed for the options of {group}"
                overrides.append(f"{group}={chosen[0]}")
        yield overrides


TRAINED_TOGETHER = [
    name for name in FILES if name not in {*NEEDS_A_FILE, *COMPOSED, *(option for options in TRAINED.values() for option in options)}
]


def train(overrides, run_task, tiny, folder):
    """Trains what the overrides choose for an epoch, as small as its model and trainer can be made."""
    composed = compose_app(overrides, folder).config
    keys = composed.one("trainer").params
    own = [item for item in tiny if not item.startswith("trainer.") or item[8:].partition("=")[0] in keys]
    own = [item for item in own if item.partition("=")[0] not in {override.partition("=")[0] for override in overrides}]
    run_task([*overrides, *own, *SMALL.get(composed.one("model").name, [])], folder)
    assert json.loads((folder / "status.json").read_text())["status"] == "done"
    assert "failed" not in (folder / "run.log").read_text() and (folder / "report.html").stat().st_size > 10_000


@pytest.mark.long
@pytest.mark.parametrize("overrides", list(rounds(TRAINED_TOGETHER, ROUNDS)), ids=" ".join)
def test_they_train_together(overrides, run_task, tiny, tmp_path):
    train(overrides, run_task, tiny, tmp_path / "outputs" / "run")


@pytest.mark.long
@pytest.mark.parametrize("names", TRAINED, ids=" ".join)
def test_they_train(names, run_task, tiny, tmp_path):
    overrides = [name.replace("/", "=") for name in names]
    composed = compose_app(overrides, tmp_path).config
    for group, option in (covered.split("/") for covered in TRAINED[names]):
        assert composed.one(group).name == option
    train([*overrides, *(item for name in names for item in SHORT.get(name, []))], run_task, tiny, tmp_path / "run")


PRESETS = [name for name in FILES if name.startswith(("experiment/", "debug/"))]


@pytest.mark.parametrize("name", [name for name in PRESETS if name not in {one for names in TRAINED for one in names}])
def test_a_preset_chooses_what_is_trained_elsewhere(name, tmp_path):
    compose_app([name.replace("/", "=")], tmp_path).config.check_components()


def test_what_is_trained_elsewhere_is_composed(tmp_path):
    most = max(sum(name.startswith(f"{group}/") for name in COMPOSED) for group in TOGETHER if not GROUPS[group].many)
    for overrides in rounds(sorted(COMPOSED), most):
        compose_app(overrides, tmp_path).config.check_components()


def test_the_stages_of_transfer_learning_name_layers_of_its_model(tmp_path):
    config = compose_app(["experiment=transfer_learning", "model.weights=null", "model.image_size=32"], tmp_path).config
    model, stages = build("model", config.one("model").name, config.one("model").params), config.one("trainer").params["stages"]
    trained = []
    for number, stage in enumerate(stages):
        set_trainable(model, stage["train"], freeze_norms=True, path=f"trainer.stages[{number}]")
        trained.append(len(model.trainable_variables))
    assert 0 < trained[0] < trained[1] < len(model.weights)


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
    own = [item for item in tiny if not item.startswith(("dataset.", "trainer."))]
    overrides = ["dataset=nih", f"dataset.path={archive}", "split.val=0.25", "split.test=0.25", "split.train=0.5", "trainer=none"]
    folder = run_task([*overrides, *own, "model.stem=4", "model.widths=[8]"], tmp_path / "run")
    assert json.loads((folder / "status.json").read_text())["status"] == "done"


@pytest.mark.long
def test_on_real_cells(run_task, tiny, real_zip, tmp_path):
    own = [item for item in tiny if not item.startswith(("dataset.", "batch_size", "trainer.epochs", "evaluation.batch_size"))]
    # Batches of 16 cells are too small for averages over few of them.
    net = ["model.stem=8", "model.widths=[16,32]", "model.momentum=0.9", "batch_size=16", "trainer.epochs=6"]
    some = tmp_path / "cell_images.zip"
    with zipfile.ZipFile(real_zip) as archive, zipfile.ZipFile(some, "w") as kept:
        for name in [name for name in archive.namelist() if name.endswith(".png")][::12]:
            kept.writestr(name, archive.read(name))
    folder = run_task(["dataset=nih", f"dataset.path={some}", *own, *net], tmp_path / "run")
    headline = json.loads((folder / "status.json").read_text())["headline"]
    # A tiny net at 32 px after six epochs: far from good, and far from guessing.
    assert headline["test"]["auc"] > 0.85
