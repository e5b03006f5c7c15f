"""The vocabulary of a run: what is to be done, and what came of it."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Literal, Self, get_args

from ..kinds import Kind

SCHEMA_VERSION = 1

State = Literal["works", "fails", "not_supported", "not_run"]  # of a check, for the capability matrix
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

    @property
    def name(self) -> str:
        """Return the id without the model that it has where there are several."""
        return self.id.removesuffix(f"@{self.model}")


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
class Check:
    """Say what a case has shown of one of the checks that its notebook makes.

    `state` tells apart what works, what fails (`kind` says how), what the endpoint answers that
    the model does not support, and what was not reached.
    """

    name: str
    state: State
    kind: Kind | None = None
    ttft_s: float | None = None
    tokens_per_s: float | None = None


@dataclass(frozen=True)
class Usage:
    """Count what a case has asked an endpoint for: its calls, and their tokens.

    `most_completion_tokens` is the sum of the calls' `max_tokens`; None where one has set none.
    """

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    most_completion_tokens: int | None = 0

    def __add__(self, other: "Usage") -> "Usage":
        """Return the usage of both."""
        most = (self.most_completion_tokens, other.most_completion_tokens)
        return Usage(
            self.calls + other.calls,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            None if None in most else sum(filter(None, most)),
        )

    @property
    def tokens(self) -> int:
        """Return the tokens of the prompts and of the replies."""
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True)
class CaseResult:
    """Be what came of a case.

    `executed` is the executed copy's path inside the run's folder. `retried_for` says why each
    earlier attempt failed. `started_s` counts from the beginning of the run, `worker` from 1.
    `cost_usd` is None where no price is known. `digest` tells whether a notebook has changed.
    """

    case: Case
    status: Status
    seconds: float = 0.0
    executed: str | None = None
    reason: Reason | None = None
    records: tuple[dict[str, Any], ...] = ()
    retried_for: tuple[Reason, ...] = ()
    checks: tuple[Check, ...] = ()
    usage: Usage = Usage()
    cost_usd: float | None = None
    started_s: float = 0.0
    worker: int | None = None
    digest: str | None = None

    @classmethod
    def planned(cls, case: Case, usage: Usage | None = None, cost_usd: float | None = None) -> Self:
        """Return what a case is until it has been executed, and stays if the run ends before.

        `usage` and `cost_usd` are those of an earlier execution in the same run.
        """
        return cls(
            case, "not_run", reason=Reason(None, "the run was interrupted."), usage=usage or Usage(), cost_usd=cost_usd
        )

    @property
    def attempt(self) -> int:
        """Return which attempt this result is of: 1, unless it was tried again."""
        return 1 + len(self.retried_for)

    @property
    def ttft_s(self) -> float | None:
        """Return the median time to first token of the checks, in seconds."""
        return _median(check.ttft_s for check in self.checks)

    @property
    def tokens_per_s(self) -> float | None:
        """Return the median tokens per second of the checks."""
        return _median(check.tokens_per_s for check in self.checks)


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

    @property
    def calls(self) -> int:
        """Return the calls of all cases."""
        return sum(result.usage.calls for result in self.results)

    @property
    def tokens(self) -> int:
        """Return the tokens of all cases."""
        return sum(result.usage.tokens for result in self.results)

    @property
    def cost_usd(self) -> float | None:
        """Return what all cases have cost, or None where the price of one is not known."""
        costs = [result.cost_usd for result in self.results if result.usage.calls]
        return None if None in costs else sum(cost for cost in costs if cost is not None)


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None
