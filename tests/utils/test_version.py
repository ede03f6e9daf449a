import pytest

from malaria_exp.utils.version import installed_version


@pytest.mark.parametrize(("name", "there"), [("numpy", True), ("malaria_exp", True), ("ai_edge_litert", True), ("no-such-package", False)])
def test_what_is_installed(name, there):
    assert (installed_version(name) is not None) is there
