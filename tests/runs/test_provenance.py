"""What is recorded of a run: enough to make it again, and no secrets."""

import json
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from malaria_exp.runs import provenance
from malaria_exp.runs.provenance import collect, git_state
from malaria_exp.utils.redaction import redact, redact_overrides, redact_yaml


@pytest.mark.parametrize(
    "override",
    [
        "+wandb_api_key=hunter2",
        "++logger.wandb.api_key=hunter2",
        "+logger.wandb={api_key:hunter2,project:x}",
        "+TOKEN=hunter2",
        "+hf_token_read=hunter2",
        "+db.password=hunter2",
        "+aws_secret_access_key=hunter2",
        '+api_key="hunter2 and hunter2"',
        "+api_key=hunter2 and hunter2",
        "+credentials=[hunter2,hunter2]",
        "+env={A: 1, TOKEN: 'x hunter2'}",
    ],
)
def test_no_secret_reaches_the_command(override):
    record = collect(seed=1, overrides=["seed=1", override, "model.stem=8"])
    assert "hunter2" not in json.dumps(record)
    assert "***" in record["command"] and record["command"].startswith("python run.py seed=1 ")
    assert record["command"].endswith(" model.stem=8")


@given(st.from_regex(r"[A-Za-z0-9+/=_. -]{8,30}", fullmatch=True).map(lambda value: f"Zq{value}Zq"))
def test_no_part_of_a_secrets_value_is_kept(value):
    assert redact_overrides([f"+logger.wandb.api_key={value}"]) == ["+logger.wandb.api_key=***"]


def test_other_overrides_and_words_about_keys_are_kept_letter_by_letter():
    overrides = ["model.widths=[8,16]", "aug=[dihedral,cutmix]", "schedule.warmup=10%", "~seed", 'run="a b"', "cache.root=s3://b/c/d=e"]
    assert redact_overrides(overrides) == overrides
    text = "optimizer.lrr: unknown key, received optimizer.lrr=1. Allowed keys: learning_rate, name. Top-level keys: aug"
    assert redact(text) == text
    assert redact("WANDB_API_KEY=abc model=cellnet password: 'x y' end") == "WANDB_API_KEY=*** model=cellnet password: *** end"


def test_what_is_recorded():
    record = collect(seed=7, overrides=["model=cellnet"])
    assert record["seed"] == 7 and record["command"] == "python run.py model=cellnet"
    assert record["packages"]["numpy"].count(".") >= 1
    assert {"tensorflow", "keras", "hydra-core"} <= set(record["packages"])
    assert record["machine"]["cores"] >= 1
    assert record["machine"]["processor"]
    assert json.loads(json.dumps(record)) == record


def test_packages_that_are_not_installed_are_left_out(monkeypatch):
    monkeypatch.setattr(provenance, "PACKAGES", ("numpy", "no-such-package-anywhere"))
    assert list(collect(seed=0, overrides=[])["packages"]) == ["numpy"]


def test_git_state_tells_changes_and_no_checkout(tmp_path):
    assert git_state(tmp_path / "missing") is None

    def git(*arguments):
        subprocess.run(["git", "-C", tmp_path, "-c", "user.name=a", "-c", "user.email=a@b.c", *arguments], check=True, capture_output=True)

    git("init", "-q")
    assert git_state(tmp_path) is None, "no commit yet"
    (tmp_path / "a.py").write_text("1")
    git("add", "a.py")
    git("commit", "-qm", "first")
    clean = git_state(tmp_path)
    assert clean is not None
    assert (len(clean["commit"]), clean["changed"]) == (40, False)
    (tmp_path / "a.py").write_text("2")
    assert git_state(tmp_path) == {"commit": clean["commit"], "changed": True}
    (tmp_path / "environment").mkdir()
    assert git_state(tmp_path / "environment") is None, "somebody else's checkout"


def test_without_git_the_rest_is_recorded(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert collect(seed=0, overrides=[])["git"] is None


def test_who_logs_in_stands_in_no_address():
    url = "ftp://me:hunter2@cells.example/set"
    assert redact(f"'{url}' cannot be read") == "'ftp://***@cells.example/set' cannot be read"
    assert redact_overrides([f"dataset.path={url}"]) == ["dataset.path=ftp://***@cells.example/set"]
    assert redact_yaml(f"dataset:\n  path: {url}\n") == "dataset:\n  path: ftp://***@cells.example/set\n"
    assert redact_yaml("init_from: https://h.example/a.h5?sig=1\n") == "init_from: https://h.example/a.h5?***\n"
    assert redact("GET https://h.example/a.h5?sig=1 failed") == "GET https://h.example/a.h5?*** failed"
    assert redact("me@home.example s3://b/c@d") == "me@home.example s3://b/c@d"


def test_a_configuration_keeps_everything_but_secrets():
    kept = "model:\n  name: vit\n  tokens: 64\n  key_dim: 1.5e-3\n  use_token: true\n  token: null\n"
    assert redact_yaml(kept) == kept
    text = "logger:\n  wandb:\n    api_key: hunter2 and hunter2\n    project: x\n  - password: 'hunter2'\n"
    assert "hunter2" not in redact_yaml(text) and "project: x" in redact_yaml(text)
