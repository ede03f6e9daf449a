"""A hook from a module of the user's own, as docs/callbacks.md shows it."""

import re

from conftest import ROOT
from hydra.core.config_store import ConfigStore

from malaria_exp.config import plugins, registry

PAGE = ROOT / "docs" / "callbacks.md"


def test_the_example_of_the_docs_runs(run_task, tiny_cellnet, tmp_path, monkeypatch, capsys):
    source = next(block for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL) if "LambdaCallback" in block)
    (tmp_path / "my_hooks.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    overrides = ["plugins=[my_hooks]", "callback=[nan_guard,biggest_weight]"]
    try:
        plugins.load(overrides)
        run_task([*overrides, *tiny_cellnet, "trainer.epochs=3", "callback.biggest_weight.every=2"], tmp_path / "run")
    finally:
        registry._components.pop(("callback", "biggest_weight"), None)
        ConfigStore.instance().repo.pop("callback", None)
    lines = re.findall(r"^epoch (\d): \d\.\d{3}$", capsys.readouterr().out, re.MULTILINE)
    assert lines == ["2"]
