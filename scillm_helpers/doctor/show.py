"""A diagnosis -> what is read of it on a terminal."""

import textwrap

from rich.console import Console
from rich.text import Text

from .findings import Diagnosis, Finding, State

_STYLES: dict[State, str] = {"ok": "green", "failed": "red", "not_checked": "yellow"}
_SYMBOLS: dict[State, str] = {"ok": "✓", "failed": "✗", "not_checked": "·"}
_ASCII: dict[State, str] = {"ok": "+", "failed": "x", "not_checked": "-"}  # where the encoding has no others
_NAME = 16  # characters of the longest name
_INDENT = " " * (_NAME + 3)


def show(diagnosis: Diagnosis, console: Console) -> None:
    """Print each finding, and then the first cause with the one command to run."""
    for finding in diagnosis.findings:
        _finding(finding, console)
    _print(console, "", "")
    cause = diagnosis.cause
    if cause is None:
        held = sum(finding.state == "ok" for finding in diagnosis.findings)
        left = len(diagnosis.findings) - held
        _print(console, f"Nothing is wrong: {held} checks hold, {left} not made.", "bold green")
        return
    for line in _wrapped(f"First cause: {cause.name.upper()}: {cause.seen}", console.width, console):
        _print(console, line, "bold red")
    _print(console, f"Run: {cause.run}", "bold")


def _finding(finding: Finding, console: Console) -> None:
    symbol = (_ASCII if console.options.ascii_only else _SYMBOLS)[finding.state]
    first, *rest = _wrapped(finding.seen, console.width - len(_INDENT), console)
    told = Text.assemble((symbol, _STYLES[finding.state]), f" {finding.name.upper():<{_NAME}} ", first)
    console.print(told, soft_wrap=True)
    for text, look in ((line, "") for line in rest):
        _print(console, _INDENT + text, look)
    for line in _wrapped(finding.means, console.width - len(_INDENT), console):
        _print(console, _INDENT + line, "" if finding.state == "failed" else "dim")
    for detail in finding.details:
        for line in _wrapped(detail, console.width - 4, console):
            _print(console, f"    {line}", "dim")
    if finding.run:
        _command("run: ", finding.run, "bold", console)
    if finding.curl and finding.curl != finding.run:
        _command("same:", finding.curl, "dim", console)


def _command(label: str, command: str, style: str, console: Console) -> None:
    """Print a command as it can be pasted: it is broken only where a shell joins it."""
    first, *rest = command.splitlines()
    _print(console, f"    {label} {first}", style)
    for line in rest:
        _print(console, f"          {line}", style)


def _wrapped(text: str, width: int, console: Console) -> list[str]:
    """Return the lines of a text on a terminal; elsewhere, where `grep` looks for it, one line."""
    if not console.is_terminal:
        return [text] if text else []
    return textwrap.wrap(text, max(width, 20), break_on_hyphens=False)


def _print(console: Console, line: str, style: str) -> None:
    console.print(Text(line, style=style), soft_wrap=True)
