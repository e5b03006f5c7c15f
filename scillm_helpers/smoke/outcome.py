"""What an execution has left -> a status and a reason."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self, get_args

from jupyter_client.kernelspec import NoSuchKernel
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat import ValidationError
from papermill.exceptions import PapermillExecutionError

from ..kinds import Kind
from .labels import label
from .plan import InvalidNotebook
from .published import published
from .results import Reason, Status, Usage
from .source import has_tag, number
from .words import plain

_OF_KERNEL = ("failure", "usage", "exit")
_MAY_RAISE, _NOT_TO_RUN = "raises-exception", "skip-execution"  # nbclient's tags for cells


@dataclass(frozen=True)
class Stop:
    """Say why an execution was stopped from outside."""

    status: Status
    kind: Kind | None
    message: str

    @classmethod
    def overdue(cls, option: str, seconds: float) -> Self:
        """Return the stop of a notebook or a cell that was not done in time."""
        what = "this cell was" if option == "--cell-deadline" else "the notebook was"
        return cls("timeout", "timeout", f"{what} not done after {seconds:g} s; raise {option}, or look at this cell.")

    @classmethod
    def interrupted(cls) -> Self:
        """Return the stop of a run that the user, or the system, has ended."""
        return cls("not_run", None, "the run was interrupted.")


@dataclass(frozen=True)
class End:
    """Say how an execution ended: with an error of the harness's libraries, stopped, or with its last cell."""

    error: Exception | None
    stop: Stop | None
    cell: int | None  # the last one that was begun: its place among the code cells
    raised: CellExecutionError | None  # by that cell
    exits: bool  # the kernel, because of that cell
    death: str  # what is known of it, should the kernel have died


def records(cells: list[Any]) -> tuple[dict[str, Any], ...]:
    """Return what the cells have recorded, without what the kernel itself has told of."""
    return tuple(record for cell in cells for record in published(cell) if record.get("check") not in _OF_KERNEL)


def usage(cells: list[Any]) -> Usage:
    """Return the calls that the kernel has counted, else those that the notebook has recorded."""
    counted = [record for cell in cells for record in published(cell) if record.get("check") == "usage"]
    if counted:
        last = counted[-1]
        calls, prompt, completion = (last.get(name) or 0 for name in ("calls", "prompt_tokens", "completion_tokens"))
        return Usage(calls, prompt, completion, last.get("most_completion_tokens"))
    told = [record for record in records(cells) if record.get("prompt_tokens") or record.get("completion_tokens")]
    prompt, completion = (
        sum(record.get(name) or 0 for record in told) for name in ("prompt_tokens", "completion_tokens")
    )
    return Usage(len(told), prompt, completion, None if told else 0)


def unsupported(cells: list[Any]) -> list[str]:
    """Return the capabilities that the endpoint, by the failures of the cells, says it lacks."""
    lacking = [
        record.get("unsupported") for cell in cells for record in published(cell) if record["check"] == "failure"
    ]
    return [name for names in lacking if isinstance(names, list) for name in names]


def outcome(cells: list[Any], end: End, clean: Callable[[str], str]) -> tuple[Status, Reason | None]:
    """Tell what came of a case from how it ended and from its executed cells, not from papermill's metadata.

    `clean` takes the secrets out of what is not from the cells, which are without.
    """
    last = None if end.cell is None else cells[end.cell]
    if end.stop is not None:
        return end.stop.status, Reason(end.stop.kind, end.stop.message, _number(last))
    # papermill raises for a cell that may raise, too; nbclient, which has run on after it, knows better.
    for cell in cells:
        if (error := _error(cell)) is not None and not has_tag(cell, _MAY_RAISE):
            return _raised(cell, error, clean)
    if end.raised is not None and last is not None:
        return _raised(last, end.raised, clean)
    left = [cell for cell in cells if cell.source.strip() and cell.execution_count is None]
    if end.exits:
        if not all(has_tag(cell, _NOT_TO_RUN) for cell in left):
            message = "this cell has the kernel exit (exit() or quit()); the cells after it were not run."
            return "kernel_died", Reason("kernel", message, _number(last))
    elif end.error is not None and not isinstance(end.error, PapermillExecutionError):
        return _not_executed(end.error, _number(last), end.death, clean)
    if bad := [record for record in records(cells) if record.get("ok") is False]:
        return "failed", Reason("assertion", _one_line(f"the check {bad[0].get('check')} is not ok."))
    return _all_run(cells, left)


def asks_to_exit(cell: Any) -> bool:
    """Tell whether the kernel has reported that it exits after this cell."""
    return any(record.get("check") == "exit" for record in published(cell))


def _all_run(cells: list[Any], left: list[Any]) -> tuple[Status, Reason | None]:
    """Return `passed` if all cells were run that have code; `left` are those that were not."""
    if not any(cell.source.strip() for cell in cells):
        return "skipped", Reason(None, "the notebook has no code cells.")
    if not all(has_tag(cell, _NOT_TO_RUN) for cell in left):
        return "failed", Reason("kernel", "the kernel aborted a cell, which was not run.")
    if left:
        cells_are = "1 cell is" if len(left) == 1 else f"{len(left)} cells are"
        return "skipped", Reason(None, f"{cells_are} tagged {_NOT_TO_RUN}.")
    return "passed", None


def _raised(cell: Any, error: Any, clean: Callable[[str], str]) -> tuple[Status, Reason]:
    """Read why a cell raised: to skip the rest, or because something is wrong.

    `error` is its output, or the kernel's reply where there is none: IPython prints a usage error to stderr.
    """
    said = published(cell)
    failures = [record for record in said if record.get("check") == "failure"]
    told = [record.get("kind") for record in failures]
    # The kernel tells of every failure, and a skip is none: with both, the failure counts.
    if not told and (skips := [record["skipped"] for record in said if record.get("skipped")]):
        return "skipped", Reason(None, _one_line(skips[-1]), number(cell))
    public = [record["error"] for record in failures if isinstance(record.get("error"), str)]
    name = public[0] if error.ename.startswith("_") and public else error.ename
    message = _one_line(clean(f"{name}: {error.evalue}" if error.evalue else name))
    if name == "NoneType":  # ipykernel replies so where what a value prints has raised
        message = "the cell raised, and its traceback was lost in its outputs."
    # A cell that does not parse has run nothing: no hook of the kernel has seen it.
    kind: Kind = next((kind for kind in get_args(Kind) if kind in told and kind != "harness"), "notebook")
    return "failed", Reason(kind, message, number(cell))


def _not_executed(error: Exception, cell: int | None, death: str, clean: Callable[[str], str]) -> tuple[Status, Reason]:
    message = _one_line(clean(str(error) or type(error).__name__))
    if isinstance(error, DeadKernelError) or "Kernel died" in message:
        where = "look at this cell" if cell is not None else "it had not begun with a cell"
        return "kernel_died", Reason("kernel", f"{death}; {where}.", cell)
    if isinstance(error, NoSuchKernel):
        return "failed", Reason("kernel", f"{message}; install ipykernel in this environment.")
    if isinstance(error, (ValidationError, RecursionError)):
        return "failed", Reason("notebook", "the cell displays what no notebook can hold; look at its outputs.", cell)
    if isinstance(error, UnicodeEncodeError):
        return "failed", Reason("notebook", "half a character (a lone surrogate) cannot be sent to a kernel.", cell)
    kind: Kind = "notebook" if isinstance(error, InvalidNotebook) else "kernel"
    return "failed", Reason(kind, message, cell)


def _number(cell: Any) -> int | None:
    return None if cell is None else number(cell)


def _error(cell: Any) -> Any:
    return next((output for output in cell.outputs if output.output_type == "error"), None)


def _one_line(text: str) -> str:
    lines = plain(text).strip().splitlines()
    return label(lines[0][:300]) if lines else ""
