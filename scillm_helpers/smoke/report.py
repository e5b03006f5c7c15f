"""Results -> JSON and JUnit files, and back."""

import functools
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pydantic_core
from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite
from pydantic import TypeAdapter, ValidationError

from ..errors import UsageError
from .files import Files
from .labels import label, label_of, path_of
from .redact import Redactor
from .results import SCHEMA_VERSION, Case, CaseResult, Check, Reason, Run, Usage

RESULTS = "results.json"

_HEAD = ("id", "started_at", "seconds", "endpoint", "api_base", "backend", "python", "git_commit")


def write_results(run: Run, files: Files) -> None:
    """Write `results.json` of a run without secrets into the run's folder."""
    ResultsFile(files).write(run)


class ResultsFile:
    """The `results.json` of a run, which is written after each case: what has not changed is serialized once."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._cases: dict[str, tuple[CaseResult, bytes]] = {}

    def write(self, run: Run) -> None:
        """Write the results of a run without secrets into the run's folder."""
        head = pydantic_core.to_json(_head_json(run), indent=1).decode().removesuffix("\n}")
        cases = b",\n  ".join(map(self._case, run.results)).decode()
        self._files.write(RESULTS, f'{head},\n "cases": [\n  {cases}\n ]\n}}\n')

    def _case(self, result: CaseResult) -> bytes:
        known = self._cases.get(result.case.id)
        if known is None or known[0] is not result:
            # `json` takes ten times as long
            known = result, pydantic_core.to_json(_case_json(result), indent=1).replace(b"\n", b"\n  ")
            self._cases[result.case.id] = known
        return known[1]


def write_junit(run: Run, files: Files) -> None:
    """Write `junit.xml` of a run without secrets into the run's folder."""
    files.write("junit.xml", as_junit(run).decode())


def read_results(path: Path, remedy: str = "start a new one") -> Run:
    """Return the run of a `results.json`, or of the folder that holds it. Raises UsageError where there is none."""
    path = path if os.path.isfile(path) else path / RESULTS
    try:
        return from_json(json.loads(path.read_bytes()))
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}); name the folder of a run.") from error
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(f"{path} holds no results of a run ({_why(error)}); {remedy}.") from error


def _why(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return f"{type(error).__name__}: {error}"


def as_json(run: Run) -> dict[str, Any]:
    """Return the content of `results.json`."""
    return _head_json(run) | {"cases": [_case_json(result) for result in run.results]}


def _head_json(run: Run) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "run": {name: getattr(run, name) for name in _HEAD} | {"models": list(run.models)},
        "totals": run.totals,
    }


def from_json(content: dict[str, Any]) -> Run:
    """Return the run that `as_json` has described, each value of its type and in its range.

    Raises ValueError, of which ValidationError is one, KeyError, TypeError or AttributeError for any other content.
    """
    if content["schema_version"] != SCHEMA_VERSION:
        raise ValueError(f"schema_version {content['schema_version']}, not {SCHEMA_VERSION}")
    head = {name: content["run"][name] for name in _HEAD}
    results = tuple(_case_result(case) for case in content["cases"])
    return _checked(Run(**head, models=tuple(content["run"]["models"]), results=results))


def _checked(run: Run) -> Run:
    """Return a run that can be compared, shown and written. Raises ValueError, of which ValidationError is one."""
    values = asdict(run)
    json.dumps(values, default=str, allow_nan=False, ensure_ascii=False).encode()
    if datetime.fromisoformat(run.started_at).utcoffset() != timedelta(0):
        raise ValueError(f"started_at is {run.started_at}, which is not in UTC")
    counts = (count for result in values["results"] for count in result["usage"].values())
    if any(count is not None and not 0 <= count < 2**63 for count in counts):
        raise ValueError("a count is out of range")
    typed = redacted(TypeAdapter(Run).validate_python(values), Redactor({}))  # what a terminal would obey is out, too
    if len({result.case.id for result in typed.results}) < len(typed.results):
        raise ValueError("two cases have the same id")
    if any(not 0 <= number <= 1e9 for number in _measured(typed)):
        raise ValueError("a time, a rate or a cost is out of range")
    return typed


def _measured(run: Run) -> Iterator[float]:
    """Yield what was measured, and may be drawn."""
    yield run.seconds
    for result in run.results:
        checks = [number for check in result.checks for number in (check.ttft_s, check.tokens_per_s)]
        found = [result.seconds, result.started_s, result.cost_usd, result.worker, *checks]
        yield from (number for number in found if number is not None)


def redacted(run: Run, redactor: Redactor) -> Run:
    """Return the run as it may be written anywhere."""
    results = tuple(redacted_result(result, redactor) for result in run.results)
    models = tuple(label(redactor.text(model)) for model in run.models)
    return replace(run, api_base=label(redactor.text(run.api_base)), models=models, results=results)


def redacted_result(result: CaseResult, redactor: Redactor) -> CaseResult:
    """Return a result as it may be written and shown anywhere; the names of its parts are not looked at."""
    case = result.case
    named = replace(
        case,
        id=label(redactor.text(case.id)),
        notebook=Path(redactor.text(label_of(case.notebook))),
        parameters=redactor.value(case.parameters),
        model=label(redactor.text(case.model)),
    )
    reasons = [_redacted_reason(reason, redactor) for reason in result.retried_for]
    reason = result.reason and _redacted_reason(result.reason, redactor)
    checks = tuple(replace(check, name=redactor.text(check.name)) for check in result.checks)
    records = redactor.value(result.records)
    return replace(result, case=named, reason=reason, records=records, retried_for=tuple(reasons), checks=checks)


def _redacted_reason(reason: Reason, redactor: Redactor) -> Reason:
    return replace(reason, message=label(redactor.text(reason.message)))


def as_junit(run: Run) -> bytes:
    """Return the run as JUnit XML: what failed is a failure, what could not be executed an error."""
    suite = TestSuite("scillm-smoke")
    suite.timestamp = run.started_at
    suite.add_testcases([_case_junit(result) for result in run.results])
    suite.time = run.seconds
    xml = JUnitXml("scillm-smoke")
    xml.add_testsuite(suite)
    xml.update_statistics()  # type: ignore[no-untyped-call]
    return bytes(xml.tostring())  # type: ignore[no-untyped-call]


@functools.cache
def _relative(notebook: Path) -> str:
    return Path(os.path.relpath(notebook)).as_posix()


def _case_json(result: CaseResult) -> dict[str, Any]:
    return {
        "id": result.case.id,
        "notebook": _relative(result.case.notebook),
        "parameters": result.case.parameters,
        "model": result.case.model,
        "status": result.status,
        "seconds": result.seconds,
        "attempt": result.attempt,
        "retried_for": [asdict(reason) for reason in result.retried_for],
        "executed": result.executed,
        "reason": result.reason and asdict(result.reason),
        "records": list(result.records),
        "checks": [asdict(check) for check in result.checks],
        "calls": result.usage.calls,
        "tokens": {
            "prompt": result.usage.prompt_tokens,
            "completion": result.usage.completion_tokens,
            "most_completion": result.usage.most_completion_tokens,
        },
        "cost_usd": result.cost_usd,
        "started_s": result.started_s,
        "worker": result.worker,
        "digest": result.digest,
    }


def _case_result(case: dict[str, Any]) -> CaseResult:
    tokens = case["tokens"]
    return CaseResult(
        Case(case["id"], path_of(case["notebook"]).absolute(), case["parameters"], case["model"]),
        case["status"],
        case["seconds"],
        case["executed"],
        case["reason"] and Reason(**case["reason"]),
        tuple(case["records"]),
        tuple(Reason(**reason) for reason in case["retried_for"]),
        tuple(Check(**check) for check in case["checks"]),
        Usage(case["calls"], tokens["prompt"], tokens["completion"], tokens["most_completion"]),
        case["cost_usd"],
        case["started_s"],
        case["worker"],
        case["digest"],
    )


def _case_junit(result: CaseResult) -> TestCase:
    case = TestCase(result.case.id, classname="notebooks", time=result.seconds)
    if result.attempt > 1:
        reasons = [f"attempt {number}: {reason.message}" for number, reason in enumerate(result.retried_for, 1)]
        case.system_out = "\n".join([f"{result.status} on attempt {result.attempt}", *reasons])
    if result.reason is None:
        return case
    entries = {"skipped": Skipped, "failed": Failure, "timeout": Failure}
    entry = entries.get(result.status, Error)
    case.result = [entry(result.reason.message, result.reason.kind or result.status)]
    return case
