"""A run's facts -> the words for them, the same on the terminal, in Markdown and on the page."""

import re
from datetime import datetime
from decimal import Decimal

from .results import Check, Run, Status

SYMBOLS: dict[Status, str] = {
    "passed": "✓", "skipped": "○", "failed": "✗", "timeout": "!", "kernel_died": "†", "not_run": "·",
}  # fmt: skip

# What a terminal obeys instead of showing it: colours, movements, titles and links (ECMA-48), and backspaces.
TERMINAL = r"\x1b\[[0-9;:?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x08"
# And what else XML cannot hold.
_CONTROL = re.compile(rf"{TERMINAL}|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def plain(text: str) -> str:
    """Return a text without colours and control characters."""
    return _CONTROL.sub("", text)


def verdict(run: Run) -> str:
    """Return what a reader wants to know first."""
    count = len(run.results)
    bad = count - run.totals["passed"] - run.totals["skipped"]
    if bad:
        return f"{bad} of {count} did not pass"
    if run.totals["skipped"]:
        return f"{run.totals['passed']} passed, {run.totals['skipped']} skipped"
    return f"All {count} passed"


def state(check: Check) -> str:
    """Return what a check has shown: works, fails (kind), not supported, not run."""
    if check.state == "fails":
        return f"fails ({check.kind or 'unknown'})"
    return check.state.replace("_", " ")


def seconds(value: float | None) -> str:
    """Return a short time; nothing where there is none."""
    if value is None:
        return ""
    return f"{value:.2f} s" if value >= 0.1 else f"{value * 1000:.0f} ms"


def duration(value: float) -> str:
    """Return a long time."""
    minutes, rest = divmod(value, 60)
    return f"{minutes:.0f} min {rest:.0f} s" if minutes else f"{rest:.1f} s"


def rate(value: float | None) -> str:
    """Return tokens per second; nothing where there are none."""
    return "" if value is None else f"{value:.0f}"


def dollars(value: float | None) -> str:
    """Return US dollars."""
    if value is None:
        return "unknown"
    if value >= 0.995 or value == 0:
        return f"${value:,.2f}" if value else "$0"
    return f"${Decimal(f'{value:.1e}'):f}"  # two digits that count, and no exponent


def moment(text: str) -> str:
    """Return an ISO 8601 time as people write it."""
    return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M UTC")


def words(status: Status) -> str:
    """Return a status in words."""
    return status.replace("_", " ")
