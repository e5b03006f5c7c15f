"""Make up runs: what came of cases on a night."""

from pathlib import Path
from typing import Any

from scillm_helpers.smoke import report
from scillm_helpers.smoke.files import Files
from scillm_helpers.smoke.history import History
from scillm_helpers.smoke.past import Past, PastRun
from scillm_helpers.smoke.redact import Redactor
from scillm_helpers.smoke.results import Case, CaseResult, Check, Reason, Run, Status, Usage

HISTORY = Path("runs", "history.sqlite")
COMMIT = "abc1234" + "0" * 33
LIMITED = Reason("rate_limit", "RateLimitError: too many requests", 3)


def case(
    name: str = "a", status: Status = "passed", ttft_s: float | None = 0.3, speed: float | None = 50.0, **more: Any
) -> CaseResult:
    """Return what came of a case; its model is `m`, and it fails for `rate_limit`."""
    planned = Case(name, Path(f"{name}.ipynb").absolute(), more.pop("parameters", {}), more.pop("model", "m"))
    reason = None if status == "passed" else LIMITED if status == "failed" else Reason(None, "not today")
    checks = (Check("chat", "works", None, ttft_s, speed),)
    return CaseResult(planned, status, 1.5, reason=reason, checks=checks, usage=Usage(2, 10, 20, None), **more)


def run(day: int, *results: CaseResult, **more: Any) -> Run:
    """Return the run of a night of November 2026."""
    given = {
        "id": f"202611{day:02}T030000Z",
        "started_at": f"2026-11-{day:02}T03:00:00+00:00",
        "seconds": 9.0,
        "endpoint": "embedded",
        "api_base": f"http://127.0.0.1:{40_000 + day}/v1",
        "backend": "litellm",
        "python": "3.11.7",
        "git_commit": COMMIT,
        "results": results,
    }
    return Run(**(given | more))


def write(folder: Path, *runs: Run) -> Path:
    """Write the `results.json` of these runs as `runs/` has them."""
    for one in runs:
        (folder / one.id).mkdir(parents=True)
        report.write_results(one, Files(folder / one.id, Redactor({})))
    return folder


def filled(path: Path, *runs: Run) -> Path:
    """Add these runs to the history at `path`."""
    with History.open(path) as history:
        history.add(*runs)
    return path


def past(*results: str, **more: Any) -> list[Past]:
    """Return the past of a case, a night for each word: a status, or `flaky` for what passed when tried again."""
    return [_past(day, word, **more) for day, word in enumerate(results, 1)]


def timed(*ttft_s: float | None, speeds: tuple[float, ...] = ()) -> list[Past]:
    """Return the past of a case that passed each night, with these times to first token, or these tokens per second."""
    return [_past(day, "passed", ttft_s=value) for day, value in enumerate(ttft_s, 1)] + [
        _past(day, "passed", tokens_per_s=value) for day, value in enumerate(speeds, 1)
    ]


def _past(day: int, word: str, commit: str | None = COMMIT, backend: str = "litellm", **more: Any) -> Past:
    made = run(day % 28 + 1)
    executed = PastRun(f"run-{day}", f"2026-{10 + day // 28:02}{made.started_at[7:]}", backend, "3.11.7", commit)
    if word == "flaky":
        return Past(executed, "passed", attempts=2, **more)
    status: Any = word
    return Past(executed, status, **more)
