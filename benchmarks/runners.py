"""The runners: this project and four others, each as it is used, with its defaults."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import CommandFailed, Cost, measure

BIN = Path(sys.executable).parent
OURS = "scillm-smoke"
PAPERMILL = "papermill"
PARALLEL = ("nbmake -n 2", "nbval -n 2")  # the fastest of the others


@dataclass(frozen=True)
class Runner:
    """Be a way to execute the folder `notebooks`; `commands` makes what it takes, one after the other."""

    name: str
    commands: Callable[[list[Path]], list[list[str]]]


def execute(runner: Runner, notebooks: dict[str, str], folder: Path, environ: dict[str, str]) -> Cost:
    """Execute `notebooks` (texts by file name) in the empty `folder`, and return the cost. Raises CommandFailed."""
    (folder / "notebooks").mkdir()
    (folder / "out").mkdir()
    (folder / "pytest.ini").write_text("[pytest]\n")  # no other project's configuration applies
    for name, text in notebooks.items():
        (folder / "notebooks" / name).write_text(text)
    cost = measure(runner.commands([Path("notebooks", name) for name in notebooks]), folder, environ)
    if runner.name == OURS:
        _check_all_passed(folder / "out" / "results.json", len(notebooks))
    return cost


def _check_all_passed(results: Path, count: int) -> None:
    """Raise CommandFailed if a case was skipped: its exit status tells only of failures."""
    statuses = [case["status"] for case in json.loads(results.read_text(encoding="utf-8"))["cases"]]
    if statuses != ["passed"] * count:
        raise CommandFailed(f"{OURS} was to pass {count} notebooks: {statuses}")


def _ours(_: list[Path]) -> list[list[str]]:
    return [[str(BIN / "scillm-smoke"), "run", "--out", "out", "notebooks"]]


def _papermill(notebooks: list[Path]) -> list[list[str]]:
    return [[str(BIN / "papermill"), str(path), str(Path("out", path.name))] for path in notebooks]


def _nbconvert(notebooks: list[Path]) -> list[list[str]]:
    options = ["--to", "notebook", "--execute", "--output-dir", "out"]
    return [[str(BIN / "jupyter"), "nbconvert", *options, *map(str, notebooks)]]


def _pytest(*options: str) -> list[list[str]]:
    return [[str(BIN / "python"), "-m", "pytest", "-p", "no:cacheprovider", *options, "-n", "2", "notebooks"]]


RUNNERS = (
    Runner(OURS, _ours),
    Runner(PAPERMILL, _papermill),
    Runner(PARALLEL[0], lambda _: _pytest("--nbmake")),
    # Each cell is a test of its own: those of a notebook must stay in one process.
    Runner(PARALLEL[1], lambda _: _pytest("--nbval-lax", "--dist", "loadfile")),
    Runner("nbconvert --execute", _nbconvert),
)
