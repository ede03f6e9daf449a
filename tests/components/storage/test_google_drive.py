import pytest

from malaria_exp.config.registry import build
from malaria_exp.utils.errors import ConfigError


def test_a_drive_that_is_not_mounted_is_answered_with_how_to(tmp_path):
    storage = build("storage", "google_drive", {"mount": str(tmp_path / "drive")})
    with pytest.raises(ConfigError, match=r"from google\.colab import drive; drive\.mount\('.*drive'\)"):
        storage.check()
    # Nothing is made where the drive would be: Colab refuses to mount over it.
    assert not (tmp_path / "drive").exists()


def test_a_run_is_copied_into_my_drive(small_run, tmp_path):
    (tmp_path / "drive" / "MyDrive").mkdir(parents=True)
    storage = build("storage", "google_drive", {"mount": str(tmp_path / "drive"), "folder": "a/malaria"})
    storage.check()
    assert storage.keep(small_run, "run") == str(tmp_path / "drive" / "MyDrive" / "a" / "malaria" / "run")
    assert (tmp_path / "drive" / "MyDrive" / "a" / "malaria" / "run" / "model.keras").exists()


def test_a_drive_that_is_gone_when_the_run_is_done_is_not_replaced_by_a_folder(small_run, tmp_path):
    (tmp_path / "drive" / "MyDrive").mkdir(parents=True)
    storage = build("storage", "google_drive", {"mount": str(tmp_path / "drive")})
    storage.check()
    (tmp_path / "drive" / "MyDrive" / "malaria_exp").rmdir()
    (tmp_path / "drive" / "MyDrive").rmdir()
    with pytest.raises(ConfigError, match="not mounted"):
        storage.keep(small_run, "run")
    assert list((tmp_path / "drive").iterdir()) == []
