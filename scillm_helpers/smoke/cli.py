"""The command line: arguments, progress, exit status."""

import argparse
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from ..errors import EndpointError, SettingsError, UsageError
from ..settings import Settings, environment

INTERRUPTED = 130


def main(argv: list[str] | None = None) -> int:
    """Run a command and return its exit status.

    0: all passed or skipped. 1: something did not. 2: usage or configuration. 130: interrupted.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.command(arguments))
    except (UsageError, SettingsError, EndpointError) as error:
        print(f"scillm-smoke: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("scillm-smoke: interrupted", file=sys.stderr)
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scillm-smoke", description="Execute the notebooks and say what happened.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="execute notebooks headlessly and report", description=_run.__doc__)
    run.add_argument("notebooks", nargs="*", metavar="NOTEBOOK", help="a path or a name (default: all in notebooks/)")
    run.add_argument("-p", dest="parameters", action="append", default=[], metavar="NAME=VALUE", help="set a parameter")
    run.add_argument(
        "--model", dest="models", action="append", default=[], metavar="M", help="use this model; may be repeated"
    )
    run.add_argument(
        "--jobs", type=_jobs, default=os.cpu_count() or 1, metavar="N", help="notebooks at a time (default: the cores)"
    )
    run.add_argument(
        "--deadline", type=_seconds, default=120.0, metavar="S", help="seconds for one notebook (default: 120)"
    )
    run.add_argument("--out", type=Path, metavar="DIR", help="the run's folder (default: runs/<id>)")
    run.set_defaults(command=_run)

    serve = commands.add_parser("serve", help="serve the embedded endpoint", description=_serve.__doc__)
    serve.add_argument("--port", type=_port, default=0, metavar="N", help="a port on 127.0.0.1 (default: a free one)")
    serve.set_defaults(command=_serve)
    return parser


def _run(arguments: argparse.Namespace) -> int:
    """Execute notebooks headlessly with papermill, and write the executed copies, results.json and junit.xml."""
    from .plan import check_parameters, find_notebooks, make_cases, parse_parameters
    from .target import open_target

    environ = environment()
    settings = Settings.from_env(environ)
    settings.library()
    parameters = parse_parameters(arguments.parameters)
    notebooks = find_notebooks(arguments.notebooks)
    check_parameters(notebooks, parameters)
    with open_target(settings) as target:
        models = target.models(settings, arguments.models)
        cases = make_cases(notebooks, parameters, models)
        environs = {case.id: target.environ(environ, case, forced=bool(arguments.models)) for case in cases}
        head = {
            "endpoint": target.kind,
            "api_base": target.api_base,
            "backend": settings.library(),
            "python": platform.python_version(),
            "git_commit": _git_commit(),
        }
        return _execute(cases, environs, target.log_to, head, arguments)


def _execute(
    cases: list[Any],
    environs: dict[str, dict[str, str]],
    log_to: Any,
    head: dict[str, Any],
    arguments: argparse.Namespace,
) -> int:
    """Run the cases; whatever ends the run, what has finished is written and told."""
    from rich.console import Console

    from . import folder as run_folder
    from . import report
    from .progress import LiveProgress, show, totals
    from .results import Run
    from .suite import Suite

    folder = run_folder.create(arguments.out)
    log_to(folder / "requests.jsonl")
    suite = Suite(cases, folder, environs, arguments.deadline)
    started, started_at = time.perf_counter(), datetime.now(UTC).isoformat(timespec="seconds")

    def so_far() -> Run:
        seconds = round(time.perf_counter() - started, 3)
        return Run(folder.name, started_at, seconds, results=tuple(suite.results.values()), **head)

    console = Console(highlight=False, soft_wrap=True)
    counted = "1 case" if len(cases) == 1 else f"{len(cases)} cases, {arguments.jobs} at a time,"
    console.print(f"{counted} on the {head['endpoint']} endpoint")
    progress = LiveProgress(console, lambda: report.write(so_far(), folder))
    try:
        with progress:
            suite.run(arguments.jobs, progress)
        return 0 if so_far().good else 1
    finally:
        report.write(so_far(), folder)
        for result in so_far().results:
            if result.status == "not_run" and result.case.id not in progress.shown:
                show(result, console)
        console.print(f"{totals(so_far())}; see {_shown(folder)}/results.json")


def _serve(arguments: argparse.Namespace) -> int:
    """Serve the embedded endpoint until Ctrl-C; print the three lines that point a shell at it."""
    from ..endpoint import serve

    try:
        endpoint = serve.start(port=arguments.port)
    except OSError as error:
        raise UsageError(
            f"port {arguments.port} cannot be served ({os.strerror(error.errno or 0)}); choose another --port."
        ) from error
    for name, value in endpoint.environ.items():
        print(f"export {name}={value}", flush=True)
    try:
        endpoint.wait()
    finally:
        endpoint.stop()
    return 0


def _git_commit() -> str | None:
    git = shutil.which("git")
    if git is None:
        return None
    done = subprocess.run([git, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)  # noqa: S603 - fixed words
    return done.stdout.strip() or None


def _shown(folder: Path) -> Path:
    here = Path.cwd()
    return folder.relative_to(here) if folder.is_relative_to(here) else folder


def _interrupt(*_: object) -> NoReturn:
    """Treat SIGTERM like Ctrl-C, and hear either once: what follows is the cleaning up."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _jobs(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 64:
        raise argparse.ArgumentTypeError(f"{text} is not a number of notebooks at a time: 1 to 64")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 86_400:
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds: more than 0, up to 86400")
    return seconds


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"{text} is not a port: 0 to 65535")
    return int(text)
