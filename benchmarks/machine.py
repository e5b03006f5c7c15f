"""The machine and the versions that numbers hold for."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

import psutil

from benchmarks import cpu

_LIBRARIES = ("papermill", "nbmake", "nbval", "nbconvert", "pytest-xdist", "jupyter_client", "ipykernel", "litellm")


def describe() -> dict[str, str]:
    """Return what the machine is, without its name."""
    return {
        "CPU": _cpu_model(),
        "cores": str(os.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.1f} GiB",
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "CPU seconds": cpu.method(),
        "Python": platform.python_version(),
    } | {name: version(name) for name in _LIBRARIES}


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
