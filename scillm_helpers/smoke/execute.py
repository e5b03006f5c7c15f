"""One case -> one result: papermill executes it, and what happened is read from what it left."""

import asyncio
import signal
import subprocess
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import nbformat
import papermill
from nbclient.exceptions import CellExecutionError
from papermill.clientwrap import PapermillNotebookClient

from ..errors import RunError
from . import deaths, engine
from .checks import checks
from .files import Files
from .outcome import End, Stop, asks_to_exit, outcome, records, unsupported, usage
from .places import Places
from .plan import InvalidNotebook
from .results import Case, CaseResult
from .source import check_shape, code_cells, digest, number
from .templates import page

_KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # Windows ends a process at once for SIGTERM
_GRACE = 3.0  # seconds between asking a kernel to stop and killing it
_SAVE_EVERY = 1.0  # seconds at least between writing an executed copy and writing it again


class Ends(Exception):
    """End an execution before its next cell: it was stopped, or its kernel exits."""


class Execution:
    """Execute one case once; `stop` and `kill` may be called from another thread at any time."""

    def __init__(
        self,
        case: Case,
        copy: str,
        files: Files,
        places: Places,
        environ: dict[str, str],
        deadline: float,
        cell_deadline: float | None = None,
    ) -> None:
        """Prepare to execute `case` into the run's `files`, where its executed copy has the name `copy`.

        It works in one of `places`. Deadlines are seconds for the notebook, and for a cell.
        """
        self.case = case
        self._environ = environ
        self._deadline = deadline
        self._cell_deadline = cell_deadline
        self._files = files
        self._places = places
        self._copy = f"notebooks/{copy}.ipynb"
        self._notebook: Any = None
        self._client: PapermillNotebookClient | None = None
        self._process: Any = None  # the kernel's
        self._oom_kills = 0  # as the last cell began
        self._lock = threading.Lock()  # of the next three
        self._cell: Any = None  # the last code cell that was begun; none is after a stop
        self._executing = False
        self._stop: Stop | None = None
        self._cell_timer: threading.Timer | None = None
        self._replied = False  # to the last cell
        self._raised: CellExecutionError | None = None  # by the last cell that ended
        self._ended = threading.Event()
        self._digest: str | None = None
        self._saved = 0.0

    def run(self) -> CaseResult:
        """Execute the case and return its result; whatever a notebook does is data, and raises nothing."""
        started = time.perf_counter()
        timer = threading.Timer(self._deadline, self.stop, [Stop.overdue("--deadline", self._deadline)])
        timer.start()
        try:
            error = self._execute()
        finally:
            timer.cancel()
            with self._lock:
                self._ended.set()
        return self._result(error, round(time.perf_counter() - started, 3))

    def _result(self, error: Exception | None, seconds: float) -> CaseResult:
        """Return what came of the case, read from the notebook without its secrets, as it is written."""
        executed = self._notebook is not None
        clean = self._save() if executed else None
        if executed:
            from . import notebook_page  # nbconvert, which a run that is refused need not wait for

            self._files.write_page(page(self._copy), notebook_page.as_html(clean, Path(self._copy).stem))
        cells = code_cells(clean)
        death = deaths.how(self._process, self._oom_kills)
        end = End(error, self._stop, self._place(self._cell), self._raised, self._exits(), death)
        status, reason = outcome(cells, end, self._files.redactor.text)
        recorded = records(cells)
        return CaseResult(
            case=self.case,
            status=status,
            seconds=seconds,
            executed=self._copy if executed else None,
            reason=reason,
            records=recorded,
            checks=checks(cells, recorded, unsupported(cells), status, reason),
            usage=usage(cells),
            digest=self._digest,
        )

    def stop(self, why: Stop) -> None:
        """Interrupt the kernel, and kill it if that does not end the case soon; no further cell is executed."""
        if self._halt(why):
            self._interrupt()

    def kill(self, why: Stop) -> None:
        """Kill the kernel at once."""
        if self._halt(why):
            self._signal(_KILL)

    def _halt(self, why: Stop) -> bool:
        """Note why the case is stopped, unless that is known; tell whether it has not ended by itself."""
        with self._lock:
            if self._ended.is_set():
                return False
            self._stop = self._stop or why
            return True

    def _stop_cell(self, cell: Any, why: Stop) -> None:
        """Stop the case if that cell is still executed: its timer may be late."""
        with self._lock:
            if self._cell is not cell or not self._executing:
                return
            self._stop = self._stop or why
        self._interrupt()

    def _interrupt(self) -> None:
        self._signal(signal.SIGINT)
        if not self._ended.wait(_GRACE):
            self._signal(_KILL)

    def _signal(self, number: signal.Signals) -> None:
        manager = self._client.km if self._client is not None else None
        if manager is not None and manager.provisioner is not None:
            asyncio.run(manager.provisioner.send_signal(number))

    def _execute(self) -> Exception | None:
        with ExitStack() as lent:
            try:
                cwd, sockets = lent.enter_context(self._places.lent(self.case.notebook.parent))
            except OSError as error:
                return RunError(f"no working directory can be made ({error.strerror}); see to TMPDIR.")
            try:
                papermill.execute_notebook(
                    str(self.case.notebook).replace("{", "{{").replace("}", "}}"),  # papermill formats it
                    None,
                    self.case.parameters,
                    engine_name=engine.NAME,
                    kernel_name="python3",
                    language="python",
                    progress_bar=False,
                    autosave_cell_every=0,
                    watcher=self,
                    surroundings=engine.Surroundings(cwd, sockets, self._environ),
                )
            except Exception as error:  # noqa: BLE001 - whatever a notebook does is a result
                return error if self._notebook is not None else InvalidNotebook(self.case.notebook, error)
        return None

    def begins(self, notebook: Any, client: PapermillNotebookClient) -> bool:
        """Take hold of the notebook and its client (the engine calls this)."""
        check_shape(notebook)
        self._notebook, self._client = notebook, client
        notebook.metadata.papermill["input_path"] = self.case.notebook.name
        self._digest = digest(notebook)
        return self._stop is None

    def kernel_started(self, process: Any) -> None:
        """Keep the kernel's process, which can tell how it has died (the engine calls this)."""
        self._process, self._oom_kills = process, deaths.oom_kills()

    def cell_begins(self, cell: Any) -> None:
        """Note which cell is executed, and set its deadline (the engine calls this). Raises Ends."""
        if self._exits() and self._has_ended():
            raise Ends
        with self._lock:
            if self._stop is not None:
                raise Ends
            # The kernel sends the number, too, if it lives long enough.
            cell.execution_count = 1 + ((number(self._cell) or 0) if self._cell is not None else 0)
            self._cell, self._executing, self._replied = cell, True, False
        self._oom_kills = deaths.oom_kills()
        if self._cell_deadline is not None:
            why = Stop.overdue("--cell-deadline", self._cell_deadline)
            self._cell_timer = threading.Timer(self._cell_deadline, self._stop_cell, [cell, why])
            self._cell_timer.start()

    def cell_replied(self, cell: Any, reply: dict[str, Any]) -> None:
        """Take the number away from a cell that the kernel has not executed (the engine calls this)."""
        self._replied = True
        if reply["status"] == "aborted":
            cell.execution_count = None

    def cell_ended(self, raised: CellExecutionError | None) -> None:
        """Cancel the cell's deadline, and save what there is now and then (the engine calls this)."""
        with self._lock:
            self._executing, self._raised = False, raised
        if self._cell_timer is not None:
            self._cell_timer.cancel()
        if time.monotonic() - self._saved > _SAVE_EVERY:
            self._save()

    def _exits(self) -> bool:
        """Return whether the kernel has replied to the last cell and reported that it will exit."""
        return self._replied and asks_to_exit(self._cell)

    def _has_ended(self) -> bool:
        """Tell whether the kernel ends within some seconds: any cell can publish that report."""
        if self._process is not None:
            try:
                self._process.wait(_GRACE)
            except subprocess.TimeoutExpired:
                return False
        return True

    def _place(self, cell: Any) -> int | None:
        """Return the place of a cell among the code cells."""
        return next((place for place, own in enumerate(code_cells(self._notebook)) if own is cell), None)

    def _save(self) -> Any:
        """Write the executed copy, and return the notebook as it was written."""
        clean = self._files.redactor.notebook(self._notebook)
        self._files.write(self._copy, nbformat.writes(clean) + "\n")
        self._saved = time.monotonic()
        return clean
