"""The command `run`: from its arguments to a run's folder and an exit status."""

import platform
import shutil
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from ..errors import RunError, UsageError
from ..prices import FREE, Price, known_price
from ..settings import Settings
from . import engine, history, report, warm
from . import folder as run_folder
from . import resume as earlier
from .budget import Budget
from .files import Files
from .forecast import forecast
from .labels import label, label_of
from .places import Places
from .plan import check_parameters, find_notebooks, make_cases, parse_parameters
from .progress import LiveProgress, totals
from .publish import publish
from .redact import Redactor, tell_not_redacted
from .results import CaseResult, Run
from .scratch import scratch
from .secrets import secret_parameters
from .story import Story, story
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
    run_folder.check(arguments.out)
    earlier.check_replaceable(arguments.out)
    history.check(arguments.history)
    with open_target(settings) as target:
        models = target.models(settings, arguments.models, arguments.match)
        redactor = _redactor(target, parameters)
        cases = make_cases(notebooks, parameters, models, redactor.text)
        prices = _prices(arguments, target, models)
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
            models=tuple(models if arguments.models else ()),
            results=tuple(CaseResult.planned(case) for case in cases),
        )
        with run_folder.held(folder), scratch() as own:
            for old in (folder / _REQUESTS, *folder.glob("bug-*.txt")):  # an earlier run's, in the same --out
                old.unlink(missing_ok=True)
            return _execute(run, Files(folder, redactor), Places(own), target, environ, arguments, prices)


def resume(arguments: Namespace, environ: dict[str, str]) -> int:
    """Execute what has not passed in an earlier run, in its folder, and return the exit status."""
    if arguments.notebooks or arguments.parameters or arguments.models or arguments.match or arguments.out:
        raise UsageError("--resume has its notebooks, parameters, models and folder from the run; leave them out.")
    folder, run = earlier.find(arguments.resume)
    earlier.check(run, folder)
    run_folder.check(folder)
    settings = Settings.from_env(environ)
    history.check(arguments.history)
    with open_target(settings) as target:
        earlier.check_target(run, folder, target, settings.library(), target.models(settings, list(run.models)))
        prices = _prices(arguments, target, sorted({result.case.model for result in run.results}))
        now = replace(
            run,
            api_base=target.api_base,
            python=platform.python_version(),
            git_commit=_git_commit(),
            results=tuple(earlier.remaining(run, folder)),
        )
        with run_folder.held(folder), scratch() as own:
            files = Files(folder, _redactor(target, {}))
            return _execute(now, files, Places(own), target, environ, arguments, prices)


def _execute(
    run: Run,
    files: Files,
    places: Places,
    target: Target,
    environ: dict[str, str],
    arguments: Namespace,
    prices: Mapping[str, Price | None],
) -> int:
    """Execute what of the run is not done; whatever ends it, what has finished is written and told."""
    console = Console(highlight=False, soft_wrap=True)
    environs = {result.case.id: target.environ(environ, result.case, forced=bool(run.models)) for result in run.results}
    budget = Budget(arguments.max_tokens, arguments.max_cost)
    bounds = Bounds(arguments.deadline, arguments.cell_deadline, arguments.retries, budget, prices)
    began = time.perf_counter() - run.seconds
    suite = Suite(list(run.results), files, places, environs, bounds, began)

    told = report.redacted(replace(run, results=()), files.redactor)

    def so_far() -> Run:
        seconds = round(time.perf_counter() - began, 3)
        return replace(told, seconds=seconds, results=tuple(suite.results.values()))

    target.log_to(files.folder / _REQUESTS, files.redactor)
    todo = [result.case for result in run.results if result.status == "not_run"]
    console.print(_headline(len(todo), len(run.results), arguments.jobs, target.kind))
    if target.kind == "live" and todo:
        with history.History.open(arguments.history) as known:
            console.print(forecast(todo, known, prices))
    written = report.ResultsFile(files)
    written.write(so_far())
    cases = [result.case for result in suite.results.values()]
    progress = LiveProgress(console, cases, lambda: written.write(so_far()))
    try:
        with progress:
            if todo:
                engine.prepare()
                warm.wait()
            suite.run(arguments.jobs, progress)
    finally:
        _conclude(so_far(), files, arguments.history, progress)
    return 0 if so_far().good and not files.bugs else 1


def _conclude(run: Run, files: Files, path: Path, progress: LiveProgress) -> None:
    """Write and print what came of a run, whatever has ended it: each part also where another fails."""
    folder = run_folder.shown(files.folder)
    past: list[Story] = []
    steps: list[Callable[[], object]] = [
        lambda: report.write_results(run, files),
        lambda: report.write_junit(run, files),
        lambda: past.append(_remember(run, path, files.folder)),
        lambda: publish(run, files, past[0] if past else Story()),
        lambda: progress.conclude(run),
        lambda: progress.console.print(f"{totals(run)}; see {label_of(folder)}/report.html", markup=False),
    ]
    for step in steps:
        try:
            step()
        except RunError:
            raise
        except Exception as error:  # noqa: BLE001 - the last resort
            print(f"scillm-smoke: {files.write_bug(error)}", file=sys.stderr)


def _remember(run: Run, path: Path, folder: Path) -> Story:
    """Add a run to the history, and return what that makes of it. A history that fails changes no exit status."""
    try:
        with history.History.open(path) as known:
            known.add(run)
            return story(run, known.past_of(run))
    except UsageError as error:
        remedy = f"add this run with scillm-smoke history --import {run_folder.shown(folder)}"
        print(f"scillm-smoke: {label(f'{error} Then {remedy}.')}", file=sys.stderr)
        return Story()


def _redactor(target: Target, parameters: Mapping[str, Any]) -> Redactor:
    """Return what takes every secret out that the run may meet, and tell of what it cannot find."""
    tell_not_redacted()
    return Redactor.of_environment(secret_parameters(parameters) | {target.api_key: "CHUTES_API_KEY"})


def _prices(arguments: Namespace, target: Target, models: list[str]) -> dict[str, Price | None]:
    """Return what each model costs. Raises UsageError where the budget depends on a price that is not known."""
    if arguments.price is not None:
        return dict.fromkeys(models, Price(*arguments.price))
    if target.kind == "embedded":
        return dict.fromkeys(models, FREE)
    prices = {model: known_price(model, target.api_base) for model in models}
    if arguments.max_cost is not None and (unknown := [model for model in models if prices[model] is None]):
        raise UsageError(f"the price of {unknown[0]} is not known; give --price IN OUT, or use --max-tokens.")
    return prices


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
