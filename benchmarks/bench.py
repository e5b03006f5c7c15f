"""Measure this project beside four other runners: `make bench`.

All in one go on one endpoint, so that whatever the machine does meets everybody.
"""

import argparse
import json
import signal
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from benchmarks import endpoint, machine, notebooks, report
from benchmarks.measure import CommandFailed, run
from benchmarks.notebooks import ROOT
from benchmarks.results import Plan, Results, Run
from benchmarks.runners import BIN, OURS, RUNNERS, Runner, execute

_HERE = Path(__file__).parent
_QUICK = Plan(tutorials=1, some=2, many=4, kernels=3, requests=50, rounds=1)


class Bench:
    """Measure, and keep every number as soon as it is there."""

    def __init__(self, plan: Plan, environ: dict[str, str], folder: Path, console: Console) -> None:
        """Prepare to measure with the endpoint of `environ`, and to write results.json into `folder`."""
        self.results = Results(machine.describe(), plan)
        self._environ = environ
        self._path = folder / "results.json"
        self._console = console

    def measure(self) -> None:
        """Measure everything. Raises CommandFailed where anything fails."""
        self._warm_up()
        for number in range(self.results.plan.rounds):
            self._tutorials(number)
            self._smoke()
            self._kernels()
            self._reports()
            self._requests()
            self._first_minutes()
        self._copies()

    def _warm_up(self) -> None:
        """Have the endpoint answer each kind of request once, so that it is not the first runner that waits for it."""
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            execute(RUNNERS[-1], notebooks.tutorials(self.results.plan.tutorials), Path(folder), self._environ)

    def _tutorials(self, number: int) -> None:
        for runner in _rotated(RUNNERS, number):
            self._execute(number, runner, notebooks.tutorials(self.results.plan.tutorials))

    def _copies(self) -> None:
        """Execute copies of one notebook: each other runner once, with this project beside it."""
        plan = self.results.plan
        for number, runner in enumerate(runner for runner in RUNNERS if runner.name != OURS):
            for count in (plan.some, plan.many):
                self._execute(number, RUNNERS[0], notebooks.one_calls(count))
            self._calls()
            self._execute(number, runner, notebooks.one_calls(plan.some))

    def _execute(self, number: int, runner: Runner, texts: dict[str, str]) -> None:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            cost = execute(runner, texts, Path(folder), self._environ)
        self.results.runs.append(Run(number, len(texts), runner.name, cost))
        self._keep(f"{len(texts):3} x {runner.name}: {cost.wall_s:.1f} s wall, {cost.cpu_s:.1f} s CPU")

    def _calls(self) -> None:
        seconds = float(self._program("calls", str(self.results.plan.many)))
        self.results.calls_s.append(round(seconds, 3))
        self._keep(f"{self.results.plan.many} calls by themselves: {seconds:.1f} s")

    def _smoke(self) -> None:
        """Measure `make smoke`, and the same command with the first tutorials only."""
        few = [ROOT / "notebooks" / name for name in notebooks.tutorials(self.results.plan.tutorials)]
        smoke = [str(BIN / "python"), "-m", "scillm_helpers.smoke", "run", *map(str, few)]
        for command, kept in ((smoke, self.results.smoke_s), (["make", "smoke"], self.results.suite_s)):
            began = time.perf_counter()
            run(command, ROOT, endpoint.keyless())
            kept.append(round(time.perf_counter() - began, 3))
        self._keep(f"make smoke: {self.results.suite_s[-1]:.1f} s, of {len(few)} {self.results.smoke_s[-1]:.1f} s")

    def _reports(self) -> None:
        """Measure what redaction takes of a run, and a large report."""
        self.results.redaction_s.append(json.loads(self._program("redaction", str(self.results.plan.many))))
        self._keep(f"redaction: {self.results.redaction_s[-1]} s, of its CPU and of the run's wall")
        self.results.large_report.append(json.loads(self._program("large")))
        self._keep(f"a large report: {self.results.large_report[-1]} s and bytes")

    def _requests(self) -> None:
        self.results.requests_ms.append(json.loads(self._program("stand_ins", str(self.results.plan.requests))))
        self._keep(f"a request that is not streamed: {self.results.requests_ms[-1]} ms")

    def _first_minutes(self) -> None:
        self.results.first_minutes_s.append(json.loads(self._program("first_minutes")))
        self._keep(f"import, and connect() in a warm kernel: {self.results.first_minutes_s[-1]} s")

    def _kernels(self) -> None:
        for name, kept in (("local-provisioner", self.results.cold_mb), ("scillm-warm", self.results.warm_mb)):
            kept.append(json.loads(self._program("kernels", name, str(self.results.plan.kernels))))
            self._keep(f"live kernels of {name}: {kept[-1]} MB")

    def _program(self, name: str, *arguments: str) -> str:
        """Run a module of this folder in a process of its own, and return the last line that it prints."""
        command = [str(BIN / "python"), "-m", f"benchmarks.{name}", *arguments]
        return run(command, ROOT, self._environ).splitlines()[-1]

    def _keep(self, line: str) -> None:
        self.results.write(self._path)
        self._console.print(line)


def _rotated(runners: tuple[Runner, ...], number: int) -> tuple[Runner, ...]:
    place = number % len(runners)
    return runners[place:] + runners[:place]


def main() -> int:
    """Measure, print, and write results.json, the table in README.md and the plot."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the endpoint ends with us
    parser = argparse.ArgumentParser(prog="benchmarks.bench", description=main.__doc__)
    parser.add_argument("--rounds", type=int, default=Plan.rounds, metavar="N", help="repetitions (default: 2)")
    parser.add_argument("--quick", action="store_true", help="try it out: a few cases, once, and nothing is kept")
    arguments = parser.parse_args()
    console = Console(highlight=False, width=110)  # also where there is no terminal: a table is not cut
    with tempfile.TemporaryDirectory() as scratch, endpoint.served() as environ:
        plan = _QUICK if arguments.quick else Plan(rounds=arguments.rounds)
        bench = Bench(plan, environ, Path(scratch) if arguments.quick else _HERE, console)
        try:
            bench.measure()
        except CommandFailed as error:
            console.print(f"benchmark: {error}", markup=False)
            return 1
    report.show(bench.results, console)
    if not arguments.quick:
        report.write(bench.results, _HERE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
