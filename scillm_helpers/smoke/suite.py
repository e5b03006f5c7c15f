"""Cases -> results: in parallel, each kept as soon as it is there."""

import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Protocol

from .execute import Execution
from .results import Case, CaseResult, Reason

_INTERRUPTED = "the run was interrupted."


class Watcher(Protocol):
    """Be told how the run goes on, one call at a time, from any thread."""

    def started(self, case: Case) -> None: ...
    def finished(self, result: CaseResult) -> None: ...


class Suite:
    """Run cases side by side; `results` always has one for each case, in their order."""

    def __init__(self, cases: list[Case], folder: Path, environ: dict[str, dict[str, str]], deadline: float) -> None:
        """Prepare to run `cases`; `environ` has an environment for each id, `deadline` is in seconds."""
        self.results = {case.id: CaseResult(case, "not_run", reason=Reason(None, _INTERRUPTED)) for case in cases}
        self._executions = [Execution(case, folder, environ[case.id], deadline) for case in cases]
        self._lock = threading.Lock()

    def run(self, jobs: int, watcher: Watcher) -> None:
        """Execute every case, `jobs` at a time.

        KeyboardInterrupt passes through once all kernels are gone; `results` keeps what had finished.
        """
        with ThreadPoolExecutor(jobs, thread_name_prefix="case") as pool:
            futures = [pool.submit(self._run, execution, watcher) for execution in self._executions]
            try:
                for future in as_completed(futures):
                    future.result()
            except BaseException:
                for future in futures:
                    future.cancel()
                for execution in self._executions:
                    execution.kill(_INTERRUPTED)
                raise

    def _run(self, execution: Execution, watcher: Watcher) -> None:
        with self._lock:
            watcher.started(execution.case)
        result = execution.run()
        with self._lock:
            self.results[result.case.id] = result
            watcher.finished(result)
