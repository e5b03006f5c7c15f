"""The endpoint that every runner calls, and the environment that says so."""

import os
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.runners import BIN

# What would make a runner another than it is by default, or make itself heard through `make`.
_DROPPED = ("CHUTES_", "SCILLM_", "LITELLM_", "JUPYTER_", "PYTHON", "PYTEST_", "PAPERMILL_", "MAKE", "MFLAGS")
_GATES = {"SCILLM_ALLOW_STREAM_SMOKE": "1", "SCILLM_ALLOW_TOOLS_SMOKE": "1"}


@contextmanager
def served() -> Iterator[dict[str, str]]:
    """Serve the embedded endpoint in a process of its own; yield the environment of what is to call it."""
    process = subprocess.Popen(  # noqa: S603 - fixed words
        [str(BIN / "scillm-smoke"), "serve"], env=clean(), stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        exports = [shlex.split(process.stdout.readline())[1] for _ in range(3)]
        yield clean() | dict(export.split("=", 1) for export in exports) | _GATES
    finally:
        process.kill()  # it keeps nothing that would need an end
        process.wait()
        process.stdout.close()


def keyless() -> dict[str, str]:
    """Return the environment in which `make smoke` embeds its endpoint, also where `.env` names a live one."""
    purposes = [f"CHUTES_{purpose}_MODEL" for purpose in ("TEXT", "VLM", "TOOLS")]
    return clean() | dict.fromkeys(["CHUTES_API_BASE", "CHUTES_API_KEY", "CHUTES_MODEL", *purposes], "")


def clean() -> dict[str, str]:
    """Return this process's environment without what the runners would heed."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_DROPPED)}
