"""The programs of benchmarks/ as modules."""

import importlib.util

import pytest
from conftest import ROOT


@pytest.fixture(scope="session")
def load():
    """load(name) -> the program benchmarks/name.py, imported."""

    def load(name):
        spec = importlib.util.spec_from_file_location(f"benchmark_{name}", ROOT / "benchmarks" / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load
