from malaria_exp.config.registry import build


def test_a_run_is_copied_into_the_folder(small_run, tmp_path):
    storage = build("storage", "path", {"path": str(tmp_path / "mounted"), "what": ["report"]})
    storage.check()
    assert storage.keep(small_run, "multirun-a/3") == str(tmp_path / "mounted" / "multirun-a" / "3")
    copy = tmp_path / "mounted" / "multirun-a" / "3"
    assert {path.name for path in copy.iterdir()} == {"report.html", "plots", "status.json", "config.yaml", "provenance.json"}


def test_the_home_folder_is_resolved(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert build("storage", "path", {"path": "~/kept"}).folder == tmp_path / "kept"
