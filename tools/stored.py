"""Stored outputs and fresh ones: when are they the same?"""

import functools
import json
import re
from pathlib import Path
from typing import Any

from nbval.plugin import get_sanitize_patterns

SANITIZER = Path(__file__).parent.parent / "tests" / "nbval-sanitize.cfg"


def sanitized(value: Any, patterns: dict[str, str] | None = None) -> Any:
    """Return an output with what truly varies replaced. JSON, which nbval leaves alone, is written out first."""
    if isinstance(value, dict):
        value = json.dumps(value, sort_keys=True)
    if not isinstance(value, str):
        return value
    for regex, replacement in (patterns or patterns_of_file()).items():
        value = re.sub(regex, replacement, value)
    return value


@functools.cache
def patterns_of_file() -> dict[str, str]:
    """Return the replacements of `tests/nbval-sanitize.cfg`."""
    return dict(get_sanitize_patterns(SANITIZER.read_text()))


def same(stored: list[Any], fresh: list[Any]) -> bool:
    """Tell whether two lists of outputs differ in nothing but what truly varies."""
    return [_comparable(output) for output in stored] == [_comparable(output) for output in fresh]


def _comparable(output: Any) -> Any:
    if isinstance(output, dict):
        flat = {name: _comparable(value) for name, value in output.items()}
        return sanitized(flat)
    return [_comparable(item) for item in output] if isinstance(output, list) else output
