"""The command line: arguments, progress, exit status."""

import argparse
import os
import shlex
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from ..environment import environment
from ..errors import CassetteError, EndpointError, FaultError, RunError, SettingsError, UsageError
from . import bugs, extra, project, terminal, values
from .labels import label

INTERRUPTED = 130


def main(argv: list[str] | None = None) -> int:
    """Run a command and return its exit status.

    0: all passed or skipped. 1: something did not. 2: usage or configuration. 130: interrupted.
    """
    with terminal.enduring() as lost, bugs.reported():
        status = _status(argv)
    for error in lost:
        _say(f"the output could not be written ({error.strerror}).")
    return status or (1 if lost else 0)


def _status(argv: list[str] | None) -> int:
    for number in _endings():
        signal.signal(number, _interrupt)
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.command(arguments))
    except (UsageError, SettingsError, EndpointError, FaultError, CassetteError) as error:
        _say(str(error))
        return 2
    except RunError as error:
        _say(str(error))
        return 1
    except KeyboardInterrupt:
        _say("interrupted")
        return INTERRUPTED
    except ModuleNotFoundError as error:
        if not extra.missing():
            bugs.report(error)
            return 1
        _say(f"{error.name} is not installed; run: {extra.command(*(sys.argv[1:] if argv is None else argv))}")
        return 2
    except Exception as error:  # noqa: BLE001 - the last resort
        bugs.report(error)
        return 1


def _say(message: str) -> None:
    with suppress(OSError):
        print(f"scillm-smoke: {label(message)}", file=sys.stderr)


class _Parser(argparse.ArgumentParser):
    """A parser whose refusals repeat nothing that a terminal would obey."""

    def error(self, message: str) -> NoReturn:
        super().error(label(message))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="scillm-smoke", description="Execute the notebooks and say what happened.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="execute notebooks headlessly and report", description=_run.__doc__)
    run.add_argument("notebooks", nargs="*", metavar="NOTEBOOK", help="a path or a name (default: all in notebooks/)")
    run.add_argument("-p", dest="parameters", action="append", default=[], metavar="NAME=VALUE", help="set a parameter")
    run.add_argument(
        "--model",
        dest="models",
        action="append",
        default=[],
        metavar="M",
        help="use this model; may be repeated; `all` is every model that the endpoint lists",
    )
    run.add_argument(
        "--match",
        action="append",
        default=[],
        metavar="PATTERN",
        help="of --model all, those whose name matches, such as 'deepseek-ai/*'; may be repeated",
    )
    run.add_argument(
        "--jobs",
        type=values.jobs,
        default=3 * (os.cpu_count() or 1),
        metavar="N",
        help="notebooks at a time (default: three times the cores; they wait for the endpoint most of the time)",
    )
    run.add_argument(
        "--deadline", type=values.seconds, default=120.0, metavar="S", help="seconds for one notebook (default: 120)"
    )
    run.add_argument(
        "--cell-deadline", type=values.seconds, metavar="S", help="seconds for one cell (default: no limit)"
    )
    run.add_argument(
        "--retries",
        type=values.retries,
        default=0,
        metavar="N",
        help="try what failed for rate_limit, capacity, timeout or connection again, N times (default: 0)",
    )
    run.add_argument(
        "--max-tokens", type=values.tokens, metavar="N", help="start no case once the run has used N tokens"
    )
    run.add_argument(
        "--max-cost", type=values.cost, metavar="USD", help="start no case once the run has cost that much"
    )
    run.add_argument(
        "--price",
        nargs=2,
        type=values.dollars,
        metavar=("IN", "OUT"),
        help="US dollars for a million tokens of prompts and of replies (default: what LiteLLM knows of the model)",
    )
    run.add_argument("--out", type=values.folder, metavar="DIR", help="the run's folder (default: runs/<id>)")
    _add_history(run)
    run.add_argument("--resume", metavar="RUN", help="execute what has not passed in that run: its folder, or its id")
    run.set_defaults(command=_run)

    history = commands.add_parser("history", help="show how cases did over the nights", description=_history.__doc__)
    history.add_argument(
        "case", nargs="?", metavar="CASE", help="a case, or case@model: show its nights (default: all cases)"
    )
    _add_history(history)
    history.add_argument(
        "--import",
        dest="imports",
        nargs="+",
        type=values.path,
        default=[],
        metavar="PATH",
        help="add the runs of these results.json files or folders first",
    )
    history.set_defaults(command=_history)

    again = commands.add_parser("report", help="write the report of a run again", description=_report.__doc__)
    again.add_argument(
        "run", nargs="?", default="latest", metavar="RUN", help="its folder, or its id (default: latest)"
    )
    again.add_argument("--open", action="store_true", help="open it in the browser")
    _add_history(again)
    again.set_defaults(command=_report)

    doctor = commands.add_parser("doctor", help="find what is wrong", description=_doctor.__doc__)
    doctor.add_argument("--json", action="store_true", help="print it for machines")
    doctor.set_defaults(command=_doctor)

    serve = commands.add_parser("serve", help="serve the embedded endpoint", description=_serve.__doc__)
    serve.add_argument(
        "--port", type=values.port, default=0, metavar="N", help="a port on 127.0.0.1 (default: a free one)"
    )
    serve.add_argument(
        "--fault",
        dest="faults",
        action="append",
        default=[],
        metavar="NAME",
        help="have the next chat request meet this fault, such as 429 or cut; repeated, the one after it; `ok` is none",
    )
    serve.add_argument(
        "--model-fault",
        dest="model_faults",
        nargs=2,
        action="append",
        default=[],
        metavar=("MODEL", "NAME"),
        help="have each chat request for this model meet this fault; may be repeated",
    )
    serve.add_argument(
        "--record",
        type=values.folder,
        metavar="DIR",
        help="ask the live endpoint instead, and keep what it answers in cassettes in this folder",
    )
    serve.add_argument(
        "--replay", type=values.folder, metavar="DIR", help="answer from the cassettes of this folder instead"
    )
    serve.add_argument(
        "--timing", action="store_true", help="with --replay: have the parts of answers come when they came"
    )
    serve.set_defaults(command=_serve)

    init = commands.add_parser("init", help="write the notebooks and what they need", description=_init.__doc__)
    init.add_argument(
        "folder", nargs="?", type=values.folder, default=Path(), metavar="DIR", help="where to (default: here)"
    )
    init.set_defaults(command=_init)

    new = commands.add_parser("new", help="write a notebook in the suite's shape", description=_new.__doc__)
    new.add_argument("name", metavar="NAME", help="two digits and words, such as 11_embeddings")
    new.set_defaults(command=_new)

    check = commands.add_parser("check", help="say what notebooks lack", description=_check.__doc__)
    check.add_argument("notebooks", nargs="*", metavar="NOTEBOOK", help="a path or a name (default: all in notebooks/)")
    check.set_defaults(command=_check)
    return parser


def _add_history(command: argparse.ArgumentParser) -> None:
    where = project.runs() / "history.sqlite"
    command.add_argument(
        "--history", type=values.path, default=where, metavar="FILE", help=f"the results of all runs (default: {where})"
    )


def _run(arguments: argparse.Namespace) -> int:
    """Execute notebooks headlessly with papermill, and report what happened."""
    from . import warm

    _dump_no_core()
    environ = environment()
    if "PYTHONPATH" in environ:  # what is relative in it is meant from here, and not from each kernel's directory
        environ["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, environ["PYTHONPATH"].split(os.pathsep)))
    # First of all: its zygote has more to import than everything here.
    warm.start(environ)
    _spare_unused()

    from . import run

    return run.resume(arguments, environ) if arguments.resume is not None else run.start(arguments, environ)


def _history(arguments: argparse.Namespace) -> int:
    """Show pass rates and medians, since when a case fails, how often it was flaky, and what has become slower."""
    _spare_unused()
    from . import nightly

    return nightly.show(arguments)


def _report(arguments: argparse.Namespace) -> int:
    """Write report.html of an earlier run anew, with what the history knows by now."""
    _spare_unused()
    from . import publish

    return publish.again(arguments)


def _doctor(arguments: argparse.Namespace) -> int:
    """Check the environment, the way to the endpoint, and what it answers; name the first cause of what fails."""
    from ..doctor import command
    from .redact import Redactor
    from .secrets import secrets

    return command.run(arguments.json, lambda *environs: Redactor(secrets(*environs)).value)


def _serve(arguments: argparse.Namespace) -> int:
    """Serve the embedded endpoint until Ctrl-C; print the three lines that point a shell at it."""
    from . import serving

    try:
        server = serving.start(arguments)
    except OSError as error:
        raise UsageError(
            f"port {arguments.port} cannot be served ({os.strerror(error.errno or 0)}); choose another --port."
        ) from error
    try:
        for name, value in server.environ.items():
            print(f"export {name}={_quoted(value)}", flush=True)
        server.wait()
    finally:
        server.stop()
    return 0


def _init(arguments: argparse.Namespace) -> int:
    """Write the notebooks into a folder, with their requirements and the variables that they read; install what
    they import, where it is missing. A file that is there already is never changed."""
    _spare_unused()
    from .authoring import init

    return init.init(arguments)


def _quoted(value: str) -> str:
    """Return a value as a shell reads it, and with nothing in it that a terminal would obey: a model may have any name."""
    if value.isprintable():
        return shlex.quote(value)
    plain = value.replace("\\", r"\\").replace("'", r"\'")
    letters = (letter if letter.isprintable() else _as_bytes(letter) for letter in plain)
    return f"$'{''.join(letters)}'"


def _as_bytes(letter: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in letter.encode(errors="replace"))


def _new(arguments: argparse.Namespace) -> int:
    """Write notebooks/NAME.ipynb: title, parameters, sections, a real call, a record, recap. It runs as it is."""
    _spare_unused()
    from .authoring import new

    return new.new(arguments)


def _check(arguments: argparse.Namespace) -> int:
    """Say what notebooks lack, a line each: a section, parameters, a record, stored outputs of their code; a secret,
    a machine's path or an absolute URL to take out. Nothing is executed. Exit status 1 where anything is found."""
    _spare_unused()
    from .authoring import check

    return check.check(arguments)


def _spare_unused() -> None:
    """Have libraries do without what they import where it is installed, for a feature that is not used here.

    jsonschema compiles a grammar of URIs, for a format that no notebook's schema has: seconds. sqlite-utils has
    types of numpy and pandas, papermill notebooks on S3: half a second together, and more with pandas.
    """
    for name in ("rfc3987_syntax", "numpy", "pandas", "boto3"):
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]


def _dump_no_core() -> None:
    """Have no crash write this process's memory, or a kernel's, to the disk: the key is in it."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def _interrupt(*_: object) -> NoReturn:
    """Treat SIGTERM and SIGHUP like Ctrl-C, and hear any of them once: what follows is the cleaning up."""
    for number in _endings():
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _endings() -> list[signal.Signals]:
    """Return the signals that end a command; `nohup` has it ignore SIGHUP."""
    ignored = hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    hang_up = [signal.SIGHUP] if hasattr(signal, "SIGHUP") and not ignored else []
    return [signal.SIGINT, signal.SIGTERM, *hang_up]
