"""A failure -> the text of its issue, and what that text remembers.

What comes from a failure was written by a provider or by a notebook: it stands in code blocks, where it mentions
nobody, links nothing and ends nothing.
"""

import json
import re
from collections.abc import Iterable

from scillm_helpers.smoke.results import CaseResult, Run

from .night import ALL, Found, Seen

_TITLE = 240  # GitHub takes 256 characters
_MESSAGE = 10_000  # of the 65,536 that a body may have
_CASES = 50
_REMEMBERED = 20_000  # characters, for each endpoint
_MARKER = re.compile(r"<!-- scillm-smoke:([0-9a-f]{12})(?: (\{.*\}))? -->")
_ENDPOINTS = ("embedded", "live")


def title(found: Found) -> str:
    """Return a failure's title in one line that mentions nobody."""
    line = re.sub(r"\s+", " ", found.failure.title).strip()
    line = re.sub(r"([@#])(?=\w)", "\\1\u200b", line)
    return line if len(line) <= _TITLE else line[: _TITLE - 1] + "…"


def body(found: Found, link: str | None) -> str:
    """Return the text of a new issue. `link` leads to the workflow's run."""
    return "\n\n".join(
        [
            marker(found.failure.id, found.seen),
            f"First seen in {_runs(found.runs, link)}:",
            _block(_cut(found.failure.message)),
            _block(_cases(found)),
            "`make issues` closes this issue when each of its cases has been executed without this failure, and "
            "reopens it when the failure is back. Close it as “not planned” and it stays closed.",
        ]
    )


def gone(runs: Iterable[Run], link: str | None) -> str:
    """Return the comment that closes an issue."""
    return f"Gone: each of its cases has been executed without this failure, the last in {_runs(runs, link)}."


def back(found: Found, link: str | None) -> str:
    """Return the comment that reopens an issue."""
    return "\n\n".join(
        [f"Back in {_runs(found.runs, link)}:", _block(_cut(found.failure.message)), _block(_cases(found))]
    )


def marker(failure_id: str, seen: Seen) -> str:
    """Return the hidden line by which an issue is found again, with the cases that may fail still.

    Where an endpoint has more cases than a body can hold, they are ALL: the issue then waits for a
    night of which every case on that endpoint was executed.
    """
    cases = {endpoint: sorted(case for where, case in seen if where == endpoint) for endpoint in _ENDPOINTS}
    short = {endpoint: _bounded(ids) for endpoint, ids in cases.items() if ids}
    # No `--` and no `>`, which would end the comment; JSON reads the escapes back.
    text = json.dumps(short).replace("--", "-\\u002d").replace(">", "\\u003e")
    return f"<!-- scillm-smoke:{failure_id} {text} -->"


def read_marker(text: str) -> tuple[str, Seen] | None:
    """Return the id and the cases that an issue's text remembers, or None where it has no marker.

    Where its cases cannot be read, they are ALL.
    """
    match = _MARKER.search(text)
    if match is None:
        return None
    try:
        cases = json.loads(match[2] or "")
        seen = frozenset((endpoint, str(case)) for endpoint in _ENDPOINTS for case in cases.get(endpoint, []))
    except (ValueError, TypeError):
        seen = frozenset()
    return match[1], seen or frozenset((endpoint, ALL) for endpoint in _ENDPOINTS)


def with_marker(text: str, failure_id: str, seen: Seen) -> str:
    """Return an issue's text with another marker; what people have written around it stays."""
    return _MARKER.sub(lambda _: marker(failure_id, seen), text, count=1)


def _bounded(ids: list[str]) -> list[str]:
    return [ALL] if ALL in ids or len(json.dumps(ids)) > _REMEMBERED else ids


def _runs(runs: Iterable[Run], link: str | None) -> str:
    told = " and ".join(f"run `{_word(run.id)}` ({run.endpoint}, {_commit(run)})" for run in runs)
    return f"{told}, [in this workflow's run]({link})" if link else told


def _commit(run: Run) -> str:
    return f"commit {_word(run.git_commit)}" if run.git_commit else "no commit"


def _word(text: str) -> str:
    return re.sub(r"[^\w.+-]", "_", text)


def _cases(found: Found) -> str:
    """Return a line for each case, up to fifty."""
    failed = {id(result) for result in found.failure.results}
    lines = [_case(run, result) for run in found.runs for result in run.results if id(result) in failed]
    more = [f"and {len(lines) - _CASES} more"] if len(lines) > _CASES else []
    return "\n".join(lines[:_CASES] + more)


def _case(run: Run, result: CaseResult) -> str:
    cell = f", In [{result.reason.cell}]" if result.reason and result.reason.cell is not None else ""
    line = f"{result.case.id} with {result.case.model} ({run.endpoint}): {result.status}{cell}"
    return re.sub(r"\s+", " ", line)[:200]


def _cut(message: str) -> str:
    dropped = len(message) - _MESSAGE
    return f"{message[:_MESSAGE]}\n[{dropped} characters more]" if dropped > 0 else message


def _block(text: str) -> str:
    """Return a code block whose fence is longer than any in the text."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return "\n".join([f"{fence}text", *text.splitlines(), fence])
