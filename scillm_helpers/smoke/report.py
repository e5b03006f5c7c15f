"""Results -> JSON and JUnit files."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from .results import SCHEMA_VERSION, CaseResult, Run


def write(run: Run, folder: Path) -> None:
    """Write `results.json` and `junit.xml` into the run's folder, each as a whole or not at all."""
    _replace(folder / "results.json", json.dumps(as_json(run), indent=1, ensure_ascii=False).encode() + b"\n")
    _replace(folder / "junit.xml", as_junit(run))


def as_json(run: Run) -> dict[str, Any]:
    """Return the content of `results.json`."""
    head = {name: getattr(run, name) for name in ("id", "started_at", "seconds", "endpoint", "api_base", "backend")}
    return {
        "schema_version": SCHEMA_VERSION,
        "run": head | {"python": run.python, "git_commit": run.git_commit},
        "totals": run.totals,
        "cases": [_case_json(result) for result in run.results],
    }


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


def _case_json(result: CaseResult) -> dict[str, Any]:
    reason = result.reason
    return {
        "id": result.case.id,
        "notebook": result.case.notebook.name,
        "parameters": result.case.parameters,
        "model": result.case.model,
        "status": result.status,
        "seconds": result.seconds,
        "executed": result.executed,
        "reason": reason and {"kind": reason.kind, "message": reason.message, "cell": reason.cell},
        "records": list(result.records),
        "tokens": {"prompt": result.prompt_tokens, "completion": result.completion_tokens},
    }


def _case_junit(result: CaseResult) -> TestCase:
    case = TestCase(result.case.id, classname="notebooks", time=result.seconds)
    if result.reason is None:
        return case
    entries = {"skipped": Skipped, "failed": Failure, "timeout": Failure}
    entry = entries.get(result.status, Error)
    case.result = [entry(result.reason.message, result.reason.kind or result.status)]
    return case


def _replace(path: Path, content: bytes) -> None:
    """Write a file so that no reader, and no crash, ever finds half of it."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    os.chmod(temporary, 0o644)
    os.replace(temporary, path)
