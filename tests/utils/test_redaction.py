"""Keys, tokens and passwords never reach a file or a log, in whatever form they are written; nothing else is touched."""

import pytest
import yaml
from conftest import ROOT

from malaria_exp.utils.redaction import redact, redact_home, redact_yaml


@pytest.mark.parametrize(
    "text",
    [
        "auth=hunter2",
        "pwd: hunter2",
        "smtp_pass=hunter2",
        "sas=hunter2",
        "curl -H 'Authorization: Basic hunter2' http://host",
        "Authorization: Bearer hunter2",
        "answered to Bearer hunter2-hunter2",
        '{"api_key": "hunter2", "n": 1}',
        "{'x-api-key': 'x hunter2'}",
        "https://me:hun/hunter2@host/x",
        "https://me:hun@hunter2@host/x",
        "https://hunter2@host/x",
        "https://host/x?sig=hunter2",
    ],
)
def test_no_secret_is_left_in_a_text(text):
    assert "hunter2" not in redact(text)
    assert "***" in redact(text)


def test_ordinary_words_and_addresses_are_kept():
    text = "author: me, two passes: 3, keys: 4, disaster: x, key: y, http://host:8080/a@b s3://bucket/c a@b.c"
    assert redact(text) == text


SECRETS = """
a:
  "api_key": hunter2
  'token': |
    hunter2
    hunter2
  pass: >-
    hunter2
     x
  password: 12345
  credentials:
  - hunter2
  - {user: hunter2, n: 4}
  secret: "hunter2
    more"
b: {Authorization: Bearer hunter2, url: 'https://me:p/hunter2@host/x'}
overrides:
- +wandb_api_key=hunter2 and hunter2
- seed=0
"""


def test_a_yamls_secrets_go_whatever_their_form_and_it_stays_the_same_yaml():
    found = yaml.safe_load(redact_yaml(SECRETS))
    assert found["a"] == dict.fromkeys(["api_key", "token", "pass", "password", "secret"], "***") | {
        "credentials": ["***", {"user": "***", "n": 4}]
    }
    assert found["overrides"] == ["+wandb_api_key=***", "seed=0"]
    assert found["b"] == {"Authorization": "***", "url": "https://***@host/x"}
    assert "hunter2" not in redact_yaml("api_key: hunter2\n[no yaml")


def test_nothing_of_the_projects_own_configuration_is_taken_for_a_secret():
    for path in (ROOT / "conf").rglob("*.yaml"):
        text = path.read_text()
        assert redact_yaml(text) == text, path


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/home/alice/run and /home/alice", "~/run and ~"),
        ("/home/alicent/run", "/home/<user>/run"),
        ("/Users/bob/x", "/Users/<user>/x"),
        (r"C:\Users\bob\x", r"C:\Users\<user>\x"),
        ("/scratch/alice/x /scratch/alices", "/scratch/<user>/x /scratch/alices"),
        ("alice is a word", "alice is a word"),
    ],
)
def test_home_folders_and_users_names_are_taken_out_of_paths(text, shown, monkeypatch):
    monkeypatch.setenv("HOME", "/home/alice")
    monkeypatch.setattr("getpass.getuser", lambda: "alice")
    assert redact_home(text) == shown
