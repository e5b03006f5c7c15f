"""An error of this program itself: one line for the user, and its details in a file."""

import platform
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_LONGEST = 100_000  # characters of the details


def line(error: BaseException, file: Path | str | None) -> str:
    """Return what a user reads of an error of ours, whose details are in `file`."""
    where = f"{file} has the details, please report it." if file is not None else "please report it."
    return f"this is a bug of scillm-smoke ({type(error).__name__}); {where}"


def details(error: BaseException) -> str:
    """Return what is needed to find the cause of an error of ours; secrets may be in it."""
    try:
        found = version("scillm-notebooks")
    except PackageNotFoundError:
        found = "unknown"
    about = f"scillm-notebooks {found}, Python {platform.python_version()}, {platform.platform()}"
    return f"{about}\n\n{''.join(traceback.format_exception(error))[-_LONGEST:]}"


def report(error: BaseException) -> None:
    """Print the line for an error that belongs to no run, with its details in a temporary file."""
    try:
        file = _written(details(error))
    except Exception:  # noqa: BLE001 - nothing is left that could report it
        file = None
    print(f"scillm-smoke: {line(error, file)}", file=sys.stderr)


def _written(text: str) -> str:
    from .redact import Redactor

    clean = Redactor.of_environment().text(text).encode(errors="replace")
    with tempfile.NamedTemporaryFile(prefix="scillm-smoke-bug-", suffix=".txt", delete=False) as file:
        file.write(clean)
    return file.name


@contextmanager
def reported() -> Iterator[None]:
    """Report what Python would print a traceback of by itself: an error in a thread, or in a finalizer."""
    seen: set[str] = set()

    def once(error: BaseException | None) -> None:
        if error is not None and (known := repr(error)) not in seen:
            seen.add(known)
            report(error)

    before = threading.excepthook, sys.unraisablehook
    threading.excepthook = lambda raised: once(raised.exc_value)
    sys.unraisablehook = lambda raised: once(raised.exc_value)
    try:
        yield
    finally:
        threading.excepthook, sys.unraisablehook = before
