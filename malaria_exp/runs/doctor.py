"""What a bug report needs to know about a machine, as one page. Each line is found by itself, so that a broken one takes none of the others along."""

import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from malaria_exp.config.app import HOME, PACKAGE
from malaria_exp.config.requirements import requirements
from malaria_exp.config.run_config import Config
from malaria_exp.data.cache_contents import cache_contents
from malaria_exp.runs.provenance import NUMERIC_VARIABLES, git_state
from malaria_exp.tracking.accounts import kaggle_account, mlflow_account, wandb_account
from malaria_exp.training.precision import measured
from malaria_exp.utils.atomic_files import human_bytes
from malaria_exp.utils.import_probe import try_imports
from malaria_exp.utils.machine import cores, instructions, machine, processor
from malaria_exp.utils.program import program
from malaria_exp.utils.redaction import redact, redact_home
from malaria_exp.utils.tensorflow_setup import ENVIRONMENT, FIXED, keras_settings, overruled_settings, overruled_variables
from malaria_exp.utils.version import __version__, installed_version

# Variables that change what a run does, besides those that change how TensorFlow computes.
VARIABLES = (
    *NUMERIC_VARIABLES,
    *("MALARIA_EXP_CACHE", "MALARIA_EXP_DATA", "MALARIA_EXP_OUTPUTS", "TFDS_DATA_DIR", "CUDA_VISIBLE_DEVICES", "TF_CONFIG"),
    *("TF_FORCE_GPU_ALLOW_GROWTH", "LD_PRELOAD", "PYTHONPATH", "PYTHONHASHSEED", "WANDB_BASE_URL", "WANDB_DIR"),
)
NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")
DEVELOPERS = "dev"
# Measurements of the precision.
SHOWN = 5


class TroubleError(Exception):
    """What a line has to say is a problem."""


@dataclass(frozen=True)
class Line:
    """A fact: its name, what was found, and whether that is a problem."""

    name: str
    text: str
    problem: bool = False


def examine(config: Config) -> dict[str, list[Line]]:
    """Returns the lines of each chapter. It takes some seconds, because TensorFlow is imported in a process of its own."""
    found = try_imports(PACKAGE.parent)
    failed: dict[str, str] = found.get("failed", {})
    chapters: dict[str, dict[str, Callable[[], str]]] = {
        "Program": {
            "code": _code,
            "python": lambda: f"{platform.python_version()} ({platform.python_implementation()}) at {sys.executable}",
            "packages": _packages,
            "imports": lambda: _imports(failed),
            "extras": _extras,
        },
        "Machine": {
            "system": platform.platform,
            "processor": lambda: f"{processor()}; {', '.join(instructions()) or 'instruction sets not known'}",
            "cores": lambda: f"{cores()} of {os.cpu_count()} for this process",
            "memory": lambda: f"{machine()['memory_gb']} GB",
            "devices": lambda: _devices(found),
            "threads": _threads,
            "precision": lambda: _precision(config),
        },
        "Folders": {
            "cache": lambda: _cache(config.cache.path),
            "outputs": lambda: _folder(Path(os.environ.get("MALARIA_EXP_OUTPUTS") or "outputs")),
            "temporary files": lambda: _folder(Path(tempfile.gettempdir())),
        },
        "Accounts": {"Weights & Biases": wandb_account, "MLflow": mlflow_account, "Kaggle": kaggle_account},
        "Your own settings": {"overruled": _overruled, "matplotlibrc": _matplotlibrc, "in force": _in_force},
    }
    return {chapter: [_line(name, say) for name, say in lines.items()] for chapter, lines in chapters.items()}


def page(chapters: dict[str, list[Line]]) -> str:
    """Returns the page as Markdown. Home folder, users' names, keys and passwords are taken out."""
    problems = [line for lines in chapters.values() for line in lines if line.problem]
    shown = [f"## malaria_exp {__version__}", "", f"problems: {', '.join(line.name for line in problems) or 'none found'}"]
    for chapter, lines in chapters.items():
        shown += ["", f"### {chapter}", ""]
        shown += [f"- {line.name}: {'**problem:** ' if line.problem else ''}{' '.join(line.text.split())}" for line in lines]
    return redact_home(redact("\n".join(shown))) + "\n"


def _line(name: str, say: Callable[[], str]) -> Line:
    try:
        return Line(name, say())
    except TroubleError as trouble:
        return Line(name, str(trouble), problem=True)
    except Exception as error:  # noqa: BLE001 - the other lines are told all the same
        return Line(name, f"cannot be told: {type(error).__name__}: {error}", problem=True)


def _code() -> str:
    state = git_state()
    where = f"commit {state['commit'][:12]}{', changed' if state['changed'] else ''}" if state else "installed, no git checkout"
    return f"{where}; called as {program()}"


def _packages() -> str:
    versions, wrong = [], []
    for needed in requirements(HOME)[""]:
        version = installed_version(needed.name)
        versions.append(f"{needed.name} {version or 'missing'}")
        if version is None or not needed.specifier.contains(version, prereleases=True):
            wrong.append(f"{needed.name} {version or 'is missing'} (needed: {needed.specifier})")
    if wrong:
        raise TroubleError(f"{'; '.join(wrong)}. All: {', '.join(versions)}")
    return ", ".join(versions)


def _imports(failed: dict[str, str]) -> str:
    if failed:
        raise TroubleError("; ".join(f"{module} cannot be imported: {reason}" for module, reason in failed.items()))
    return "all work"


def _extras() -> str:
    present: list[str] = []
    absent: list[str] = []
    for extra, needed in requirements(HOME).items():
        missing = [one.name for one in needed if installed_version(one.name) is None]
        if extra not in ("", DEVELOPERS):
            (absent if missing else present).append(f"{extra} ({', '.join(missing)})" if missing else extra)
    return f"{', '.join(present) or 'none'}; not here: {', '.join(absent) or 'none'}"


def _devices(found: dict[str, Any]) -> str:
    if "gpus" not in found:
        raise TroubleError("not known, as TensorFlow cannot be imported")
    cuda = f"; TensorFlow is built for CUDA {found['cuda']}" if found["cuda"] else "; TensorFlow is built without CUDA"
    if not found["gpus"] and NVIDIA_DRIVER.exists():
        raise TroubleError(
            f"an NVIDIA driver is installed, but TensorFlow finds no GPU{cuda}. Its libraries may be missing: pip install 'tensorflow[and-cuda]'"
        )
    return (", ".join(found["gpus"]) or "processor only, no GPU") + cuda


def _threads() -> str:
    within, between = (os.environ.get(f"TF_NUM_{kind}OP_THREADS") or "chosen by TensorFlow" for kind in ("INTRA", "INTER"))
    return f"within an operation {within}, between operations {between}"


def _precision(config: Config) -> str:
    wanted = config.one("trainer").params.get("precision", "auto")
    here = [
        item for item in measured(config.cache.path) if (item["machine"]["processor"], item["machine"]["cores"]) == (processor(), cores())
    ]
    if not here:
        return f"trainer.precision={wanted}; nothing was measured on this machine yet, the first training with auto does"
    chosen = []
    for item in here:
        name, parameters, *others = json.loads(item["identity"])
        times = ", ".join(f"{precision} {1000 * seconds:.0f} ms" for precision, seconds in item["step_seconds"].items())
        chosen.append(
            f"{item['precision']} for {name} at {parameters.get('image_size')} px, {' '.join(map(str, others))} a batch (a step takes {times})"
        )
    return f"trainer.precision={wanted}; fastest here: {'; '.join(chosen[:SHOWN])}" + f"; and {len(chosen) - SHOWN} more" * (
        len(chosen) > SHOWN
    )


def _cache(root: Path) -> str:
    contents = cache_contents(root) if root.is_dir() else []
    return f"{_folder(root)}; {human_bytes(sum(size for _, size in contents))} in {len(contents)} cached files and folders"


def _folder(path: Path) -> str:
    """Returns a folder with its free space; one that is not there is made when it is needed, in the nearest that is."""
    whole = path.expanduser().absolute()
    there = next(folder for folder in (whole, *whole.parents) if folder.exists())
    free = human_bytes(shutil.disk_usage(there).free)
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise TroubleError(
            f"{whole}: nothing can be written{'' if there == whole else f' in {there}'}: {error.strerror}; {free} free"
        ) from None
    return f"{whole}{'' if there == whole else ' (not made yet)'}, {free} free"


def _overruled() -> str:
    found = [f"{name}={value} in the environment ({ENVIRONMENT[name] or 'not set'} is used)" for name, value in overruled_variables.items()]
    found += [f"{name}={value} in {keras_settings()} ({FIXED[name]} is used)" for name, value in overruled_settings().items()]
    return "; ".join(found) or "nothing"


def _matplotlibrc() -> str:
    import matplotlib as mpl

    path = Path(mpl.matplotlib_fname())
    return "none" if path.is_relative_to(mpl.get_data_path()) else f"{path} (pictures do not follow it)"


def _in_force() -> str:
    return ", ".join(f"{name}={os.environ[name]}" for name in VARIABLES if os.environ.get(name)) or "nothing"
