"""The executed cells of a notebook -> what each of its checks has shown."""

import re
from typing import Any

from ..kinds import Kind
from .results import Check, Reason, State, Status

_RECORDED = re.compile(r"^\s*record\(\s*[\"']([\w-]+)[\"']", re.MULTILINE)
_STOPPED: frozenset[Status] = frozenset({"failed", "timeout", "kernel_died"})


def checks(
    cells: list[Any], records: tuple[dict[str, Any], ...], unsupported: list[str], status: Status, reason: Reason | None
) -> tuple[Check, ...]:
    """Return the checks of the notebook, in the order in which it makes them.

    A notebook records a check when it holds. Where it stopped, the first check that is not
    recorded is the one that has failed, or that the endpoint has answered not to support
    (`unsupported`); those after it were not reached.
    """
    found = []
    kind = reason.kind if reason is not None else None
    stopped = status in _STOPPED
    for name in _names(cells, records):
        own = [record for record in records if record.get("check") == name]
        check = _recorded(name, own) if own else _unrecorded(name, stopped, unsupported, kind)
        stopped = stopped and bool(own)
        found.append(check)
    return tuple(found)


def _names(cells: list[Any], records: tuple[dict[str, Any], ...]) -> list[str]:
    """Return the checks that the sources name, and those that were recorded all the same."""
    named = [name for cell in cells for name in _RECORDED.findall(cell.source)]
    return list(
        dict.fromkeys([*named, *(str(record.get("check")) for record in records if record.get("ok") is not None)])
    )


def _recorded(name: str, own: list[dict[str, Any]]) -> Check:
    worst = next((record for record in own if record.get("ok") is not True), own[-1])
    states: dict[Any, State] = {True: "works", False: "fails", None: "not_run"}
    state = "not_supported" if worst.get("unsupported") else states[worst.get("ok")]
    ttft_s, tokens_per_s = (_number(worst.get(fact)) for fact in ("ttft_s", "tokens_per_s"))
    return Check(name, state, "assertion" if state == "fails" else None, ttft_s, tokens_per_s)


def _unrecorded(name: str, failed: bool, unsupported: list[str], kind: Kind | None) -> Check:
    if not failed:
        return Check(name, "not_run")
    lacks = name in unsupported or "chat" in unsupported  # without chat there is nothing
    return Check(name, "not_supported") if lacks else Check(name, "fails", kind)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
