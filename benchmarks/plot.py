"""The plot: wall seconds of every runner, for each number of cases."""

from pathlib import Path

import matplotlib

from benchmarks.summary import Row

_COLOURS = ("#c0392b", "#7f8c8d", "#2980b9", "#16a085", "#8e6bb0")
_WIDTH = 0.16  # of a bar, where a group is 1 wide


def draw(rows: list[Row], path: Path) -> None:
    """Draw grouped bars on a logarithmic scale; hatched ones are scaled. The same rows give the same file."""
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "scillm"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 4.5), layout="constrained")
    counts = sorted({row.cases for row in rows})
    runners = list(dict.fromkeys(row.runner for row in rows))
    for place, (runner, colour) in enumerate(zip(runners, _COLOURS, strict=True)):
        for group, row in enumerate(_of(rows, runner)):
            position = group + (place - (len(runners) - 1) / 2) * _WIDTH
            bar = axes.bar(
                position,
                row.cost.wall_s,
                _WIDTH * 0.92,
                color=colour,
                hatch="///" if row.scaled else None,
                edgecolor="white",
                label=None if group else runner,
            )
            axes.bar_label(bar, fmt="%.0f", fontsize=8)
    axes.set_yscale("log")
    axes.set_ylim(bottom=1)
    axes.set_xticks(range(len(counts)), [f"{count} cases" for count in counts])
    axes.set_ylabel("wall seconds (logarithmic)")
    axes.set_title("Executing notebooks headlessly (hatched: scaled from the middle group)", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def describe(rows: list[Row]) -> str:
    """Return the plot in words."""
    groups = [
        f"{count} cases: " + ", ".join(f"{row.runner} {row.cost.wall_s:.0f}" for row in rows if row.cases == count)
        for count in sorted({row.cases for row in rows})
    ]
    return f"Bars of wall seconds. {'; '.join(groups)}."


def _of(rows: list[Row], runner: str) -> list[Row]:
    return sorted((row for row in rows if row.runner == runner), key=lambda row: row.cases)
