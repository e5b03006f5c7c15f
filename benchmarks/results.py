"""The raw numbers of a benchmark, as they are written to results.json."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.measure import Cost


@dataclass(frozen=True)
class Plan:
    """Be how much is measured: numbers of cases, of live kernels, and of rounds."""

    tutorials: int = 4
    some: int = 20  # by every runner
    many: int = 100  # by this project; the others are scaled from `some`
    kernels: int = 6
    requests: int = 500  # of each stand-in
    rounds: int = 2


@dataclass(frozen=True)
class Run:
    """Be one execution of a folder by one runner."""

    round: int
    cases: int
    runner: str
    cost: Cost


@dataclass
class Results:
    """Keep what has been measured; a list has an element for each round."""

    machine: dict[str, str]
    plan: Plan
    runs: list[Run] = field(default_factory=list)
    calls_s: list[float] = field(default_factory=list)  # that `many` calls take by themselves
    smoke_s: list[float] = field(default_factory=list)  # that `make smoke` takes again, with `tutorials` only
    suite_s: list[float] = field(default_factory=list)  # and with all notebooks
    cold_mb: list[list[float]] = field(default_factory=list)  # PSS after the first kernel, the second, ...
    redaction_s: list[list[float]] = field(default_factory=list)  # its CPU, and the wall of `many` cases
    large_report: list[list[float]] = field(default_factory=list)  # seconds of 500 cases x 200 nights, and bytes
    requests_ms: list[dict[str, float]] = field(default_factory=list)  # the median of each stand-in
    first_minutes_s: list[list[float]] = field(default_factory=list)  # import, and connect() in a warm kernel
    warm_mb: list[list[float]] = field(default_factory=list)

    def write(self, path: Path) -> None:
        """Write the file whole."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")


def read(path: Path) -> Results:
    """Read what `Results.write` has written."""
    raw = json.loads(path.read_text(encoding="utf-8"))
    raw["plan"] = Plan(**raw["plan"])
    raw["runs"] = [Run(**run | {"cost": Cost(**run["cost"])}) for run in raw["runs"]]
    return Results(**raw)
