"""A run -> Markdown: its totals, its failures and its matrix, for a CI server's step summary."""

import re

from .matrix import cells
from .progress import totals
from .results import Run
from .signatures import failures
from .words import dollars, moment, verdict


def as_markdown(run: Run) -> str:
    """Return the summary of a run."""
    head = [
        f"## {verdict(run)}",
        f"{totals(run)}, {run.calls} calls, {run.tokens:,} tokens, cost {dollars(run.cost_usd)}. "
        f"Run {_plain(run.id)}, {moment(run.started_at)}, {run.endpoint} endpoint, {run.backend}, Python {run.python}.",
    ]
    found = [f"- **{_plain(failure.title)}**" for failure in failures(run)]
    parts = ["\n\n".join(head), "\n".join(found), matrix(run)]
    return "\n\n".join(part for part in parts if part) + "\n"


def matrix(run: Run) -> str:
    """Return the capability matrix as a Markdown table."""
    heads, rows = cells(run)
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(map(_plain, line))} |" for line in lines)


def _plain(text: str) -> str:
    """Escape what Markdown, or GitHub in it, would take for more than text."""
    escaped = re.sub(r"([\\`*_{}\[\]<>|~#&])", r"\\\1", text)
    return re.sub(r"(?<=[@])(?=\w)", "\u200b", escaped)  # nobody is called
