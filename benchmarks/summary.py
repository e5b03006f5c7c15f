"""Raw numbers -> medians, ratios, and whether the targets are met."""

from dataclasses import dataclass
from statistics import median

from benchmarks.measure import Cost
from benchmarks.results import Results, Run
from benchmarks.runners import OURS, PAPERMILL, PARALLEL, RUNNERS
from benchmarks.stand_ins import OURS as OUR_ENDPOINT

QUANTITIES = ("wall_s", "cpu_s", "peak_pss_mb")


@dataclass(frozen=True)
class Row:
    """Be what a runner took for a number of cases; `ratios` are this project's over it, by quantity."""

    cases: int
    runner: str
    cost: Cost  # medians
    fastest_s: float
    slowest_s: float
    rounds: int
    scaled: bool
    ratios: dict[str, float]


@dataclass(frozen=True)
class Target:
    """Be a limit that the project has set itself, and what was measured."""

    name: str
    limit: float
    measured: float
    unit: str

    @property
    def met(self) -> bool:
        """Tell whether the limit is kept."""
        return self.measured <= self.limit


def rows(results: Results) -> list[Row]:
    """Return a row for each number of cases and runner."""
    plan = results.plan
    return [_row(results, cases, runner.name) for cases in (plan.tutorials, plan.some, plan.many) for runner in RUNNERS]


def targets(results: Results) -> list[Target]:
    """Return the targets of the project, in its own order."""
    plan = results.plan
    few, many = f"{plan.tutorials} tutorials", f"{plan.many} cases"
    best = "the best of nbmake and nbval"
    return [
        Target(f"{few}: wall, to papermill", 0.20, _wall_ratio(results, plan.tutorials, PAPERMILL), "x"),
        Target(f"{few}: wall, to {best}", 0.40, _wall_ratio(results, plan.tutorials, *PARALLEL), "x"),
        Target(f"{many}: wall, to papermill (scaled)", 0.03, _wall_ratio(results, plan.many, PAPERMILL), "x"),
        Target(f"{many}: wall, to {best} (scaled)", 0.06, _wall_ratio(results, plan.many, *PARALLEL), "x"),
        Target(f"{many}: wall for each, beyond its call", 0.25, _beyond_calls(results), "s"),
        Target("memory of a further live kernel, to a cold one", 0.40, _kernel_ratio(results), "x"),
        Target(f"`make smoke` again, {few}", 8.0, median(results.smoke_s), "s"),
        Target(f"redaction, of the wall of {many}", 0.05, median(cpu / wall for cpu, wall in results.redaction_s), "x"),
        Target("a report of 500 cases and 200 nights", 3.0, median(took for took, _ in results.large_report), "s"),
        Target("its size", 5.0, max(size for _, size in results.large_report) / 1e6, "MB"),
        Target("a request to the endpoint, not streamed", 3.0, request_ms(results)[OUR_ENDPOINT], "ms"),
        *_first_minutes(results),
    ]


def _first_minutes(results: Results) -> list[Target]:
    """Return the targets of the first minutes; results of before they were measured have none."""
    names = (("`import scillm_helpers`", 0.2), ("`connect()` in a warm kernel", 1.0))
    measured = zip(*results.first_minutes_s, strict=True)
    return [Target(name, limit, median(took), "s") for (name, limit), took in zip(names, measured, strict=False)]


def request_ms(results: Results) -> dict[str, float]:
    """Return the milliseconds that a request takes, by stand-in: the quickest first."""
    found = {name: median(one[name] for one in results.requests_ms) for name in results.requests_ms[0]}
    return dict(sorted(found.items(), key=lambda item: item[1]))


def further_kernel_mb(totals: list[list[float]]) -> float:
    """Return the MB of each live kernel after the second: the median of the rounds' slopes."""
    return median((total[-1] - total[1]) / (len(total) - 2) for total in totals)


def _row(results: Results, cases: int, runner: str) -> Row:
    runs = _runs(results, cases, runner)
    walls = [run.cost.wall_s for run in runs]
    return Row(
        cases=cases,
        runner=runner,
        cost=Cost(*(median(getattr(run.cost, name) for run in runs) for name in QUANTITIES)),
        fastest_s=min(walls),
        slowest_s=max(walls),
        rounds=len(runs),
        scaled=_is_scaled(results, cases, runner),
        ratios={name: _ratio(results, cases, (runner,), name) for name in QUANTITIES},
    )


def _is_scaled(results: Results, cases: int, runner: str) -> bool:
    return cases == results.plan.many and runner != OURS


def _runs(results: Results, cases: int, runner: str) -> list[Run]:
    """Return the runs of a runner with so many cases; scaled ones take more time, and no more memory."""
    measured, factor = cases, 1.0
    if _is_scaled(results, cases, runner):
        measured, factor = results.plan.some, cases / results.plan.some
    return [
        Run(run.round, cases, runner, Cost(run.cost.wall_s * factor, run.cost.cpu_s * factor, run.cost.peak_pss_mb))
        for run in results.runs
        if (run.cases, run.runner) == (measured, runner)
    ]


def _ratio(results: Results, cases: int, others: tuple[str, ...], quantity: str) -> float:
    """Return this project's over the best of `others`: of the ratios to each the largest.

    A ratio is the median of those within a round, which are measured one beside the other.
    """
    ours = {run.round: getattr(run.cost, quantity) for run in _runs(results, cases, OURS)}
    return max(
        median(ours[run.round] / getattr(run.cost, quantity) for run in _runs(results, cases, other))
        for other in others
    )


def _wall_ratio(results: Results, cases: int, *others: str) -> float:
    return _ratio(results, cases, others, "wall_s")


def _beyond_calls(results: Results) -> float:
    many = results.plan.many
    walls = [run.cost.wall_s for run in _runs(results, many, OURS)]
    return median((wall - calls) / many for wall, calls in zip(walls, results.calls_s, strict=True))


def _kernel_ratio(results: Results) -> float:
    return further_kernel_mb(results.warm_mb) / further_kernel_mb(results.cold_mb)
