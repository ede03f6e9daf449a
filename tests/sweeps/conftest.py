"""What tests of multiruns share."""

import sys

import pytest
from conftest import ROOT


@pytest.fixture
def call_main(monkeypatch, capsys, tmp_path):
    """Calls the program in this process: (exit code, standard error)."""
    from malaria_exp import main

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", [str(ROOT / "run.py"), *arguments])
        monkeypatch.setattr(main, "_failures", [])
        with pytest.raises(SystemExit) as ended:
            main.main()
        return ended.value.code, capsys.readouterr().err

    return call
