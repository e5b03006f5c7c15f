"""A run -> which model can do what: the capability matrix."""

from dataclasses import dataclass
from statistics import median
from typing import Any

from .results import Check, Run
from .words import rate, seconds, state

# Each check of the tutorials that is a capability, and what people call it.
CAPABILITIES = {
    "chat": "chat",
    "streaming": "streaming",
    "json_object": "JSON mode",
    "json_schema": "JSON schema",
    "vision": "vision",
    "tools": "tools",
}

# Of several checks of one capability the worst counts: what fails once does not work.
_WORST_FIRST = ("fails", "not_supported", "works", "not_run")


@dataclass(frozen=True)
class Row:
    """Be what one model has shown: a check for each capability; seconds and tokens per second where measured."""

    model: str
    checks: dict[str, Check]
    ttft_s: float | None
    tokens_per_s: float | None


def matrix(run: Run) -> list[Row]:
    """Return a row for each model of the run, in the run's order."""
    models = dict.fromkeys(result.case.model for result in run.results)
    return [_row(run, model) for model in models]


def as_json(run: Run) -> dict[str, Any]:
    """Return the matrix as data: models, each with a check for each capability."""
    return {
        "run": run.id,
        "started_at": run.started_at,
        "endpoint": run.endpoint,
        "api_base": run.api_base,
        "models": [
            {
                "model": row.model,
                "capabilities": {
                    name: {"state": check.state, "kind": check.kind} for name, check in row.checks.items()
                },
                "ttft_s": row.ttft_s,
                "tokens_per_s": row.tokens_per_s,
            }
            for row in matrix(run)
        ],
    }


def cells(run: Run) -> tuple[list[str], list[list[str]]]:
    """Return the matrix in words: the heads of its columns, and its rows."""
    heads = ["model", *CAPABILITIES.values(), "TTFT", "tokens/s"]
    rows = [
        [row.model, *(state(check) for check in row.checks.values()), seconds(row.ttft_s), rate(row.tokens_per_s)]
        for row in matrix(run)
    ]
    return heads, rows


def _row(run: Run, model: str) -> Row:
    own = [check for result in run.results if result.case.model == model for check in result.checks]
    ttft = [check.ttft_s for check in own if check.ttft_s is not None]
    speed = [check.tokens_per_s for check in own if check.tokens_per_s is not None]
    by_name = {name: _worst(name, own) for name in CAPABILITIES}
    return Row(model, by_name, median(ttft) if ttft else None, median(speed) if speed else None)


def _worst(name: str, checks: list[Check]) -> Check:
    own = [check for check in checks if check.name == name]
    return min(own, key=lambda check: _WORST_FIRST.index(check.state), default=Check(name, "not_run"))
