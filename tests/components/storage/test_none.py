from malaria_exp.config.registry import build


def test_nothing_is_copied(small_run, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    storage = build("storage", "none", {})
    storage.check()
    assert storage.keep(small_run, "run") is None
    assert sorted(tmp_path.rglob("*")) == before
