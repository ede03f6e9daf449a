"""A run for loggers to hear of."""

import pytest

from malaria_exp.tracking.logger_interface import Run


@pytest.fixture
def run(tmp_path):
    """The facts of a run by itself."""
    config = {"seed": 3, "model": {"name": "cellnet", "stem": 4}, "aug": {"dihedral": {"p": 1.0}}}
    return Run(tmp_path, "20261123-a", None, "train", config, ["seed=3", "model.stem=4"])
