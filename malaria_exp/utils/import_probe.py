"""Imports the packages that a run needs, in a process of its own, and prints what came of it as JSON.

A package that is damaged, or built for another processor, may end the process that imports it.
"""

import importlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from malaria_exp.utils.tensorflow_setup import load_tensorflow

# What is imported under another name than it is installed by stands with both.
MODULES = ("numpy", "scipy", "h5py", "PIL", "sklearn", "matplotlib", "omegaconf", "hydra")
SECONDS = 180


def try_imports(home: Path) -> dict[str, Any]:
    """Returns what a new process finds: {"failed": {module: reason}, "gpus": [names], "cuda": version or None}.

    Args:
        home: the folder that holds the package malaria_exp.
    """
    path = os.pathsep.join(filter(None, (str(home), os.environ.get("PYTHONPATH"))))
    try:
        done = subprocess.run(  # noqa: S603 - this program itself
            [sys.executable, "-m", __name__],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
            env=os.environ | {"PYTHONPATH": path},
        )
    except subprocess.TimeoutExpired:
        return {"failed": {"tensorflow": f"its import takes more than {SECONDS} seconds"}}
    try:
        return dict(json.loads(done.stdout.splitlines()[-1]))
    except (IndexError, ValueError):
        last = (done.stderr.strip().splitlines() or [""])[-1]
        end = f"signal {signal.Signals(-done.returncode).name}" if done.returncode < 0 else f"exit code {done.returncode}"
        return {"failed": {"tensorflow": f"its import ends the process by {end}. {last}".strip()}}


def _probe() -> dict[str, Any]:
    failed: dict[str, str] = {}
    found: dict[str, Any] = {"failed": failed}
    try:
        load_tensorflow()
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
        details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
        found["gpus"] = [str(detail.get("device_name", gpu.name)) for gpu, detail in zip(gpus, details, strict=True)]
        found["cuda"] = tf.sysconfig.get_build_info().get("cuda_version")
        # The first computation fails where the import of a damaged installation still succeeds.
        tf.matmul(tf.ones((2, 2)), tf.ones((2, 2)))
    except Exception as error:  # noqa: BLE001
        failed["tensorflow"] = _reason(error)
    for name in MODULES:
        try:
            importlib.import_module(name)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told
            failed[name] = _reason(error)
    return found


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else ''}"


if __name__ == "__main__":
    sys.stdout.write("\n" + json.dumps(_probe()) + "\n")
