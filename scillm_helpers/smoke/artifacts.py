"""`results.json` files, as CI keeps them -> runs, each checked before it is believed."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from ..errors import UsageError
from . import report
from .results import Run

_REMEDY = "leave it out of --import"


def find(paths: Iterable[Path]) -> list[Path]:
    """Return these files, and the `results.json` files in these folders, however deep. Raises UsageError for none."""
    return list(dict.fromkeys(file.resolve() for path in paths for file in _find(path)))


def read(path: Path) -> Run:
    """Return the run of a `results.json`. Raises UsageError for one that is corrupt, or of another version."""
    run = report.read_results(path, _REMEDY)
    try:
        return _whole(run)
    except ValidationError as error:
        first = error.errors()[0]
        why = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    except (ValueError, TypeError, RecursionError) as error:
        why = f"{type(error).__name__}: {error}"
    raise UsageError(f"{path} holds no results of a run ({why}); {_REMEDY}.")


def _find(path: Path) -> list[Path]:
    found = [path] if path.is_file() else sorted(path.rglob(report.RESULTS))
    if not found:
        state = f"holds no {report.RESULTS}" if path.exists() else "is not there"
        raise UsageError(f"{path} {state}; give --import the folder of a run, or one of several.")
    return found


def _whole(run: Run) -> Run:
    """Return a run of which every value has its type. Raises ValueError, of which ValidationError is one."""
    values = asdict(run)
    json.dumps(values, default=str, allow_nan=False, ensure_ascii=False).encode()
    if datetime.fromisoformat(run.started_at).utcoffset() != timedelta(0):
        raise ValueError(f"started_at is {run.started_at}, which is not in UTC")
    counts = (count for result in values["results"] for count in result["usage"].values())
    if any(count is not None and not 0 <= count < 2**63 for count in counts):
        raise ValueError("a count is out of range")
    return TypeAdapter(Run).validate_python(values)
