"""Cases -> results: in parallel, each kept as soon as it is there."""

import itertools
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from queue import SimpleQueue
from typing import Protocol

from ..errors import RunError
from ..kinds import TRANSIENT
from ..prices import Price
from .budget import Budget
from .execute import Execution
from .files import Files
from .labels import file_names
from .outcome import Stop
from .places import Places
from .report import redacted_result
from .results import Case, CaseResult, Reason


class Watcher(Protocol):
    """Be told how the run goes on, one call at a time, from any thread."""

    def started(self, case: Case) -> None: ...
    def failed_for_now(self, result: CaseResult) -> None: ...
    def finished(self, result: CaseResult) -> None: ...


@dataclass(frozen=True)
class Bounds:
    """Be what holds for each case, and for all of them.

    Seconds for a notebook and for a cell, how often a case may be tried again, what the run may
    use, and what each model costs, as far as that is known.
    """

    deadline: float
    cell_deadline: float | None = None
    retries: int = 0
    budget: Budget = field(default_factory=Budget)
    prices: Mapping[str, Price | None] = field(default_factory=dict)


class Suite:
    """Run cases side by side; `results` always has one for each case, in their order and without secrets."""

    def __init__(
        self,
        results: list[CaseResult],
        files: Files,
        places: Places,
        environ: dict[str, dict[str, str]],
        bounds: Bounds,
        began: float,
    ) -> None:
        """Prepare to run the cases whose result is `not_run`.

        `environ` has an environment for each id; `began` is when the run did, by `time.perf_counter`.
        """
        self._planned = results
        self._files = files
        self._places = places
        self.results = {result.case.id: self._told(result) for result in results}
        labels = [result.case.id for result in self.results.values()]
        self._copies = dict(zip(self.results, file_names(labels), strict=True))
        self._environ = environ
        self._bounds = bounds
        self._lock = threading.Lock()
        self._executing: set[Execution] = set()
        self._abandoned = False
        self._began = began
        self._numbers = itertools.count(1)
        self._worker = threading.local()

    def run(self, jobs: int, watcher: Watcher) -> None:
        """Execute the cases, `jobs` at a time.

        One that failed for a transient reason is tried again when the others have had their turn.
        KeyboardInterrupt passes through once all kernels are gone; `results` keeps what had finished.
        """
        done: SimpleQueue[Future[CaseResult | None]] = SimpleQueue()
        todo = [result for result in self._planned if result.status == "not_run"]
        with ThreadPoolExecutor(jobs, thread_name_prefix="case", initializer=self._number_worker) as pool:
            try:
                left = len(todo)
                while left:
                    for result in todo:
                        pool.submit(self._run, result, watcher).add_done_callback(done.put)
                    again = done.get().result()
                    todo = [] if again is None else [again]
                    left -= again is None
            except BaseException:
                self._abandon(pool)
                raise

    def _run(self, before: CaseResult, watcher: Watcher) -> CaseResult | None:
        """Execute a case once; return the result if it is to be tried again."""
        bounds, case = self._bounds, before.case
        failures = before.retried_for
        if before.status == "failed" and before.reason is not None:
            failures += (before.reason,)
        attempt = 1 + len(failures)
        copy = self._copies[case.id] + ("" if attempt == 1 else f".attempt-{attempt}")
        execution = Execution(
            case, copy, self._files, self._places, self._environ[case.id], bounds.deadline, bounds.cell_deadline
        )
        with self._lock:
            if self._abandoned:
                return None
            if why := bounds.budget.used_up(self.results.values()):
                if before.status == "not_run":
                    self.results[case.id] = self._told(replace(before, reason=Reason(None, why)))
                return None
            self._executing.add(execution)
            self._tell(lambda: watcher.started(self.results[case.id].case))
        started_s = round(time.perf_counter() - self._began, 3)
        result = replace(self._result(execution), retried_for=failures, started_s=started_s, worker=self._worker.number)
        result = self._charged(result, before)
        again = result.attempt <= bounds.retries and _is_transient(result)
        with self._lock:
            self._executing.remove(execution)
            self.results[case.id] = told = self._told(result)
            self._tell(lambda: (watcher.failed_for_now if again else watcher.finished)(told))
        return result if again else None

    def _result(self, execution: Execution) -> CaseResult:
        """Return the result of a case; an error of ours is one, too, so that the others have theirs."""
        try:
            result = execution.run()
            self._told(result)  # what cannot be redacted is an error of this case alone
            return result
        except RunError:
            raise
        except BaseException as error:  # noqa: BLE001 - the last resort; a thread gets no KeyboardInterrupt
            return CaseResult(execution.case, "failed", reason=Reason("harness", self._files.write_bug(error)))

    def _tell(self, call: Callable[[], None]) -> None:
        """Tell the watcher; an error of ours in it is noted, and the run goes on."""
        try:
            call()
        except RunError:
            raise
        except Exception as error:  # noqa: BLE001 - the last resort
            self._files.write_bug(error)

    def _told(self, result: CaseResult) -> CaseResult:
        return redacted_result(result, self._files.redactor)

    def _number_worker(self) -> None:
        self._worker.number = next(self._numbers)

    def _charged(self, result: CaseResult, before: CaseResult) -> CaseResult:
        """Add what earlier executions of the case have used, and say what all of it costs."""
        usage = before.usage + result.usage
        price = self._bounds.prices.get(result.case.model)
        return replace(
            result,
            usage=usage,
            cost_usd=None if price is None else price.of(usage.prompt_tokens, usage.completion_tokens),
        )

    def _abandon(self, pool: ThreadPoolExecutor) -> None:
        pool.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            self._abandoned = True
            executing = list(self._executing)
        for execution in executing:
            execution.kill(Stop.interrupted())


def _is_transient(result: CaseResult) -> bool:
    return result.status == "failed" and result.reason is not None and result.reason.kind in TRANSIENT
