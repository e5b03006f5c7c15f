"""Numbers -> a table on the terminal, the tables in README.md, and the plot.

`python -m benchmarks.report` makes them again from results.json.
"""

from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from benchmarks import plot, results
from benchmarks.results import Results
from benchmarks.runners import OURS
from benchmarks.stand_ins import OURS as OUR_ENDPOINT
from benchmarks.summary import QUANTITIES, Row, Target, further_kernel_mb, request_ms, rows, targets

_BEGIN, _END = "<!-- results: begin -->", "<!-- results: end -->"
_COSTS = ["cases", "runner", "wall s", "range", "CPU s", "peak MB", "wall ratio", "CPU ratio", "memory ratio"]
_TARGETS = ["target", "at most", "measured", ""]


def show(done: Results, console: Console) -> None:
    """Print what was measured, and the targets."""
    for header, cells in ((_COSTS, _cost_cells(done)), (_TARGETS, _target_cells(done))):
        table = Table(*header)
        for line in cells:
            table.add_row(*line)
        console.print(table)
    console.print(_about_kernels(done))
    console.print(_about_suite(done))
    console.print(_about_requests(done))


def write(done: Results, folder: Path) -> None:
    """Write the part of README.md between the markers, and the plot."""
    plot.draw(rows(done), folder / "benchmark.svg")
    readme = folder / "README.md"
    before, _, rest = readme.read_text().partition(_BEGIN)
    _, _, after = rest.partition(_END)
    readme.write_text(f"{before}{_BEGIN}\n\n{_markdown(done)}\n\n{_END}{after}")


def _markdown(done: Results) -> str:
    return "\n\n".join(
        [
            "; ".join(f"{name}: {value}" for name, value in done.machine.items()) + ".",
            f"Rounds: {done.plan.rounds}. A ratio is this project's over the row's.",
            _table(_COSTS, _cost_cells(done)),
            _table(_TARGETS, _target_cells(done)),
            _about_kernels(done),
            _about_suite(done),
            _about_requests(done),
            f"![{plot.describe(rows(done))}](benchmark.svg)",
        ]
    )


def _table(header: list[str], cells: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cost_cells(done: Results) -> list[list[str]]:
    return [_cost_line(row) for row in rows(done)]


def _cost_line(row: Row) -> list[str]:
    span = "scaled" if row.scaled else f"{row.fastest_s:.1f} to {row.slowest_s:.1f}" if row.rounds > 1 else "once"
    cost = [f"{row.cost.wall_s:.1f}", span, f"{row.cost.cpu_s:.1f}", f"{row.cost.peak_pss_mb:.0f}"]
    ratios = ["" if row.runner == OURS else f"{row.ratios[name]:.3f}" for name in QUANTITIES]
    return [str(row.cases), row.runner, *cost, *ratios]


def _target_cells(done: Results) -> list[list[str]]:
    return [_target_line(target) for target in targets(done)]


def _target_line(target: Target) -> list[str]:
    verdict = "met" if target.met else "missed"
    return [target.name, f"{target.limit:.2f} {target.unit}", f"{target.measured:.3f} {target.unit}", verdict]


def _about_kernels(done: Results) -> str:
    cold, warm = further_kernel_mb(done.cold_mb), further_kernel_mb(done.warm_mb)
    return f"A further live kernel, after one call: {cold:.0f} MB cold, {warm:.0f} MB warm."


def _about_suite(done: Results) -> str:
    each = ", ".join(f"{seconds:.1f} s" for seconds in done.suite_s)
    return f"`make smoke` again, all notebooks: {each}."


def _about_requests(done: Results) -> str:
    """Say what a request takes, of this project's endpoint and of the others, and the ratio to the best of them."""
    took = request_ms(done)
    best = next(name for name in took if name != OUR_ENDPOINT)
    ratio = median(one[OUR_ENDPOINT] / one[best] for one in done.requests_ms)
    each = ", ".join(f"{name} {ms:.2f} ms" for name, ms in took.items())
    return f"A request that is not streamed, median: {each}. To the best of the others, {best}: {ratio:.2f} x."


if __name__ == "__main__":
    here = Path(__file__).parent
    write(results.read(here / "results.json"), here)
