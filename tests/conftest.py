"""What the tests share: a cache of their own, real cells where they are, synthetic cells everywhere."""

import copy
import gc
import io
import json
import os
import re
import signal
import zipfile
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

from malaria_exp.utils.machine import cores

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if "PYTEST_XDIST_WORKER" in os.environ:
    # Every process of the tests has a core; with threads for all cores in each they would wait for each other.
    for threads in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(threads, "1")

# In the background of a script (`make test &`) Ctrl-C is ignored, and so it would be by the programs that tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
# Examples where a test does not say how many.
settings.register_profile("suite", max_examples=40, deadline=None)
settings.load_profile("suite")

ROOT = Path(__file__).resolve().parent.parent
REAL_ZIP = Path(os.environ.get("MALARIA_EXP_NIH_ZIP", ROOT.parent / "shared" / "nih" / "cell_images.zip"))


# Files that take over half a minute on one core: of these each process of the tests begins the first, so that none is waited for at the end.
LONG = (
    "test_site.py",
    "test_tour.py",
    "sweeps/search/test_wandb_engine.py",
    "test_conf.py",
    "test_main.py",
    "components/trainer/test_equal.py",
    "sweeps/launcher/test_launchers.py",
    "deployment/test_export.py",
    "components/trainer/test_strategy.py",
    "test_docs.py",
    "runs/test_saved_model.py",
    "components/aug/test_every_option.py",
    "components/model/test_transfer.py",
    "components/trainer/test_resume.py",
    "data/test_streamed_batches.py",
    "components/task/test_explore_data.py",
)


@pytest.hookimpl(optionalhook=True)  # the wheel's test has no pytest-xdist
def pytest_xdist_auto_num_workers():
    """One process more than cores: a third of the time tests wait, for programs that they start, servers and browsers."""
    return cores() + 1


def pytest_collection_modifyitems(items):
    rank = {ROOT / "tests" / name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: rank.get(item.path, len(rank)))


@pytest.fixture(scope="session", autouse=True)
def cache_root(tmp_path_factory):
    """One cache folder for the whole session: the user's is never touched, and images are decoded once."""
    root = tmp_path_factory.mktemp("cache")
    os.environ["MALARIA_EXP_CACHE"] = str(root)
    return root


@pytest.fixture(scope="module", autouse=True)
def known_objects():
    """What is there when a module begins, TensorFlow's modules above all, is not searched again for garbage.

    Keras asks for a search at the start of every training; with a million objects each takes longer than the training's steps.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


@pytest.fixture(scope="session")
def real_zip():
    """The official zip of real cells; tests that need it are skipped where it is not."""
    if not REAL_ZIP.is_file():
        pytest.skip(f"no real cells: {REAL_ZIP} does not exist (set MALARIA_EXP_NIH_ZIP to an official cell_images.zip)")
    return REAL_ZIP


def png_bytes(image: np.ndarray, mode: str | None = None) -> bytes:
    """Encodes an array as PNG."""
    out = io.BytesIO()
    picture = Image.fromarray(image)
    (picture.convert(mode) if mode else picture).save(out, "PNG")
    return out.getvalue()


def write_nih_zip(path: Path, files: dict[str, bytes], root: str = "cell_images/") -> Path:
    """Writes a zip in the official layout; keys are "Parasitized/name.png"."""
    with zipfile.ZipFile(path, "w") as archive:
        for folder in ("Parasitized/", "Uninfected/"):
            archive.writestr(f"{root}{folder}Thumbs.db", b"not an image")
        for name, data in files.items():
            archive.writestr(f"{root}{name}", data)
    return path


@pytest.fixture(scope="session")
def make_nih_zip():
    """make_nih_zip(path, files, root="cell_images/"): see write_nih_zip."""
    return write_nih_zip


@pytest.fixture
def nih_files():
    """Eight people's synthetic cells as files of the official layout: {"Parasitized/....png": bytes}."""
    from malaria_exp.config.registry import build

    table = build("dataset", "synthetic", {"infected_patients": 6, "healthy_patients": 2, "cells_per_patient": 6, "cell_size": 40})
    folder = {1: "Parasitized", 0: "Uninfected"}
    return {f"{folder[int(table.label[row])]}/{table.cell_id[row]}.png": png_bytes(table.source.read(row)) for row in range(len(table))}


TINY = [
    "dataset.infected_patients=8",
    "dataset.healthy_patients=3",
    "dataset.cells_per_patient=8",
    "dataset.cell_size=40",
    "model.image_size=32",
    "batch_size=16",
    "trainer.epochs=1",
    "trainer.precision=float32",
    # After so little training no temperature alone fits.
    "calibration=platt",
    "ood=none",
    "evaluation.batch_size=64",
    "evaluation.resamples=20",
    "evaluation.worst=4",
]
# The same with a detector of foreign images, which takes a second to fit: as `finished_run` is made.
WITH_DETECTOR = [item for item in TINY if item != "ood=none"]
TINY_CELLNET = ["model.stem=4", "model.widths=[8]"]


@cache
def compose_options(conf, chosen):
    """Composes the real configuration for overrides that choose options; that takes most of composing's time."""
    from hydra import compose, initialize_config_dir

    with initialize_config_dir(conf, version_base="1.3"):
        return compose("config", overrides=list(chosen))


@cache
def parse_override(text):
    """Returns what Hydra understands by an override."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    return OverridesParser.create().parse_override(text)


def compose_config(overrides):
    """Composes the real configuration as run.py does; what was chosen before is taken from memory and given its values."""
    from hydra._internal.config_loader_impl import ConfigLoaderImpl

    from malaria_exp.config.app import CONF

    # Keys with a point are values, all others may be groups; Hydra gives values after it has composed the groups.
    values = [item for item in overrides if re.match(r"[a-z_]+\.[\w.]*=|(run|limit_cells|batch_size|seed)=", item) and item[:6] != "hydra."]
    composed = copy.deepcopy(compose_options(str(CONF), tuple(item for item in overrides if item not in values)))
    ConfigLoaderImpl._apply_overrides_to_config([parse_override(item) for item in values], composed)
    return composed


def compose_app(overrides, output_dir):
    """Composes the real configuration as run.py does and returns the App a task is handed."""
    from omegaconf import OmegaConf

    from malaria_exp.config.app import App
    from malaria_exp.config.run_config import Config

    plain = OmegaConf.to_container(compose_config(overrides), resolve=True)
    return App(Config.from_plain(plain), OmegaConf.to_yaml(OmegaConf.create(plain)), list(overrides), Path(output_dir))


@pytest.fixture(scope="session")
def without_pictures():
    """without_pictures() -> a context in which an empty picture stands for each of an evaluation's: they are half of a tiny run's time."""
    from matplotlib.figure import Figure

    from malaria_exp.evaluation.plots import run_figures, style

    figure = style.new_figure(leaky=False, size=(1, 1))
    picture = style.png_bytes(figure)
    drawing = [name for name, one in vars(run_figures).items() if getattr(one, "__annotations__", {}).get("return") in (Figure, "Figure")]
    replaced = {name: lambda *_, **__: figure for name in drawing} | {"png_bytes": lambda figure: picture}
    return lambda: mock.patch.multiple(run_figures, **replaced)


@pytest.fixture(scope="session")
def run_task(cache_root, without_pictures):
    """Runs a task of the real configuration in this process: run_task(overrides, folder) -> folder.

    The pictures of an evaluation are drawn with pictures=True, and an exported model's speed is that of a single call.
    """
    from malaria_exp.config.registry import build
    from malaria_exp.deployment import latency

    def run(overrides, folder, *, pictures=False):
        app = compose_app(overrides, folder)
        task = app.config.one("task")
        with nullcontext() if pictures else without_pictures(), mock.patch.multiple(latency, MANY=8, SINGLE_CALLS=1, LARGE_CALLS=1):
            build("task", task.name, task.params, app)
        return Path(folder)

    return run


@pytest.fixture(scope="session")
def finished_run(run_task, tmp_path_factory):
    """The folder of one finished, calibrated tiny run on synthetic cells, with a detector; tests only read it."""
    return run_task([*WITH_DETECTOR, *TINY_CELLNET, "trainer.epochs=2"], tmp_path_factory.mktemp("finished") / "run", pictures=True)


@pytest.fixture(scope="session")
def bundle(run_task, finished_run, tmp_path_factory):
    """The bundle of `finished_run`, with an ONNX model; tests only read it."""
    folder = tmp_path_factory.mktemp("exported") / "bundle"
    run_task(["task=export", f"run={finished_run}", f"task.to={folder}", "task.cells=20"], folder)
    return folder


@pytest.fixture(scope="session")
def tiny():
    """Overrides that make a run a matter of seconds (without those of cellnet)."""
    return list(TINY)


@pytest.fixture(scope="session")
def tiny_cellnet():
    """Overrides that make a run with cellnet a matter of seconds."""
    return [*TINY, *TINY_CELLNET]


@pytest.fixture
def small_run(tmp_path):
    """A folder as a finished run leaves it, with a small file for each part that a storage can copy; tests may change it."""
    folder = tmp_path / "outputs" / "20260102-030405-000000-abcdef"
    for name in (
        "model.keras",
        "model.json",
        "ood.npz",
        "saved_model/saved_model.pb",
        "saved_model/variables/variables.index",
        "report.html",
        "plots/roc.png",
        "metrics.json",
        "history.csv",
        "predictions.csv",
        "split.csv",
        "run.log",
        "config.yaml",
        "provenance.json",
        "profile/own.txt",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    (folder / "status.json").write_text(json.dumps({"task": "train", "status": "done"}))
    return folder
