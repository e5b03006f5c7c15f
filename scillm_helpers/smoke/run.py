"""The command `run`: from its arguments to a run's folder and an exit status."""

import platform
import shutil
import subprocess
import sys
import time
from argparse import Namespace
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from ..errors import UsageError
from ..settings import Settings
from . import engine, history, report, warm
from . import folder as run_folder
from . import resume as earlier
from .plan import check_parameters, find_notebooks, make_cases, parse_parameters
from .progress import LiveProgress, show, totals
from .results import CaseResult, Run
from .suite import Bounds, Suite
from .target import Target, open_target

_REQUESTS = "requests.jsonl"


def start(arguments: Namespace, environ: dict[str, str]) -> int:
    """Run notebooks, and return the exit status."""
    settings = Settings.from_env(environ)
    backend = settings.library()
    parameters = parse_parameters(arguments.parameters)
    notebooks = find_notebooks(arguments.notebooks)
    check_parameters(notebooks, parameters)
    history.check(arguments.history)
    with open_target(settings) as target:
        cases = make_cases(notebooks, parameters, target.models(settings, arguments.models))
        folder = run_folder.create(arguments.out, {notebook.parent for notebook in notebooks})
        run = Run(
            id=run_folder.run_id(folder, arguments.out),
            started_at=datetime.now(UTC).isoformat(timespec="seconds"),
            seconds=0.0,
            endpoint=target.kind,
            api_base=target.api_base,
            backend=backend,
            python=platform.python_version(),
            git_commit=_git_commit(),
            models=tuple(arguments.models),
            results=tuple(CaseResult.planned(case) for case in cases),
        )
        with run_folder.held(folder):
            (folder / _REQUESTS).unlink(missing_ok=True)  # an earlier run's, in the same --out
            return _execute(run, folder, target, environ, arguments)


def resume(arguments: Namespace, environ: dict[str, str]) -> int:
    """Execute what has not passed in an earlier run, in its folder, and return the exit status."""
    if arguments.notebooks or arguments.parameters or arguments.models or arguments.out:
        raise UsageError("--resume has its notebooks, parameters, models and folder from the run; leave them out.")
    folder, run = earlier.find(arguments.resume)
    settings = Settings.from_env(environ)
    history.check(arguments.history)
    with open_target(settings) as target:
        earlier.check_target(run, target, settings.library(), target.models(settings, list(run.models)))
        now = replace(
            run,
            api_base=target.api_base,
            python=platform.python_version(),
            git_commit=_git_commit(),
            results=tuple(earlier.remaining(run, folder)),
        )
        with run_folder.held(folder):
            return _execute(now, folder, target, environ, arguments)


def _execute(run: Run, folder: Path, target: Target, environ: dict[str, str], arguments: Namespace) -> int:
    """Execute what of the run is not done; whatever ends it, what has finished is written and told."""
    console = Console(highlight=False, soft_wrap=True)
    environs = {result.case.id: target.environ(environ, result.case, forced=bool(run.models)) for result in run.results}
    bounds = Bounds(arguments.deadline, arguments.cell_deadline, arguments.retries)
    suite = Suite(list(run.results), folder, environs, bounds)
    began = time.perf_counter()

    def so_far() -> Run:
        seconds = round(run.seconds + time.perf_counter() - began, 3)
        return replace(run, seconds=seconds, results=tuple(suite.results.values()))

    target.log_to(folder / _REQUESTS)
    todo = [result for result in run.results if result.status == "not_run"]
    console.print(_headline(len(todo), len(run.results), arguments.jobs, target.kind))
    report.write_results(so_far(), folder)
    progress = LiveProgress(console, lambda: report.write_results(so_far(), folder))
    try:
        with progress:
            if todo:
                engine.prepare()
                warm.wait()
            suite.run(arguments.jobs, progress)
        return 0 if so_far().good else 1
    finally:
        report.write_results(so_far(), folder)
        report.write_junit(so_far(), folder)
        for result in so_far().results:
            if result.status == "not_run" and result.case.id not in progress.shown:
                show(result, console)
        console.print(f"{totals(so_far())}; see {_shown(folder)}/results.json")
        _remember(so_far(), arguments.history, folder)


def _remember(run: Run, path: Path, folder: Path) -> None:
    """Add a run to the history. What it has found holds without, so that its exit status stays."""
    try:
        with history.History.open(path) as known:
            known.add(run)
    except UsageError as error:
        remedy = f"add this run with scillm-smoke history --import {_shown(folder)}"
        print(f"scillm-smoke: {error} Then {remedy}.", file=sys.stderr)


def _headline(todo: int, planned: int, jobs: int, kind: str) -> str:
    cases = "1 case" if todo == 1 else f"{todo} cases"
    of = "" if todo == planned else f" of {planned}"
    at_a_time = f", {jobs} at a time," if todo > 1 else ""
    return f"{cases}{of}{at_a_time} on the {kind} endpoint"


def _git_commit() -> str | None:
    git = shutil.which("git")
    if git is None:
        return None
    done = subprocess.run([git, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)  # noqa: S603 - fixed words
    return done.stdout.strip() or None


def _shown(folder: Path) -> Path:
    here = Path.cwd()
    return folder.relative_to(here) if folder.is_relative_to(here) else folder
