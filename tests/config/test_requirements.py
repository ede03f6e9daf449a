from importlib import metadata

from conftest import ROOT

from malaria_exp.config.requirements import requirements


def test_a_clone_and_an_installed_wheel_say_the_same(tmp_path, monkeypatch):
    of_clone = requirements(ROOT)
    assert "tensorflow" in [one.name for one in of_clone[""]] and "wandb" in [one.name for one in of_clone["wandb"]]
    assert "malaria_exp" not in [one.name for one in of_clone["dev"]]
    written = [f'{one}; extra == "{extra}"' if extra else str(one) for extra, found in of_clone.items() for one in found]
    monkeypatch.setattr(metadata, "requires", lambda _: written)
    assert {extra: list(map(str, found)) for extra, found in requirements(tmp_path).items()} == {
        extra: list(map(str, found)) for extra, found in of_clone.items()
    }
