import sys

import pytest

from malaria_exp.config.registry import build
from malaria_exp.utils.errors import ConfigError
from malaria_exp.utils.filesystems import open_filesystem


@pytest.mark.parametrize("scheme", ["memory", "ram"])
def test_a_run_is_copied_to_a_url(small_run, scheme, tmp_path):
    url = f"{scheme}://{tmp_path.name}/runs"
    storage = build("storage", "fsspec", {"url": f"{url}/"})
    storage.check()
    assert storage.keep(small_run, "multirun-a/3") == f"{url}/multirun-a/3"
    assert (
        open_filesystem(f"{url}/multirun-a/3/saved_model/variables", "k").read("variables.index")
        == b"saved_model/variables/variables.index"
    )


def test_a_file_url_is_a_folder_of_this_machine(small_run, tmp_path):
    storage = build("storage", "fsspec", {"url": f"file://{tmp_path}/runs"})
    storage.check()
    assert storage.keep(small_run, "run") == str(tmp_path / "runs" / "run")


def test_a_package_that_is_missing_is_named_before_any_work(monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(ConfigError, match=r"storage\.url: 's3://' needs a package that is not installed: .*pip install s3fs"):
        build("storage", "fsspec", {"url": "s3://bucket/runs"}).check()
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(ConfigError, match=r"storage\.url: .*pip install 'malaria_exp\[remote\]'"):
        build("storage", "fsspec", {"url": "s3://bucket/runs"}).check()
