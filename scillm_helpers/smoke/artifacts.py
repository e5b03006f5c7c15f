"""`results.json` files, as CI keeps them -> runs."""

import os
from collections.abc import Iterable
from pathlib import Path

from ..errors import UsageError
from . import report
from .results import Run

_REMEDY = "leave it out of --import"


def find(paths: Iterable[Path]) -> list[Path]:
    """Return these files, and the `results.json` files in these folders, however deep. Raises UsageError for none."""
    return list(dict.fromkeys(file.resolve() for path in paths for file in _find(path)))


def read(path: Path) -> Run:
    """Return the run of a `results.json`. Raises UsageError for one that is corrupt, or of another version."""
    return report.read_results(path, _REMEDY)


def _find(path: Path) -> list[Path]:
    found = [path] if os.path.isfile(path) else sorted(path.rglob(report.RESULTS) if os.path.isdir(path) else ())
    if not found:
        state = f"holds no {report.RESULTS}" if os.path.exists(path) else "is not there"
        raise UsageError(f"{path} {state}; give --import the folder of a run, or one of several.")
    return found
