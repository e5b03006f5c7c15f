"""One case -> one result: papermill executes it, and what happened is read from what it left."""

import asyncio
import re
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import nbformat
import papermill
from jupyter_client.kernelspec import NoSuchKernel
from nbclient.exceptions import DeadKernelError
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import Engine, papermill_engines
from papermill.exceptions import PapermillExecutionError
from traitlets.config import Config

from ..kinds import Kind
from ..records import MIME_TYPE
from .plan import InvalidNotebook
from .results import Case, CaseResult, Reason, Status

_GRACE = 3.0  # seconds between asking a kernel to stop and killing it
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_KERNEL_ARGUMENTS = [
    # The kernel tells the kind of its failures (records.load_ipython_extension).
    "--IPKernelApp.extra_extensions=scillm_helpers.records",
    # ipykernel would log its interrupts into the harness's own output.
    "--IPKernelApp.log_level=CRITICAL",
]


class Execution:
    """Execute one case; `stop` may be called from another thread at any time."""

    def __init__(self, case: Case, folder: Path, environ: dict[str, str], deadline: float) -> None:
        self.case = case
        self.folder = folder
        self.environ = environ
        self.deadline = deadline
        self.cell: int | None = None  # the code cell being executed, counted from 1
        self.stopped: str | None = None  # why `stop` was called
        self._client: PapermillNotebookClient | None = None
        self._ended = threading.Event()

    def run(self) -> CaseResult:
        """Execute the case and return its result; whatever a notebook does is data, and raises nothing."""
        copy = f"notebooks/{self.case.id.replace('/', '_')}.ipynb"
        started = time.perf_counter()
        timer = threading.Timer(self.deadline, self.stop, ["deadline"])
        timer.start()
        try:
            error = self._execute(self.folder / copy)
        finally:
            timer.cancel()
            self._ended.set()
        cells = _code_cells(self.folder / copy)
        records = tuple(record for cell in cells for record in _records(cell) if record.get("check") != "failure")
        status, reason = self._outcome(error, cells, records)
        return CaseResult(
            case=self.case,
            status=status,
            seconds=round(time.perf_counter() - started, 3),
            executed=copy if cells else None,
            reason=reason,
            records=records,
        )

    def stop(self, why: str) -> None:
        """Interrupt the kernel, and kill it if that does not end the case soon."""
        if self._ended.is_set():
            return
        self.stopped = self.stopped or why
        self._signal(signal.SIGINT)
        if not self._ended.wait(_GRACE):
            self._signal(signal.SIGKILL)

    def kill(self, why: str) -> None:
        """Kill the kernel at once."""
        self.stopped = self.stopped or why
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        manager = self._client.km if self._client is not None else None
        if manager is not None and manager.provisioner is not None:
            asyncio.run(manager.provisioner.send_signal(number))

    def _execute(self, copy: Path) -> Exception | None:
        copy.parent.mkdir(parents=True, exist_ok=True)
        try:
            with tempfile.TemporaryDirectory(prefix="scillm-", ignore_cleanup_errors=True) as sockets:
                papermill.execute_notebook(
                    self.case.notebook,
                    copy,
                    self.case.parameters,
                    engine_name="scillm-smoke",
                    kernel_name="python3",
                    language="python",
                    progress_bar=False,
                    execution=self,
                    sockets=sockets,
                )
        except Exception as error:  # noqa: BLE001 - whatever a notebook does is a result
            return error
        return None

    def _outcome(
        self, error: Exception | None, cells: list[Any], records: tuple[dict[str, Any], ...]
    ) -> tuple[Status, Reason | None]:
        if self.stopped == "deadline":
            message = f"not done after the deadline of {self.deadline:g} s; raise --deadline, or look at this cell."
            return "timeout", Reason("timeout", message, self.cell)
        if self.stopped is not None:
            return "not_run", Reason(None, self.stopped, self.cell)
        # papermill raises for a cell that may raise, too; nbclient, which has run on after it, knows better.
        raised = [cell for cell in cells if _error(cell) is not None and not _may_raise(cell)]
        if raised:
            return self._raised(raised[0], cells.index(raised[0]) + 1)
        if isinstance(error, PapermillExecutionError):
            error = None
        if error is not None:
            return self._not_executed(error)
        if bad := [record for record in records if record.get("ok") is False]:
            return "failed", Reason("assertion", f"the check {bad[0].get('check')} is not ok.")
        if not cells:
            return "skipped", Reason(None, "the notebook has no code cells.")
        return "passed", None

    def _raised(self, cell: Any, number: int) -> tuple[Status, Reason]:
        """Read why a cell raised: to skip the rest, or because something is wrong."""
        said = list(_records(cell))
        told = [record.get("kind") for record in said if record.get("check") == "failure"]
        # The kernel tells of every failure, and a skip is none: with both, the failure counts.
        if not told and (skips := [record["skipped"] for record in said if record.get("skipped")]):
            return "skipped", Reason(None, skips[-1], number)
        error = _error(cell)
        message = _one_line(f"{error.ename}: {error.evalue}")
        # A cell that does not parse has run nothing: no hook of the kernel has seen it.
        kind: Kind = next((kind for kind in get_args(Kind) if kind in told), "notebook")
        return "failed", Reason(kind, message, number)

    def _not_executed(self, error: Exception) -> tuple[Status, Reason]:
        message = _one_line(str(error) or type(error).__name__)
        if isinstance(error, DeadKernelError) or "Kernel died" in message:
            return "kernel_died", Reason("kernel", "the kernel died; look at this cell, and at the memory.", self.cell)
        if isinstance(error, NoSuchKernel):
            return "failed", Reason("kernel", f"{message}; install ipykernel in this environment.")
        if self._client is None:
            return "failed", Reason("notebook", str(InvalidNotebook(self.case.notebook, error)))
        return "failed", Reason("kernel", message, self.cell)


class _SmokeEngine(Engine):  # type: ignore[misc]
    """papermill's own engine, with an environment and a working directory for each kernel.

    papermill's `cwd` changes the directory of the whole process (papermill issue 473), so that
    notebooks in other threads would start in the wrong one.
    """

    @classmethod
    def execute_managed_notebook(
        cls, nb_man: Any, kernel_name: str, *, execution: Execution, sockets: str, **_: Any
    ) -> None:
        """Execute the notebook (papermill calls this)."""
        numbers = {id(cell): n for n, cell in enumerate((c for c in nb_man.nb.cells if c.cell_type == "code"), 1)}

        def note_cell(cell: Any, cell_index: int) -> None:
            execution.cell = numbers[id(cell)]
            if execution.stopped is not None:  # stopped while the kernel was starting
                execution.kill(execution.stopped)

        # Unix sockets in a folder of the kernel's own: a free TCP port may be taken before the kernel binds it.
        manager = {"transport": "ipc", "connection_file": f"{sockets}/kernel.json"}
        client = PapermillNotebookClient(
            nb_man,
            config=Config(KernelManager=manager),
            kernel_name=kernel_name,
            resources={"metadata": {"path": str(execution.case.notebook.parent)}},
            extra_arguments=list(_KERNEL_ARGUMENTS),
            on_cell_execute=note_cell,
            startup_timeout=60,
        )
        execution._client = client
        if execution.stopped is None:
            client.execute(env=execution.environ)


papermill_engines.register("scillm-smoke", _SmokeEngine)


def _code_cells(copy: Path) -> list[Any]:
    """Return the code cells of an executed copy; none where the notebook could not even be read."""
    if not copy.exists():
        return []
    return [cell for cell in nbformat.read(copy, as_version=4).cells if cell.cell_type == "code"]


def _records(cell: Any) -> Iterator[dict[str, Any]]:
    """Yield the records that a cell has published; what is no record is one that is not ok."""
    for output in cell.outputs:
        if MIME_TYPE in output.get("data", {}):
            published = output.data[MIME_TYPE]
            yield published if _is_record(published) else {"check": "record", "ok": False}


def _is_record(published: Any) -> bool:
    if not isinstance(published, dict):
        return False
    counts = [published.get(name) for name in ("prompt_tokens", "completion_tokens")]
    texts = [published.get("check"), published.get("skipped") or "", published.get("kind") or "notebook"]
    return (
        all(count is None or isinstance(count, int) for count in counts)
        and all(isinstance(text, str) for text in texts)
        and published.get("ok") in (True, False, None)
    )


def _may_raise(cell: Any) -> bool:
    return "raises-exception" in cell.metadata.get("tags", [])


def _error(cell: Any) -> Any:
    return next((output for output in cell.outputs if output.output_type == "error"), None)


def _one_line(text: str) -> str:
    lines = _ANSI.sub("", text).strip().splitlines()
    return lines[0][:300] if lines else ""
