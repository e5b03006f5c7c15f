"""The records that a kernel has published: each is checked here, once, so that it can be counted and written."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from ..records import MIME_TYPE
from .labels import writable

_MOST = 1_000  # records of a cell
_LONGEST = 100_000  # characters of a record, as JSON
_DEEPEST = 50
_COUNT = 10**12
_MEASURE = 1e9

Record = dict[str, Any]


def published(cell: Any) -> list[Record]:
    """Return the records of a cell; what is not valid stands there as a check that is not ok."""
    found = [output.data[MIME_TYPE] for output in cell.outputs if MIME_TYPE in output.get("data", {})]
    more = [_refused(f"the cell has more than {_MOST} records")] if len(found) > _MOST else []
    return [*map(_checked, found[:_MOST]), *more]


def _checked(record: Any) -> Record:
    try:
        problem = _problem(record)
        return _refused(problem) if problem else dict(_writable(record, _DEEPEST))
    except (ValueError, TypeError, RecursionError) as error:
        return _refused(str(error))


def _refused(problem: str) -> Record:
    return {"check": "record", "ok": False, "problem": problem}


def _problem(record: Any) -> str | None:
    """Return why something is not a record, or None. Raises what `json` does for what JSON cannot hold."""
    if not isinstance(record, Mapping) or "check" not in record:
        return "it is not an object with a check"
    wrong = [name for name, holds in _FACTS.items() if not holds(record.get(name))]
    if wrong:
        return f"{wrong[0]} has a wrong value"
    if len(json.dumps(record, allow_nan=False)) > _LONGEST:
        return f"it is longer than {_LONGEST} characters"
    return None


def _writable(value: Any, depth: int) -> Any:
    """Return a JSON value whose texts can be written as UTF-8. Raises ValueError where it is nested too deeply."""
    if depth == 0:
        raise ValueError("it is nested too deeply")
    if isinstance(value, Mapping):
        return {writable(str(name)): _writable(inner, depth - 1) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_writable(inner, depth - 1) for inner in value]
    return writable(value) if isinstance(value, str) else value


def _is_text(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _is_flag(value: Any) -> bool:
    return value is None or isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return value is None or (type(value) is int and 0 <= value <= _COUNT)


def _is_measure(value: Any) -> bool:
    """Tell whether a value is a time or a rate, or there is none."""
    return value is None or (type(value) in (int, float) and 0 <= value <= _MEASURE)


def _is_support(value: Any) -> bool:
    return _is_flag(value) or (isinstance(value, list) and all(isinstance(name, str) for name in value))


# What the harness reads of a record; each may be missing, and anything else may be there.
_FACTS: dict[str, Callable[[Any], bool]] = {
    "check": lambda value: isinstance(value, str),
    "ok": _is_flag,
    "skipped": _is_text,
    "kind": _is_text,
    "unsupported": _is_support,
    "ttft_s": _is_measure,
    "tokens_per_s": _is_measure,
    **dict.fromkeys(("calls", "prompt_tokens", "completion_tokens", "most_completion_tokens"), _is_count),
}
