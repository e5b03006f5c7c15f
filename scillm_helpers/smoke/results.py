"""The vocabulary of a run: what is to be done, and what came of it."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self, get_args

from ..kinds import Kind

SCHEMA_VERSION = 1

Status = Literal["passed", "skipped", "failed", "timeout", "kernel_died", "not_run"]
STATUSES: tuple[Status, ...] = get_args(Status)
GOOD: frozenset[Status] = frozenset({"passed", "skipped"})


@dataclass(frozen=True)
class Case:
    """Be one notebook to execute, with its parameters and its model."""

    id: str
    notebook: Path
    parameters: dict[str, Any]
    model: str


@dataclass(frozen=True)
class Reason:
    """Say why a case did not pass.

    `kind` is None where nothing failed (`skipped`, `not_run`). `cell` is n where the executed
    copy has `In [n]`, or None where no cell is at fault.
    """

    kind: Kind | None
    message: str
    cell: int | None = None


@dataclass(frozen=True)
class CaseResult:
    """Be what came of a case.

    `executed` is the executed copy's path inside the run's folder. `retried_for` says why each
    earlier attempt failed.
    """

    case: Case
    status: Status
    seconds: float = 0.0
    executed: str | None = None
    reason: Reason | None = None
    records: tuple[dict[str, Any], ...] = ()
    retried_for: tuple[Reason, ...] = ()

    @classmethod
    def planned(cls, case: Case) -> Self:
        """Return what a case is until it has been executed, and stays if the run ends before."""
        return cls(case, "not_run", reason=Reason(None, "the run was interrupted."))

    @property
    def attempt(self) -> int:
        """Return which attempt this result is of: 1, unless it was tried again."""
        return 1 + len(self.retried_for)

    @property
    def prompt_tokens(self) -> int:
        return sum(record.get("prompt_tokens") or 0 for record in self.records)

    @property
    def completion_tokens(self) -> int:
        return sum(record.get("completion_tokens") or 0 for record in self.records)


@dataclass(frozen=True)
class Run:
    """Be a run: where and when it took place, and the results so far, in the order of its plan."""

    id: str
    started_at: str  # ISO 8601, UTC
    seconds: float
    endpoint: Literal["embedded", "live"]
    api_base: str
    backend: str
    python: str
    git_commit: str | None
    models: tuple[str, ...] = ()  # that were named with --model
    results: tuple[CaseResult, ...] = field(default=())

    @property
    def totals(self) -> dict[Status, int]:
        """Return how many cases have each status, zeros included."""
        counted = Counter(result.status for result in self.results)
        return {status: counted[status] for status in STATUSES}

    @property
    def good(self) -> bool:
        """Tell whether every case passed or was skipped."""
        return all(result.status in GOOD for result in self.results)
