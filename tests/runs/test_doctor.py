import os
import signal
from pathlib import Path

import pytest

import malaria_exp
from malaria_exp.runs import doctor
from malaria_exp.runs.doctor import examine, page
from malaria_exp.training import precision
from malaria_exp.utils import tensorflow_setup
from malaria_exp.utils.atomic_files import write_json
from malaria_exp.utils.import_probe import try_imports
from malaria_exp.utils.machine import cores, processor

WORKS = {"failed": {}, "gpus": ["NVIDIA A100"], "cuda": "12.5"}


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A user alice without accounts, whose TensorFlow works."""
    folder = tmp_path / "home" / "alice"
    folder.mkdir(parents=True)
    for name in [name for name in os.environ if name.startswith(("WANDB_", "KAGGLE_", "MLFLOW_", "KERAS_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("MALARIA_EXP_CACHE", str(folder / "cache"))
    monkeypatch.setenv("MALARIA_EXP_OUTPUTS", str(folder / "outputs"))
    monkeypatch.setattr(tensorflow_setup, "overruled_variables", {})
    monkeypatch.setattr(doctor, "overruled_variables", tensorflow_setup.overruled_variables)
    monkeypatch.setattr(doctor, "try_imports", lambda _: WORKS)
    return folder


def lines(chapters):
    return {line.name: line for found in chapters.values() for line in found}


def test_a_sound_machine_has_no_problems_and_names_no_one(home, monkeypatch):
    secret = "0123456789abcdef" * 2 + "01234567"
    for name in ("WANDB_API_KEY", "KAGGLE_KEY", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, secret)
    (home / ".kaggle").mkdir()
    (home / ".kaggle" / "kaggle.json").write_text(f'{{"username": "alice", "key": "{secret}"}}')
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"https://alice:{secret}@tracking.example.org")
    monkeypatch.setattr(doctor, "_packages", lambda: "as asked for")  # what this environment has is not the test's to say
    text = page(examine(malaria_exp.compose([])))
    assert "problems: none found" in text
    assert secret not in text and "alice" not in text and str(home) not in text
    for part in (
        "~/cache (not made yet)",
        "a key in WANDB_API_KEY",
        "KAGGLE_KEY, ~/.kaggle/kaggle.json",
        "NVIDIA A100",
        "MLFLOW_TRACKING_PASSWORD",
    ):
        assert part in text


def test_what_was_overruled_is_told_with_what_is_used(home, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setenv("KERAS_MAX_EPOCHS", "1")
    tensorflow_setup.fix_environment()
    assert "KERAS_MAX_EPOCHS" not in os.environ
    (home / ".keras").mkdir()
    write_json(home / ".keras" / "keras.json", {"floatx": "float16", "backend": "tensorflow"})
    found = doctor._overruled()
    assert "KERAS_BACKEND=jax in the environment (tensorflow is used)" in found
    assert "KERAS_MAX_EPOCHS=1 in the environment (not set is used)" in found
    assert "floatx=float16 in " in found and "(float32 is used)" in found and "backend=" not in found


def test_each_line_stands_for_itself(home, monkeypatch):
    config = malaria_exp.compose([f"cache.root={home / 'file' / 'cache'}"])
    (home / "file").write_text("a file where a folder should be")
    (home / ".keras").mkdir()
    (home / ".keras" / "keras.json").write_text("{")
    monkeypatch.setattr(doctor, "try_imports", lambda _: {"failed": {"tensorflow": "ImportError: libcuda"}})
    monkeypatch.setattr(doctor, "wandb_account", lambda: 1 / 0)
    found = lines(examine(config))
    assert {"imports", "devices", "cache", "Weights & Biases", "overruled"} <= {name for name, line in found.items() if line.problem}
    assert "tensorflow cannot be imported: ImportError: libcuda" in found["imports"].text
    assert f"nothing can be written in {home / 'file'}" in found["cache"].text
    assert not found["outputs"].problem and not found["memory"].problem


def test_the_precision_is_told_with_its_times_for_this_machine_only(home):
    cache = home / "cache"
    here = {"processor": processor(), "cores": cores()}
    facts = {
        "precision": "bfloat16",
        "step_seconds": {"float32": 0.108, "bfloat16": 0.074},
        "identity": '["cellnet", {"image_size": 64}, "bce", "adamw", 128]',
    }
    write_json(cache / "precision-a.json", {**facts, "machine": here})
    write_json(cache / "precision-b.json", {**facts, "machine": {**here, "cores": 999}})
    (cache / "precision-c.json").write_text("{")
    assert len(precision.measured(cache)) == 2
    said = doctor._precision(malaria_exp.compose([]))
    assert said.count("bfloat16 for cellnet at 64 px") == 1 and "float32 108 ms, bfloat16 74 ms" in said


@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("raise ImportError('libtensorflow.so: wrong ELF class')", "ImportError: libtensorflow.so: wrong ELF class"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", signal.SIGILL.name),
    ],
)
def test_a_tensorflow_that_cannot_be_imported_is_told(module, said, tmp_path):
    (tmp_path / "tensorflow.py").write_text(module)
    # Keras would import it first.
    (tmp_path / "keras.py").write_text("import tensorflow")
    root = Path(malaria_exp.__file__).parent.parent
    (tmp_path / "malaria_exp").symlink_to(root / "malaria_exp")
    assert said in try_imports(tmp_path)["failed"]["tensorflow"]
