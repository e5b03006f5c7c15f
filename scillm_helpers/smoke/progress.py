"""A run -> what is seen of it while it goes on: live on a terminal, plain lines in a log."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from .matrix import cells
from .results import Case, CaseResult, Run, Status

_STATES = {"works": "green", "fails": "red"}
_STYLES: dict[Status, str] = {"passed": "green", "skipped": "yellow", "not_run": "yellow"}


class LiveProgress(AbstractContextManager["LiveProgress"]):
    """Show which cases run, with a spinner each on a terminal, and a line for each that has finished."""

    def __init__(self, console: Console, after_each: Callable[[], None]) -> None:
        """Show on `console`; call `after_each` whenever a result has been shown."""
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        self._console = console
        self._progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._tasks: dict[str, TaskID] = {}
        self.shown: set[str] = set()  # the ids of the cases whose line has been printed
        self._after_each = after_each

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def started(self, case: Case) -> None:
        """Show that a case runs now."""
        self._tasks[case.id] = self._progress.add_task(escape(case.id))

    def failed_for_now(self, result: CaseResult) -> None:
        """Replace a running case by the line of a failure that is not the last word."""
        self._progress.remove_task(self._tasks.pop(result.case.id))
        show(result, self._console, "; it is tried again")
        self._after_each()

    def finished(self, result: CaseResult) -> None:
        """Replace a running case by the line of its result."""
        self._progress.remove_task(self._tasks.pop(result.case.id))
        show(result, self._console)
        self.shown.add(result.case.id)
        self._after_each()


def show(result: CaseResult, console: Console, more: str = "") -> None:
    """Print a result as a line."""
    style = _STYLES.get(result.status, "red")
    reason = "" if result.reason is None else f"  {_why(result)}{more}"
    if result.attempt > 1:
        reason += f"  {result.status} on attempt {result.attempt}"
    line = f"[{style}]{result.status:<11}[/] {escape(result.case.id):<20} {result.seconds:6.1f} s{escape(reason)}"
    console.print(line)


def totals(run: Run) -> str:
    """Return the run's totals as a phrase; statuses that no case has are left out."""
    counts = ", ".join(f"{count} {status}" for status, count in run.totals.items() if count)
    return f"{counts} in {run.seconds:.1f} s"


def matrix_table(run: Run) -> Table:
    """Return the capability matrix: a row a model."""
    heads, rows = cells(run)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for head in heads:
        table.add_column(head, overflow="fold")
    for model, *told in rows:
        table.add_row(escape(model), *(Text(text, style=_STATES.get(text.split(" ")[0], "")) for text in told))
    return table


def _why(result: CaseResult) -> str:
    assert result.reason is not None
    kind = f"{result.reason.kind}: " if result.reason.kind else ""
    cell = f" (In [{result.reason.cell}])" if result.reason.cell and result.reason.kind else ""
    return f"{kind}{result.reason.message}{cell}"
