"""What the past of one case tells: pure functions over its results, in order of time.

What was skipped or not run has shown nothing: it is neither passed nor bad, begins no streak and ends none.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from statistics import median
from typing import Literal

from ..kinds import Kind
from .past import Past, PastRun
from .results import Status

Metric = Literal["ttft_s", "tokens_per_s"]

_RECENT = 30  # values that make the usual range
_ENOUGH = 8  # with fewer there is none
_Z = 3.5
_TO_SIGMA = 0.6745  # the MAD of a normal distribution, in its standard deviations
_SHARE = 0.2  # of the median
_LEAST: dict[Metric, float] = {"ttft_s": 0.05, "tokens_per_s": 0.0}


@dataclass(frozen=True, slots=True)
class Night:
    """Be what came of a case on one date (UTC). The medians are of what passed."""

    date: str
    results: tuple[Past, ...]

    @property
    def runs(self) -> int:
        """Return how many results passed or were bad."""
        return len(_telling(self.results))

    @property
    def passed(self) -> int:
        """Return how many passed."""
        return sum(result.passed for result in self.results)

    @property
    def skipped(self) -> int:
        """Return how many were skipped."""
        return sum(result.status == "skipped" for result in self.results)

    @property
    def pass_rate(self) -> float | None:
        """Return which share passed, from 0 to 1; None where all were skipped."""
        return pass_rate(self.results)

    @property
    def causes(self) -> dict[Kind | Status, int]:
        """Return how many were bad for each kind, or status where it has none, the most frequent first."""
        return dict(Counter(result.kind or result.status for result in self.results if result.bad).most_common())

    @property
    def ttft_s(self) -> float | None:
        """Return the median time to first token, in seconds."""
        return usually(self.results, "ttft_s")

    @property
    def tokens_per_s(self) -> float | None:
        """Return the median tokens per second."""
        return usually(self.results, "tokens_per_s")

    @property
    def seconds(self) -> float | None:
        """Return the median seconds of the whole case."""
        return usually(self.results, "seconds")


@dataclass(frozen=True)
class Regression:
    """Be a value that has left its usual range, `low` to `high`, to the bad side."""

    metric: Metric
    value: float
    low: float
    high: float
    run: PastRun


def nights(past: Iterable[Past]) -> list[Night]:
    """Return the nights on which the case was executed or skipped, in order."""
    seen = (result for result in past if result.status != "not_run")
    return [Night(date, tuple(results)) for date, results in groupby(seen, lambda result: result.run.night)]


def pass_rate(past: Iterable[Past]) -> float | None:
    """Return which share of the results that passed or were bad passed; None where there is none."""
    told = _telling(past)
    return sum(result.passed for result in told) / len(told) if told else None


def usually(past: Iterable[Past], metric: Literal["ttft_s", "tokens_per_s", "seconds"]) -> float | None:
    """Return the median of what passed, or None where nothing was measured."""
    values = [value for result in past if result.passed and (value := getattr(result, metric)) is not None]
    return median(values) if values else None


def first_bad(past: Iterable[Past]) -> Past | None:
    """Return the first result of the streak of bad ones that lasts until now, or None where the last one passed."""
    first = None
    for result in _telling(past):
        first = None if result.passed else first or result
    return first


def flaky(past: Iterable[Past]) -> int:
    """Return how often the case passed after a failure that nothing had been done about.

    That is: it passed when it was tried again in the same run; or in the next one, with the same
    commit (one that is known), notebook, library and Python.
    """
    told = _telling(past)
    tried_again = sum(result.passed and result.attempts > 1 for result in told)
    next_time = (b for a, b in pairwise(told) if a.bad and b.passed and b.attempts == 1 and _nothing_changed(a, b))
    return tried_again + len(list(next_time))


def regressions(past: Iterable[Past]) -> list[Regression]:
    """Return where the last result that passed is slower than usual: later to its first token, or fewer tokens per second.

    Usual is what the up to 30 results before it show that passed and were measured; with fewer than 8 nothing is
    said. The range is robust, so that a bad night among them neither widens nor moves it: from their median,
    in units of their median absolute deviation (MAD), 0.6745 * |value - median| / MAD may be up to 3.5. That is the
    modified z-score and the bound of Iglewicz and Hoaglin, "How to Detect and Handle Outliers" (1993); for
    values that are normally distributed it is 3.5 standard deviations. A very steady series has a MAD near 0,
    and then any flutter would be an alarm: a value within 20 % of the median is therefore always usual, and so is a
    TTFT within 0.05 s of it. Only the bad side counts: being faster is no regression. As the 30 move along,
    a slow drift moves the range with it and is not reported; a step is, until half of the 30 have come after it.
    """
    passed = [result for result in past if result.passed]
    found = (_regression(passed, metric) for metric in _LEAST)
    return [regression for regression in found if regression is not None]


def _telling(past: Iterable[Past]) -> list[Past]:
    return [result for result in past if result.passed or result.bad]


def _nothing_changed(a: Past, b: Past) -> bool:
    if a.run.git_commit is None:
        return False
    return (a.run.git_commit, a.digest, a.run.backend, a.run.python) == (
        b.run.git_commit,
        b.digest,
        b.run.backend,
        b.run.python,
    )


def _regression(passed: Sequence[Past], metric: Metric) -> Regression | None:
    """Compare the last result with those before it; where it has no such value, nothing is known."""
    values: list[float | None] = [getattr(result, metric) for result in passed]
    *earlier, last = values or [None]
    known = [value for value in earlier if value is not None][-_RECENT:]
    if last is None or len(known) < _ENOUGH:
        return None
    low, high = _usual_range(known, _LEAST[metric])
    worse = last > high if metric == "ttft_s" else last < low
    return Regression(metric, last, low, high, passed[-1].run) if worse else None


def _usual_range(values: Sequence[float], least: float) -> tuple[float, float]:
    middle = median(values)
    mad = median(abs(value - middle) for value in values)
    width = max(_Z * mad / _TO_SIGMA, _SHARE * middle, least)
    return max(0.0, middle - width), middle + width
