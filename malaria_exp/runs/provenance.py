"""Provenance: code, packages, machine and command of a run, so that its result can be reproduced."""

import hashlib
import inspect
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from malaria_exp.config.app import PACKAGE
from malaria_exp.config.registry import plugin_components
from malaria_exp.utils.machine import machine
from malaria_exp.utils.program import program
from malaria_exp.utils.redaction import redact_overrides
from malaria_exp.utils.tensorflow_setup import FIXED
from malaria_exp.utils.version import __version__, installed_version

PACKAGES = ("tensorflow", "keras", "numpy", "hydra-core", "omegaconf", "pillow", "scikit-learn", "matplotlib")
# Variables by which TensorFlow's kernels compute other last bits, or at another speed. They are the user's to set, so they are recorded.
NUMERIC_VARIABLES = (
    "OMP_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "TF_ENABLE_ONEDNN_OPTS",
    "TF_XLA_FLAGS",
    "XLA_FLAGS",
    "NVIDIA_TF32_OVERRIDE",
    "TF_USE_CUBLASLT",
)


def collect(*, seed: int, overrides: list[str]) -> dict[str, Any]:
    """Returns code state, packages, Keras' settings, machine, command and seed as plain values; the pipeline adds the hashes of data and split."""
    plugins = {one.builder.__module__: inspect.getsourcefile(one.builder) for one in plugin_components()}
    return {
        "malaria_exp": __version__,
        "git": git_state(),
        "code_hash": _hash_of(sorted(PACKAGE.rglob("*.py"))),
        "plugins": {name: _hash_of([Path(file)]) for name, file in sorted(plugins.items()) if file},
        "command": " ".join([program(), *redact_overrides(overrides)]),
        "seed": seed,
        "python": platform.python_version(),
        "keras": FIXED,
        "environment": {name: os.environ[name] for name in NUMERIC_VARIABLES if name in os.environ},
        "packages": {name: version for name in PACKAGES if (version := installed_version(name))},
        "machine": machine(),
    }


def _hash_of(files: list[Path]) -> str:
    """Returns one SHA-256 of the contents of files."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def git_state(folder: Path = PACKAGE.parent) -> dict[str, Any] | None:
    """Returns {commit, changed} of the code, or None where it is not a git checkout.

    Args:
        folder: the root of the checkout. A package that was installed into an environment inside of somebody's checkout is none.
    """
    try:
        if Path(_git(folder, "rev-parse", "--show-toplevel")).resolve() != folder.resolve():
            return None
        commit = _git(folder, "rev-parse", "HEAD")
        return {"commit": commit, "changed": bool(_git(folder, "status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=True)  # noqa: S603, S607
    return done.stdout.strip()
