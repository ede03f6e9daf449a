"""The program that writes docs/models.md: its table and pictures are made of the runs' own files."""

import json

import pytest

from malaria_exp.config.registry import options


@pytest.fixture(scope="module")
def models(load):
    return load("models")


def test_table_and_pictures_of_a_finished_run(models, finished_run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(models, "ROUNDS", 2)
    monkeypatch.setattr(models, "SCORED", 20)
    page = tmp_path / "docs" / "models.md"
    page.parent.mkdir()
    page.write_text("before\n<!-- table: begin -->\nold\n<!-- table: end -->\nafter\n")
    for _ in range(2):
        monkeypatch.setattr("sys.argv", ["models.py", "--from", str(finished_run), "--docs", str(page.parent)])
        assert models.main() == 0
    text = page.read_text()
    assert text.startswith("before\n<!-- table: begin -->\n") and text.endswith("\n<!-- table: end -->\nafter\n") and "old" not in text
    rows = [line for line in text.splitlines() if line.startswith("| `model=")]
    parameters = json.loads((finished_run / "model.json").read_text())["parameters"]
    assert len(rows) == 1 and rows[0].startswith(f"| `model=cellnet` | {parameters:,} |")
    assert (page.parent / "images" / "models" / "cellnet.png").stat().st_size > 5000
    assert "wrote" in capsys.readouterr().out


def test_every_model_has_its_row(models):
    run = {name for command in models.MULTIRUNS.values() for name in command[0].removeprefix("model=").split(",")}
    assert run == set(options("model")) - {"ensemble"}
