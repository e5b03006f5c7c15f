import random

import pytest

from scillm_helpers.smoke import trends
from scillm_helpers.smoke.notable import notable
from tests.nights import past, timed

STEADY = (0.3,) * 8


# Nights


def test_nights_are_dates() -> None:
    """Two runs of a date are one night; what passed has the medians, and what failed is told by its kind."""
    first, second = past("passed", "passed", ttft_s=0.2, tokens_per_s=40.0, seconds=1.0)
    (third,) = past("failed", kind="capacity", ttft_s=9.0, seconds=99.0)
    slower = past("passed", ttft_s=0.4, seconds=3.0)
    one, two = trends.nights([first, third, *slower, second])
    assert (one.date, one.runs, one.passed, one.causes) == (first.run.night, 3, 2, {"capacity": 1})
    assert one.pass_rate == pytest.approx(2 / 3)
    assert (one.ttft_s, one.tokens_per_s, one.seconds) == (pytest.approx(0.3), 40.0, 2.0)
    assert (two.runs, two.pass_rate, two.causes) == (1, 1.0, {})


def test_night_of_skips_has_no_pass_rate() -> None:
    """It is shown, as neither passed nor bad; a night on which nothing was run is none."""
    (night,) = trends.nights(past("skipped", "not_run"))
    assert (night.runs, night.skipped, night.pass_rate, night.seconds) == (0, 1, None, None)
    assert trends.pass_rate(past("skipped")) is None
    assert trends.nights([]) == []


def test_pass_rate_is_of_what_was_executed() -> None:
    """Timeouts and dead kernels count as failures do, skips and what was not run do not."""
    assert trends.pass_rate(past("passed", "timeout", "kernel_died", "failed", "skipped", "not_run")) == 0.25


# Since when


@pytest.mark.parametrize(
    ("statuses", "first"),
    [
        (["passed", "failed", "failed"], "run-2"),
        (["failed", "timeout", "kernel_died"], "run-1"),
        (["failed", "passed", "failed"], "run-3"),
        (["passed", "failed", "skipped", "not_run", "failed", "skipped"], "run-2"),
        (["failed", "passed"], None),
        (["failed", "passed", "skipped"], None),
        (["skipped"], None),
        ([], None),
    ],
)
def test_first_bad_run(statuses: list[str], first: str | None) -> None:
    """It begins the streak that lasts until now; skips, and what was not run, neither begin one nor end it."""
    found = trends.first_bad(past(*statuses))
    assert (found and found.run.id) == first


# Flakiness


@pytest.mark.parametrize(
    ("statuses", "times"),
    [
        (["failed", "passed"], 1),
        (["failed", "passed", "timeout", "passed", "passed"], 2),
        (["failed", "failed", "passed"], 1),
        (["failed", "skipped", "not_run", "passed"], 1),
        (["flaky", "passed"], 1),
        (["failed", "flaky"], 1),
        (["passed", "failed"], 0),
        (["passed", "passed"], 0),
        ([], 0),
    ],
)
def test_passing_with_nothing_changed_is_flaky(statuses: list[str], times: int) -> None:
    """In the next run, or when tried again; a case that fails and stays so is not flaky."""
    assert trends.flaky(past(*statuses)) == times


@pytest.mark.parametrize("change", [{"commit": "other"}, {"digest": "other"}, {"backend": "scillm"}])
def test_passing_after_a_change_is_mended(change: dict[str, str]) -> None:
    """Another commit, notebook or library may be why it passes."""
    failed, _ = past("failed", "passed")
    _, passed = past("failed", "passed", **change)
    assert trends.flaky([failed, passed]) == 0


def test_unknown_commit_proves_nothing() -> None:
    """Where no commit is known, anything may have changed."""
    assert trends.flaky(past("failed", "passed", commit=None)) == 0


# Regressions


def test_slow_first_token_is_a_regression() -> None:
    """The last value is told with the range that it has left."""
    values = (0.28, 0.29, 0.30, 0.30, 0.31, 0.32, 0.33, 0.27)
    (found,) = trends.regressions(timed(*values, 2.1))
    assert (found.metric, found.value, found.run.id) == ("ttft_s", 2.1, "run-9")
    # Median 0.30, MAD 0.015: 3.5 * 0.015 / 0.6745 is 0.078, more than 20 % of the median.
    assert (found.low, found.high) == (pytest.approx(0.222, abs=1e-3), pytest.approx(0.378, abs=1e-3))


def test_low_throughput_is_a_regression() -> None:
    """The bad side of tokens per second is below."""
    (found,) = trends.regressions(timed(speeds=(50.0,) * 8 + (39.0,)))
    assert (found.metric, found.low, found.high) == ("tokens_per_s", 40.0, 60.0)
    assert trends.regressions(timed(speeds=(50.0,) * 8 + (41.0,))) == []


def test_being_faster_is_none() -> None:
    """Only the bad direction counts."""
    assert trends.regressions(timed(*STEADY, 0.01)) == []
    assert trends.regressions(timed(speeds=(50.0,) * 8 + (500.0,))) == []


def test_few_values_have_no_usual_range() -> None:
    """Eight earlier ones are needed; results without a measurement are none."""
    assert trends.regressions(timed(*STEADY[1:], 9.9)) == []
    assert trends.regressions(timed(*STEADY[1:], None, 9.9)) == []
    assert len(trends.regressions(timed(*STEADY, 9.9))) == 1
    assert trends.regressions(timed(*STEADY, None)) == []
    assert trends.regressions([]) == []


@pytest.mark.parametrize(
    ("usual", "last", "alarms"), [(0.3, 0.359, 0), (0.3, 0.361, 1), (0.01, 0.059, 0), (0.01, 0.061, 1)]
)
def test_steady_series_does_not_cry_wolf(usual: float, last: float, alarms: int) -> None:
    """With no deviation at all, 20 % of the median is usual, and 0.05 s where the median is small."""
    assert len(trends.regressions(timed(*(usual,) * 8, last))) == alarms


def test_bad_nights_do_not_widen_the_range() -> None:
    """Three outliers of nine would ruin a mean and a standard deviation."""
    assert len(trends.regressions(timed(0.3, 5.0, 0.31, 9.0, 0.29, 0.3, 7.0, 0.31, 0.3, 0.5))) == 1


def test_slow_drift_moves_the_range() -> None:
    """A percent a night is never a step; the one that follows it is told, until it has become usual."""
    drift = [0.3 * 1.01**night for night in range(120)]
    assert not any(trends.regressions(timed(*drift[:nights])) for nights in range(1, 121))
    step = [*drift, *(2 * drift[-1],) * 30]
    told = [bool(trends.regressions(timed(*step[:nights]))) for nights in range(121, 151)]
    assert told[0]
    assert not told[-1]
    assert told == sorted(told, reverse=True)


def test_noise_is_not_told() -> None:
    """Of a thousand nights with normal noise, hardly one is outside 3.5 standard deviations."""
    noise = random.Random(1)
    values = [noise.gauss(1.0, 0.1) for _ in range(1000)]
    told = sum(bool(trends.regressions(timed(*values[:nights][-31:]))) for nights in range(31, 1001))
    assert told <= 5


def test_failures_have_no_part_in_it() -> None:
    """A failed call's time is neither usual nor a regression."""
    slow = past(*["failed"] * 9, ttft_s=9.9)
    assert trends.regressions(timed(*STEADY) + slow) == []
    (found,) = trends.regressions(slow + timed(*STEADY, 9.9))
    assert found.high == pytest.approx(0.36)


# Words


def test_notable_in_words() -> None:
    """Since when, how often, and what has left which range."""
    assert notable(past("passed", "failed", "failed", kind="auth")) == [
        "failing since 2026-10-03 (run run-2, commit abc1234): auth"
    ]
    assert notable(past("passed", "timeout", commit=None)) == ["failing since 2026-10-03 (run run-2): timeout"]
    assert notable(past("failed", "passed", "flaky")) == ["flaky 2x"]
    assert notable(timed(*STEADY, 2.1)) == ["TTFT 2.10 s, usually 0.24-0.36 s"]
    assert notable(timed(speeds=(50.0,) * 8 + (3.0,))) == ["3.0 tokens/s, usually 40.0-60.0"]
    assert notable(timed(*STEADY)) == []
