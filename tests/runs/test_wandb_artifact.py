from types import SimpleNamespace

import pytest

from malaria_exp.runs.initial_weights import find_weights
from malaria_exp.runs.wandb_artifact import local_artifact
from malaria_exp.utils.errors import ConfigError, DataError

pytest.importorskip("wandb")
URL = "wandb://me/malaria_exp/cellnet-model:trained"


@pytest.fixture
def server(monkeypatch):
    """A stand-in for W&B: artifacts by address, each {file name: content}."""
    import wandb

    kept = SimpleNamespace(artifacts={}, downloads=0)

    class Artifact:
        version = "v3"

        def __init__(self, files):
            self.files, self.digest = files, str(sorted(files))

        def download(self, root):
            from pathlib import Path

            kept.downloads += 1
            for name, content in self.files.items():
                (Path(root) / name).write_bytes(content)

    class Api:
        def __init__(self, timeout):
            assert timeout

        def artifact(self, name):
            if name not in kept.artifacts:
                raise wandb.errors.CommError(f"artifact '{name}' not found")
            return Artifact(kept.artifacts[name])

    monkeypatch.setattr(wandb, "Api", Api)
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    return kept


def test_a_model_is_fetched_once_and_again_when_its_alias_moves(server, tmp_path):
    server.artifacts["me/malaria_exp/cellnet-model:trained"] = {"model.keras": b"one", "model.json": b"{}"}
    first = local_artifact(URL, tmp_path, "init_from")
    assert first.read_bytes() == b"one"
    assert local_artifact(URL, tmp_path, "init_from") == first
    assert server.downloads == 1
    server.artifacts["me/malaria_exp/cellnet-model:trained"] = {"model.weights.h5": b"two"}
    assert local_artifact(URL, tmp_path, "init_from").read_bytes() == b"two"


def test_training_begins_from_an_artifact(server, finished_run, tmp_path):
    server.artifacts["me/malaria_exp/cellnet-model:trained"] = {"model.keras": (finished_run / "model.keras").read_bytes()}
    found = find_weights(URL, tmp_path / "cache", tmp_path)
    assert found.source == URL and found.file.read_bytes() == (finished_run / "model.keras").read_bytes()
    assert found.run is None


def test_what_is_wrong_is_said(server, tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match=r"init_from: received 'wandb://model'; expected wandb://entity/project/name:version"):
        local_artifact("wandb://model", tmp_path, "init_from")
    with pytest.raises(DataError, match=r"cannot fetch 'wandb://me/malaria_exp/cellnet-model:trained'.*not found"):
        local_artifact(URL, tmp_path, "init_from")
    server.artifacts["me/malaria_exp/cellnet-model:trained"] = {"split.csv": b"cells"}
    with pytest.raises(ConfigError, match=r"holds no weights .*but split.csv"):
        local_artifact(URL, tmp_path, "init_from")
    monkeypatch.delenv("WANDB_API_KEY")
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    wandb_setup = pytest.importorskip("wandb.sdk.wandb_setup")
    # The client remembers the key that it found when it was first used in this process.
    monkeypatch.setattr(wandb_setup.singleton().settings, "api_key", None)
    with pytest.raises(ConfigError, match="WANDB_API_KEY"):
        local_artifact(URL, tmp_path, "init_from")


def test_nothing_is_left_of_a_download_that_breaks_off(server, tmp_path, monkeypatch):
    server.artifacts["me/malaria_exp/cellnet-model:trained"] = {"model.keras": b"one"}
    import wandb

    artifact = type(wandb.Api(timeout=1).artifact("me/malaria_exp/cellnet-model:trained"))
    monkeypatch.setattr(artifact, "download", lambda self, root: (_ for _ in ()).throw(ConnectionError("reset")))
    with pytest.raises(DataError, match="ConnectionError: reset"):
        local_artifact(URL, tmp_path, "init_from")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
