"""What is known of a case over the nights: which one it is, and what came of it each time."""

import json
from dataclasses import dataclass
from typing import NamedTuple, Self

from ..kinds import Kind
from .results import GOOD, CaseResult, Run, Status

EMBEDDED = "embedded"


@dataclass(frozen=True, slots=True, order=True)
class Identity:
    """Be what makes a case the same one in every run.

    `name` is the case's id without its model. `where` is `embedded`, or the base of a live
    endpoint: two providers of one model have nothing in common. `parameters` is JSON, its keys sorted.
    """

    name: str
    model: str
    where: str
    parameters: str

    @classmethod
    def of(cls, run: Run, result: CaseResult) -> Self:
        """Return the identity of a case of this run."""
        case = result.case
        where = EMBEDDED if run.endpoint == "embedded" else run.api_base  # the embedded one has a new port each time
        return cls(case.name, case.model, where, canonical(case.parameters))


@dataclass(frozen=True, slots=True)
class PastRun:
    """Be a run that has been, as far as its results depend on it."""

    id: str
    started_at: str  # ISO 8601, UTC
    backend: str
    python: str
    git_commit: str | None

    @property
    def night(self) -> str:
        """Return the date on which it started, in UTC."""
        return self.started_at[:10]

    @property
    def commit(self) -> str:
        """Return the commit as git shortens it, or nothing where none is known."""
        return (self.git_commit or "")[:7]


class Past(NamedTuple):  # a hundred thousand are read at once
    """Be what came of a case in a run; `signature` and `message` are None where it passed."""

    run: PastRun
    status: Status
    kind: Kind | None = None
    message: str | None = None
    signature: str | None = None
    seconds: float = 0.0
    ttft_s: float | None = None
    tokens_per_s: float | None = None
    attempts: int = 1
    digest: str | None = None

    @property
    def passed(self) -> bool:
        """Tell whether it passed."""
        return self.status == "passed"

    @property
    def bad(self) -> bool:
        """Tell whether it was executed and did not pass, nor was skipped."""
        return self.status not in GOOD and self.status != "not_run"


def canonical(parameters: dict[str, object]) -> str:
    """Return parameters as JSON that is the same whatever their order was."""
    return json.dumps(parameters, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
