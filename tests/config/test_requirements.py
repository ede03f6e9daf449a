from importlib import metadata

import pytest
from conftest import ROOT
from packaging.requirements import Requirement

from malaria_exp.config.requirements import installed, requirements


def test_a_clone_and_an_installed_wheel_say_the_same(tmp_path, monkeypatch):
    of_clone = requirements(ROOT)
    assert "tensorflow" in [one.name for one in of_clone[""]] and "wandb" in [one.name for one in of_clone["wandb"]]
    assert "malaria_exp" not in [one.name for one in of_clone["dev"]]
    written = [f'{one}; extra == "{extra}"' if extra else str(one) for extra, found in of_clone.items() for one in found]
    monkeypatch.setattr(metadata, "requires", lambda _: written)
    assert {extra: list(map(str, found)) for extra, found in requirements(tmp_path).items()} == {
        extra: list(map(str, found)) for extra, found in of_clone.items()
    }


@pytest.mark.parametrize(("name", "there"), [("numpy", True), ("no-such-package", False)])
def test_what_is_installed(name, there):
    assert (installed(Requirement(name)) is not None) is there
