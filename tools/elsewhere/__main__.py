"""Run the tests under each condition in turn, and report which test failed where.

    python -m tools.elsewhere [CONDITION ...] -- [PYTEST ARGUMENT ...]

Exit status: 0 where all tests passed, 1 where one failed or a condition that was named could not be made, 2 for a wrong
name, 130 if interrupted.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tools.elsewhere import outcomes
from tools.elsewhere.conditions import CONDITIONS, Condition, NotMadeError
from tools.elsewhere.outcomes import Outcome


def main(arguments: Sequence[str]) -> int:
    """Run the command line, and return its exit status."""
    own, pytest = _split(arguments)
    named = _parser().parse_args(own).conditions
    done: list[Outcome] = []
    try:
        for condition in [CONDITIONS[name] for name in named] or CONDITIONS.values():
            done.append(_outcome(condition, pytest))
    except KeyboardInterrupt:
        print("\nInterrupted; the table has what was done before.")
        status = 130
    else:
        status = int(any(outcome.red or (named and not outcome.made) for outcome in done))
    print(f"\n{outcomes.table(done)}")
    return status


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the arguments before `--`, and those after it, which are pytest's."""
    arguments = list(arguments)
    place = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:place], arguments[place + 1 :]


def _parser() -> argparse.ArgumentParser:
    meanings = "\n".join(f"  {name:<10} {condition.meaning}" for name, condition in CONDITIONS.items())
    parser = argparse.ArgumentParser(
        prog="python -m tools.elsewhere",
        usage="%(prog)s [CONDITION ...] -- [PYTEST ARGUMENT ...]",
        description="Run the tests under other conditions.",
        epilog=f"conditions (default: all)\n{meanings}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("conditions", nargs="*", metavar="CONDITION", type=_condition, help=argparse.SUPPRESS)
    return parser


def _condition(name: str) -> str:
    if name not in CONDITIONS:
        raise argparse.ArgumentTypeError(f"{name} is not a condition; choose from {', '.join(CONDITIONS)}")
    return name


def _outcome(condition: Condition, arguments: Sequence[str]) -> Outcome:
    """Run pytest under a condition."""
    print(f"\n== {condition.name}: {condition.meaning}", flush=True)
    with tempfile.TemporaryDirectory(prefix="elsewhere-") as folder:
        try:
            with condition.make(Path(folder)) as surroundings:
                surroundings.require()
                report = Path(folder) / "report.xml"
                begun = time.monotonic()
                process = surroundings.start(
                    "-m", "pytest", *arguments, f"--junitxml={report}", "-o", "junit_family=xunit1"
                )
                try:
                    status = process.wait()
                finally:
                    process.terminate()
                    process.wait()
                return outcomes.read(condition.name, report, status, time.monotonic() - begun)
        except NotMadeError as error:
            print(f"not made: {error}", flush=True)
            return Outcome(condition.name, str(error), made=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
