"""What came out of the tests under each condition, and the table of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

_HEAD = ("condition", "result", "passed", "failed", "skipped", "minutes")


@dataclass(frozen=True)
class Outcome:
    """The tests under one condition: how they ended and how long that took, in seconds, and the tests by what they did.

    `problem` says why there is no result, or none of all tests. A condition that was not made has no result.
    """

    condition: str
    problem: str = ""
    made: bool = True
    seconds: float = 0
    passed: int = 0
    skipped: int = 0
    failed: tuple[str, ...] = ()

    @property
    def red(self) -> bool:
        """Return whether a test failed, or some may not have run."""
        return self.made and bool(self.failed or self.problem)

    @property
    def result(self) -> str:
        """Return the result in a word or two."""
        if not self.made:
            return "not made"
        return "failed" if self.red else "passed"


def read(condition: str, report: Path, status: int, seconds: float) -> Outcome:
    """Return the outcome that pytest has written to `report` (JUnit's XML, xunit1); `status` is its exit status."""
    problem = "" if status in (0, 1) else f"pytest ended with status {status}"
    if not report.is_file():
        return Outcome(condition, problem or "pytest left no report", seconds=seconds)
    # pytest wrote it a moment ago.
    cases = {_name(case): {child.tag for child in case} for case in ElementTree.parse(report).iter("testcase")}  # noqa: S314
    failed = tuple(name for name, tags in cases.items() if tags & {"failure", "error"})
    skipped = sum("skipped" in tags for tags in cases.values())
    if status == 1 and not failed:
        problem = "pytest ended with status 1"
    return Outcome(condition, problem, True, seconds, len(cases) - len(failed) - skipped, skipped, failed)


def _name(case: ElementTree.Element) -> str:
    """Return a test's name as pytest takes it."""
    file, name = case.get("file", ""), case.get("name", "")
    *_, group = case.get("classname", "").split(".")
    return "::".join([file, *([group] if group[:1].isupper() else []), name])


def table(outcomes: Sequence[Outcome]) -> str:
    """Return a row for each condition, then each test that failed with where it did, then what else was wrong."""
    rows = [_HEAD, *map(_row, outcomes)]
    where: dict[str, list[str]] = {}
    for outcome in outcomes:
        for name in outcome.failed:
            where.setdefault(name, []).append(outcome.condition)
    parts = [
        _aligned(rows),
        *(
            [_aligned([("failed", "under"), *((name, ", ".join(names)) for name, names in where.items())])]
            if where
            else []
        ),
        *(f"{outcome.condition}: {outcome.problem}" for outcome in outcomes if outcome.problem),
    ]
    return "\n\n".join(parts)


def _row(outcome: Outcome) -> tuple[str, ...]:
    if not outcome.made:
        return (outcome.condition, outcome.result)
    counts = (outcome.passed, len(outcome.failed), outcome.skipped)
    minutes, seconds = divmod(round(outcome.seconds), 60)
    return (outcome.condition, outcome.result, *map(str, counts), f"{minutes}:{seconds:02}")


def _aligned(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in _columns(rows)]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=False)).rstrip() for row in rows
    )


def _columns(rows: Sequence[tuple[str, ...]]) -> Iterator[list[str]]:
    for place in range(max(map(len, rows))):
        yield [row[place] for row in rows if place < len(row)]
