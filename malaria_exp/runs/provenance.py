"""Provenance: code, packages, machine and command of a run, so that its result can be reproduced."""

import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import malaria_exp
from malaria_exp.utils.machine import machine
from malaria_exp.utils.redaction import redact_overrides

PACKAGES = ("tensorflow", "keras", "numpy", "hydra-core", "omegaconf", "pillow", "scikit-learn", "matplotlib")


def collect(*, seed: int, overrides: list[str]) -> dict[str, Any]:
    """Returns code state, packages, machine, command and seed as plain values; the pipeline adds the hashes of data and split."""
    return {
        "malaria_exp": malaria_exp.__version__,
        "git": git_state(Path(malaria_exp.__file__).parent),
        "command": " ".join(["python", "run.py", *redact_overrides(overrides)]),
        "seed": seed,
        "python": platform.python_version(),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "machine": machine(),
    }


def git_state(folder: Path) -> dict[str, Any] | None:
    """Returns {commit, changed} of the code, or None where it is not a git checkout."""
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        return {"commit": commit, "changed": bool(_git(folder, "status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=True)  # noqa: S603, S607
    return done.stdout.strip()


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
