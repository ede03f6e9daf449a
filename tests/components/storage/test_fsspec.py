import pytest

from malaria_exp.config.registry import build
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
