"""Facts about this machine for the record of a run."""

import os
import platform
import sys
from pathlib import Path
from typing import Any

# The sets that TensorFlow's kernels need (avx), and those by which they are faster; x86 and ARM.
SPEED = ("avx", "avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16", "avx512_fp16", "bf16", "asimdhp", "sve")


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


def instructions() -> list[str]:
    """Returns those of the processor's instruction sets that decide how fast TensorFlow computes; empty where the system does not list them."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        own = next(line.partition(":")[2].split() for line in lines if line.startswith(("flags", "Features")))
    except (OSError, StopIteration):
        return []
    return [name for name in SPEED if name in own]


def cores() -> int:
    """Returns the number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
