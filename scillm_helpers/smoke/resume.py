"""A run that has ended early -> what of it is still to be done."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UsageError
from . import project, report
from .labels import path_of
from .results import CaseResult, Run

if TYPE_CHECKING:
    from .target import Target


def find(name: str) -> tuple[Path, Run]:
    """Return the folder of a run, by its path or its id, and what it holds. Raises UsageError."""
    folder = next((path for path in (Path(name), project.runs() / name) if os.path.isdir(path)), None) if name else None
    if folder is None:
        raise UsageError(f"{name!r} is not the folder of a run, nor one in runs/; see runs/.")
    folder = folder.resolve()
    run = report.read_results(folder)
    return folder, run


def check_replaceable(out: Path | None) -> None:
    """Raise UsageError where `out` has a `results.json` that this version cannot read: it may be of value to another."""
    if out is not None and os.path.exists(out / report.RESULTS):
        report.read_results(out, "choose another --out")


def check(run: Run, folder: Path) -> None:
    """Raise UsageError where the run's cases cannot be executed again as they were."""
    for result in run.results:
        if any("[redacted " in str(value) for value in result.case.parameters.values()):
            raise UsageError(
                f"{folder.name} was given a secret as a parameter, which it has not kept; start a new run."
            )
        if not os.path.isfile(result.case.notebook):
            raise UsageError(
                f"{result.case.notebook.name} is not where {folder.name} had it; resume where that run was started."
            )


def check_target(run: Run, folder: Path, target: "Target", backend: str, models: list[str]) -> None:
    """Raise UsageError where the rest of the run would not be comparable to what it has."""
    was = _described(run.endpoint, run.api_base, run.backend, [result.case.model for result in run.results])
    now = _described(target.kind, target.api_base, backend, models)
    if was != now:
        raise UsageError(f"{folder.name} was a run of {was}, and this would be one of {now}; start a new run.")


def _described(kind: str, api_base: str, backend: str, models: list[str]) -> str:
    where = "the embedded endpoint" if kind == "embedded" else api_base
    return f"{', '.join(dict.fromkeys(models))} with {backend} on {where}"


def remaining(run: Run, folder: Path) -> list[CaseResult]:
    """Return the run's results, `not_run` for each that has not passed, or whose notebook has changed since."""
    return [
        result if _stands(result, folder) else CaseResult.planned(result.case, result.usage, result.cost_usd)
        for result in run.results
    ]


def _stands(result: CaseResult, folder: Path) -> bool:
    copy = folder / path_of(result.executed or "")
    if result.status != "passed" or not os.path.isfile(copy):
        return False
    return copy.stat().st_mtime >= result.case.notebook.stat().st_mtime
