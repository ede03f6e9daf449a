"""Provenance: what made a result, so that it can be made again."""

import os
import platform
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import malaria_exp

PACKAGES = ("tensorflow", "keras", "numpy", "hydra-core", "omegaconf", "pillow", "scikit-learn", "matplotlib")
# A value behind such a name never reaches a file or a log.
SECRET_NAME = re.compile(r"[\w.+-]*(?:key|token|secret|password|passwd|credential)\w*", re.IGNORECASE)
# In running text a bare "key" or "keys" is the word, not a name.
SECRET = re.compile(rf"""((?<![\w.+-])(?!keys?\s*[=:]){SECRET_NAME.pattern}\s*[=:]\s*)("[^"]*"|'[^']*'|\S+)""", re.IGNORECASE)

# What stands before the host of an address: user and password.
USER_INFO = re.compile(r"(?<=://)[^/\s@'\"]+@")
# Signed links to private files carry the right to read them behind the question mark.
URL_QUERY = re.compile(r"(?<=://)([^\s'\"?]+)\?[^\s'\"]+")


def collect(*, seed: int, overrides: list[str]) -> dict[str, Any]:
    """Returns code state, packages, machine, command and seed as plain values; data and split hashes are the runner's to add."""
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


def machine() -> dict[str, Any]:
    """Returns system, processor, cores this process may use, memory in GB, and GPUs where TensorFlow is loaded already."""
    found: dict[str, Any] = {"system": platform.platform(terse=True), "processor": processor(), "cores": cores()}
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        found["memory_gb"] = round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1)
    if "tensorflow" in sys.modules:
        tf = sys.modules["tensorflow"]
        gpus = tf.config.list_physical_devices("GPU")
        found["gpus"] = [tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in gpus]
    return found


def processor() -> str:
    """Returns the processor's model name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def cores() -> int:
    """Returns the number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def redact(text: str) -> str:
    """Returns the text with the values behind names of keys, tokens and passwords, and users in addresses, replaced by ***."""
    return URL_QUERY.sub(r"\1?***", USER_INFO.sub("***@", SECRET.sub(r"\1***", text)))


def redact_yaml(text: str) -> str:
    """Returns YAML with the texts behind names of keys, tokens and passwords replaced by ***; numbers, true and null stay."""
    number = r"(?:null|true|false|[-+.\d][-+.\de]*)\s*$"
    named = re.sub(rf"^([\s-]*{SECRET_NAME.pattern}\s*:\s+)(?!{number})\S.*$", r"\1'***'", text, flags=re.IGNORECASE | re.MULTILINE)
    return URL_QUERY.sub(r"\1?***", USER_INFO.sub("***@", named))


def redact_overrides(overrides: list[str]) -> list[str]:
    """Returns what the user typed with secrets replaced by ***: a whole value, spaces and all, where its key is a secret's name."""
    parts = [item.partition("=") for item in overrides]
    return [f"{key}=***" if sign and SECRET_NAME.fullmatch(key) else redact(key + sign + value) for key, sign, value in parts]


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=True)  # noqa: S603, S607
    return done.stdout.strip()


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
