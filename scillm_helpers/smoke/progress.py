"""A run -> what is seen of it while it goes on: live on a terminal, plain lines in a log."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from .matrix import cells
from .results import Case, CaseResult, Run, Status
from .signatures import failures
from .tables import new_table, plain_text, print_table

_WIDEST = 48  # characters of a case's name in its column
_STATES = {"works": "green", "fails": "red"}
_STYLES: dict[Status, str] = {"passed": "green", "skipped": "yellow", "not_run": "yellow"}


class LiveProgress(AbstractContextManager["LiveProgress"]):
    """Show which cases run, with a spinner each on a terminal, and a line for each that has finished."""

    def __init__(self, console: Console, cases: Sequence[Case], after_each: Callable[[], None]) -> None:
        """Show on `console` how `cases` fare; call `after_each` whenever a result has been shown."""
        spinner = "line" if console.options.ascii_only else "dots"
        columns = (SpinnerColumn(spinner), TextColumn("{task.description}"), TimeElapsedColumn())
        self.console = console
        self._progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._tasks: dict[str, TaskID] = {}
        self._shown: set[str] = set()  # the ids of the cases whose line has been printed
        self._after_each = after_each
        # One long name does not push all durations to the edge: its own line is longer, then.
        self._width = max((len(case.id) for case in cases if len(case.id) <= _WIDEST), default=0)

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
        self._show(result, "; it is tried again")
        self._after_each()

    def finished(self, result: CaseResult) -> None:
        """Replace a running case by the line of its result."""
        self._progress.remove_task(self._tasks.pop(result.case.id))
        self._show(result)
        self._shown.add(result.case.id)
        self._after_each()

    def conclude(self, run: Run) -> None:
        """Print a line for each case that was not run and for what failed more than once; the matrix where models were named."""
        for result in run.results:
            if result.status == "not_run" and result.case.id not in self._shown:
                self._show(result)
        for failure in failures(run):
            if len(failure.results) > 1:
                self.console.print(f"[red]{len(failure.results)} x[/] {escape(failure.told)}")
        if run.models:
            show_matrix(run, self.console)

    def _show(self, result: CaseResult, more: str = "") -> None:
        """Print a result as a line."""
        style = _STYLES.get(result.status, "red")
        reason = "" if result.reason is None else f"  {_why(result)}{more}"
        if result.attempt > 1:
            reason += f"  {result.status} on attempt {result.attempt}"
        name = f"{result.case.id:<{self._width}}"
        self.console.print(f"[{style}]{result.status:<11}[/] {escape(name)} {result.seconds:6.1f} s{escape(reason)}")


def totals(run: Run) -> str:
    """Return the run's totals as a phrase; statuses that no case has are left out."""
    counts = ", ".join(f"{count} {status}" for status, count in run.totals.items() if count)
    return f"{counts} in {run.seconds:.1f} s"


def show_matrix(run: Run, console: Console) -> None:
    """Print the capability matrix: a row a model; on a narrow terminal a word a line, that models stay readable."""
    heads, rows = cells(run)
    columns = list(zip(heads, *rows, strict=True))
    narrow = console.is_terminal and sum(max(map(len, column)) + 2 for column in columns) > console.width
    table = new_table()
    table.padding = (0, 1 if narrow else 2, 0, 0)
    for head, *column in columns:
        longest = max(len(word) for text in (head, *column) for word in text.split(" "))
        table.add_column(head, overflow="fold", width=longest if narrow and head != heads[0] else None)
    for model, *told in rows:
        table.add_row(plain_text(model), *(plain_text(text, _STATES.get(text.split(" ")[0], "")) for text in told))
    print_table(table, console)


def _why(result: CaseResult) -> str:
    assert result.reason is not None
    kind = f"{result.reason.kind}: " if result.reason.kind else ""
    cell = f" (In [{result.reason.cell}])" if result.reason.cell and result.reason.kind else ""
    return f"{kind}{result.reason.message}{cell}"
