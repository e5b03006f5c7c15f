"""Results -> JSON and JUnit files, and back."""

import functools
import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pydantic_core
from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from ..errors import UsageError
from .files import Files
from .redact import Redactor
from .results import SCHEMA_VERSION, Case, CaseResult, Check, Reason, Run, Usage

RESULTS = "results.json"

_HEAD = ("id", "started_at", "seconds", "endpoint", "api_base", "backend", "python", "git_commit")


def write_results(run: Run, files: Files) -> None:
    """Write `results.json` of a run without secrets into the run's folder."""
    content = pydantic_core.to_json(as_json(run), indent=1)  # after each case: `json` takes ten times as long
    files.write(RESULTS, content.decode() + "\n")


def write_junit(run: Run, files: Files) -> None:
    """Write `junit.xml` of a run without secrets into the run's folder."""
    files.write("junit.xml", as_junit(run).decode())


def read_results(path: Path, remedy: str = "start a new one") -> Run:
    """Return the run of a `results.json`, or of the folder that holds it. Raises UsageError where there is none."""
    path = path if path.is_file() else path / RESULTS
    try:
        return from_json(json.loads(path.read_bytes()))
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}); name the folder of a run.") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        why = f"{type(error).__name__}: {error}"
        raise UsageError(f"{path} holds no results of a run ({why}); {remedy}.") from error


def as_json(run: Run) -> dict[str, Any]:
    """Return the content of `results.json`."""
    return {
        "schema_version": SCHEMA_VERSION,
        "run": {name: getattr(run, name) for name in _HEAD} | {"models": list(run.models)},
        "totals": run.totals,
        "cases": [_case_json(result) for result in run.results],
    }


def from_json(content: dict[str, Any]) -> Run:
    """Return the run that `as_json` has told of. Raises ValueError, KeyError or TypeError where it is none."""
    if content["schema_version"] != SCHEMA_VERSION:
        raise ValueError(f"schema_version {content['schema_version']}, not {SCHEMA_VERSION}")
    head = {name: content["run"][name] for name in _HEAD}
    results = tuple(_case_result(case) for case in content["cases"])
    return Run(**head, models=tuple(content["run"]["models"]), results=results)


def redacted(run: Run, redactor: Redactor) -> Run:
    """Return the run as it may be written anywhere."""
    results = tuple(redacted_result(result, redactor) for result in run.results)
    return replace(run, api_base=redactor.text(run.api_base), models=redactor.value(run.models), results=results)


def redacted_result(result: CaseResult, redactor: Redactor) -> CaseResult:
    """Return a result as it may be written anywhere; the names of its parts are not looked at."""
    case = result.case
    named = replace(
        case,
        id=redactor.text(case.id),
        notebook=Path(redactor.text(str(case.notebook))),
        parameters=redactor.value(case.parameters),
        model=redactor.text(case.model),
    )
    reasons = [replace(reason, message=redactor.text(reason.message)) for reason in result.retried_for]
    reason = result.reason and replace(result.reason, message=redactor.text(result.reason.message))
    checks = tuple(replace(check, name=redactor.text(check.name)) for check in result.checks)
    records = redactor.value(result.records)
    return replace(result, case=named, reason=reason, records=records, retried_for=tuple(reasons), checks=checks)


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
        Case(case["id"], Path(case["notebook"]).absolute(), case["parameters"], case["model"]),
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
