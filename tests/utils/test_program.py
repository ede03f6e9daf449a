"""Messages name the program as it was called."""

import subprocess
import sys

import pytest
from conftest import ROOT

from malaria_exp.utils.program import as_called


@pytest.mark.parametrize(
    ("called", "expected"),
    [("run.py", "python run.py"), ("/env/bin/malaria-exp", "malaria-exp"), ("/env/malaria_exp/__main__.py", "python -m malaria_exp")],
)
def test_commands_in_messages_can_be_typed(monkeypatch, called, expected):
    monkeypatch.setattr(sys, "argv", [called, "seed=1"])
    assert as_called("See: python run.py task=list") == f"See: {expected} task=list"


def test_without_its_packages_run_py_says_one_sentence():
    # -S: without the folder of installed packages.
    done = subprocess.run([sys.executable, "-S", str(ROOT / "run.py")], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stderr.startswith("error: the package ") and "activate" in done.stderr
    assert "Traceback" not in done.stderr
