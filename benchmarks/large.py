"""A run of 500 cases, and a past of 200 nights of which no two are alike; and what its report takes.

`python -m benchmarks.large` writes the report with `scillm-smoke report`, and prints the seconds of the
whole command and the report's bytes.
"""

import json
import random
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.measure import run as execute
from benchmarks.runners import BIN
from scillm_helpers.smoke import report
from scillm_helpers.smoke.files import Files
from scillm_helpers.smoke.history import History
from scillm_helpers.smoke.redact import Redactor
from scillm_helpers.smoke.results import Case, CaseResult, Check, Reason, Run, Status, Usage

CASES, NIGHTS = 500, 200
_STATUSES: tuple[Status, ...] = ("passed", "passed", "passed", "failed", "timeout", "skipped")
_FIRST = datetime(2026, 1, 1, 3, tzinfo=UTC)


def nights(cases: int = CASES, count: int = NIGHTS) -> list[Run]:
    """Return the runs of as many nights; the last one is the one to report."""
    chance = random.Random(1)
    return [_night(number, cases, chance) for number in range(count)]


def _night(number: int, cases: int, chance: random.Random) -> Run:
    started = (_FIRST + timedelta(days=number)).isoformat()
    results = tuple(_result(case, chance) for case in range(cases))
    where = ("live", "https://llm.example/v1", "litellm", "3.11.7", f"{number // 7:040x}")
    return Run(f"night-{number:03}", started, cases * 1.5, *where, results=results)


def _result(number: int, chance: random.Random) -> CaseResult:
    status = chance.choice(_STATUSES)
    model = f"provider/model-{number % 20}"
    case = Case(f"{number:03}_notebook@{model}", Path(f"{number:03}_notebook.ipynb"), {}, model)
    reason = Reason("assertion", f"AssertionError: {'x' * 100} of notebook {number}", 3)
    good = Check("streaming", "works", None, 0.2 + chance.random(), 40 + 20 * chance.random())
    return CaseResult(
        case,
        status,
        seconds=9.5,
        executed=f"notebooks/{number:03}.ipynb",
        reason=None if status == "passed" else reason,
        checks=(good if status == "passed" else Check("streaming", "fails", "assertion"),),
        usage=Usage(3, 999, 888, 999),
        cost_usd=0.01,
        started_s=number // 6 * 9.6,
        worker=1 + number % 6,
    )


def main() -> None:
    """Prepare the run and its history, and measure the command."""
    runs = nights()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        with History.open(Path(folder, "history.sqlite")) as history:
            history.add(*runs)
        here = Path(folder, "run")
        here.mkdir()
        report.write_results(runs[-1], Files(here, Redactor({})))
        began = time.perf_counter()
        execute([str(BIN / "scillm-smoke"), "report", "run", "--history", "history.sqlite"], Path(folder), {})
        seconds = time.perf_counter() - began
        print(json.dumps([round(seconds, 3), (here / "report.html").stat().st_size]))


if __name__ == "__main__":
    main()
