import pytest

from malaria_exp.runs import doctor
from malaria_exp.runs.doctor import Line
from malaria_exp.utils.errors import ConfigError, UserError


def test_the_page_goes_to_the_terminal_or_a_file_and_only_a_machine_on_which_nothing_works_fails(run_task, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(doctor, "examine", lambda _: {"Program": [Line("code", "x", problem=True), Line("python", "y")]})
    run_task(["task=doctor"], tmp_path)
    assert capsys.readouterr().out.startswith("## malaria_exp ")
    run_task(["task=doctor", f"task.to={tmp_path / 'page.md'}"], tmp_path)
    assert "- code: **problem:** x" in (tmp_path / "page.md").read_text() and capsys.readouterr().out == ""
    monkeypatch.setattr(doctor, "examine", lambda _: {"Program": [Line("code", "x", problem=True)]})
    with pytest.raises(UserError, match="Nothing works"):
        run_task(["task=doctor"], tmp_path)


def test_a_file_that_cannot_be_written_is_told(run_task, tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "examine", lambda _: {"Program": [Line("code", "x")]})
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="task.to: cannot write"):
        run_task(["task=doctor", f"task.to={tmp_path / 'file' / 'page.md'}"], tmp_path)
