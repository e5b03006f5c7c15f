"""Cases -> results: in parallel, each kept as soon as it is there."""

import threading
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from ..kinds import TRANSIENT
from .execute import Execution
from .outcome import Stop
from .results import Case, CaseResult


class Watcher(Protocol):
    """Be told how the run goes on, one call at a time, from any thread."""

    def started(self, case: Case) -> None: ...
    def failed_for_now(self, result: CaseResult) -> None: ...
    def finished(self, result: CaseResult) -> None: ...


@dataclass(frozen=True)
class Bounds:
    """Be what holds for each case: seconds for a notebook and for a cell, and how often it may be tried again."""

    deadline: float
    cell_deadline: float | None = None
    retries: int = 0


class Suite:
    """Run cases side by side; `results` always has one for each case, in their order."""

    def __init__(
        self, results: list[CaseResult], folder: Path, environ: dict[str, dict[str, str]], bounds: Bounds
    ) -> None:
        """Prepare to run the cases whose result is `not_run`; `environ` has an environment for each id."""
        self.results = {result.case.id: result for result in results}
        self._folder = folder
        self._environ = environ
        self._bounds = bounds
        self._lock = threading.Lock()
        self._executing: set[Execution] = set()
        self._abandoned = False

    def run(self, jobs: int, watcher: Watcher) -> None:
        """Execute the cases, `jobs` at a time.

        One that failed for a transient reason is tried again when the others have had their turn.
        KeyboardInterrupt passes through once all kernels are gone; `results` keeps what had finished.
        """
        with ThreadPoolExecutor(jobs, thread_name_prefix="case") as pool:
            todo = [result for result in self.results.values() if result.status == "not_run"]
            pending = {pool.submit(self._run, result, watcher) for result in todo}
            try:
                while pending:
                    done, pending = wait(pending, return_when=FIRST_COMPLETED)
                    again = [result for future in done if (result := future.result()) is not None]
                    pending |= {pool.submit(self._run, result, watcher) for result in again}
            except BaseException:
                self._abandon(pending)
                raise

    def _run(self, before: CaseResult, watcher: Watcher) -> CaseResult | None:
        """Execute a case once; return the result if it is to be tried again."""
        bounds, case = self._bounds, before.case
        failures = before.retried_for
        if before.status == "failed" and before.reason is not None:
            failures += (before.reason,)
        attempt = 1 + len(failures)
        execution = Execution(
            case, self._folder, self._environ[case.id], bounds.deadline, bounds.cell_deadline, attempt
        )
        with self._lock:
            if self._abandoned:
                return None
            self._executing.add(execution)
            watcher.started(case)
        result = replace(execution.run(), retried_for=failures)
        again = result.attempt <= bounds.retries and _is_transient(result)
        with self._lock:
            self._executing.remove(execution)
            self.results[case.id] = result
            (watcher.failed_for_now if again else watcher.finished)(result)
        return result if again else None

    def _abandon(self, pending: set[Future[CaseResult | None]]) -> None:
        for future in pending:
            future.cancel()
        with self._lock:
            self._abandoned = True
            executing = list(self._executing)
        for execution in executing:
            execution.kill(Stop.interrupted())


def _is_transient(result: CaseResult) -> bool:
    return result.status == "failed" and result.reason is not None and result.reason.kind in TRANSIENT
