"""What is notable of a case's past, in words."""

from collections.abc import Sequence

from . import trends
from .past import Past
from .trends import Metric, Regression


def notable(past: Sequence[Past]) -> list[str]:
    """Return a phrase for each: since when it fails, how often it was flaky, what has become slower."""
    since = trends.first_bad(past)
    return [*([_failing(since)] if since is not None else []), *beyond_failing(past)]


def beyond_failing(past: Sequence[Past]) -> list[str]:
    """Return what is notable also of a case that passes: how often it was flaky, what has become slower."""
    times = trends.flaky(past)
    return [*([f"flaky {times}x"] if times else []), *map(_slower, trends.regressions(past))]


def measured(metric: Metric, value: float) -> str:
    """Return a value with as many digits as mean something: `0.21` seconds, `48.5` tokens per second."""
    return f"{value:.2f}" if metric == "ttft_s" else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def _failing(first: Past) -> str:
    commit = f", commit {first.run.commit}" if first.run.commit else ""
    return f"failing since {first.run.night} (run {first.run.id}{commit}): {first.kind or first.status}"


def _slower(regression: Regression) -> str:
    metric = regression.metric
    value, low, high = (measured(metric, number) for number in (regression.value, regression.low, regression.high))
    if metric == "ttft_s":
        return f"TTFT {value} s, usually {low}-{high} s"
    return f"{value} tokens/s, usually {low}-{high}"
