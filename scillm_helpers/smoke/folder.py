"""The folder of a run: `runs/<id>`, with `runs/latest` pointing to the newest."""

import os
import secrets
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from filelock import FileLock, Timeout

from .. import atomic
from ..errors import UsageError
from . import project

_LOCK = ".lock"
_ROOM = 1_000_000  # bytes that must be free to begin with: the reports of a small run


def check(out: Path | None) -> None:
    """Raise UsageError where a run's folder cannot be created and filled, before anything is done for it."""
    wanted = (out or project.runs()).absolute()
    _check_room(lambda: _nearest(wanted), "choose another --out.")
    _check_room(lambda: Path(tempfile.gettempdir()), "set TMPDIR to another folder.")  # where a case works


def _nearest(wanted: Path) -> Path:
    """Return the path, or the nearest folder above it that exists. Raises OSError for a path that no file system takes.

    (`Path.exists` raises it only before Python 3.14.)
    """
    for path in (wanted, *wanted.parents):
        with suppress(FileNotFoundError, NotADirectoryError):
            path.stat()
            return path
    raise AssertionError("unreachable")


def _check_room(find: Callable[[], Path], remedy: str) -> None:
    folder: Path | str = "the folder"
    try:
        folder = find()
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(_ROOM))
            file.flush()
    except OSError as error:
        raise UsageError(f"{folder} cannot be written to ({error.strerror}); {remedy}") from error


def create(out: Path | None, sources: Collection[Path]) -> Path:
    """Create the folder of a run, `out` or a new one in `runs/`.

    Raises UsageError where it cannot be written to, or where the executed copies would replace what is in `sources`.
    """
    if out is not None and (out / "notebooks").resolve() in sources:
        raise UsageError(
            f"{out / 'notebooks'} has the notebooks, and the executed copies go there; choose another --out."
        )
    try:
        folder = _new() if out is None else out
        atomic.make_folder(folder / "notebooks", exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        if out is None:
            _point_latest(folder)
    except OSError as error:
        raise UsageError(
            f"{error.filename2 or error.filename or out or project.runs()} cannot be written to ({error.strerror}); choose another --out."
        ) from error
    return folder.resolve()


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep other runs out of a run's folder; the lock goes with the process. Raises UsageError where one is in it."""
    try:
        # filelock sets a mode whatever the umask.
        open(folder / _LOCK, "a", encoding="utf-8", opener=atomic.opener(folder)).close()
        with FileLock(folder / _LOCK, timeout=0):
            yield
    except Timeout as error:
        raise UsageError(f"{folder} is in use by a run; wait for it, or choose another --out.") from error


def run_id(folder: Path, out: Path | None) -> str:
    """Return the name that tells a run apart: its folder's in `runs/`, else the moment and a random suffix."""
    return folder.name if out is None else f"{_moment()}-{secrets.token_hex(2)}"


def _new() -> Path:
    stamp = _moment()
    for number in count(1):
        folder = project.runs() / (stamp if number == 1 else f"{stamp}-{number}")
        try:
            atomic.make_folder(folder)
        except FileExistsError:
            continue
        return folder
    raise AssertionError("unreachable")


def _moment() -> str:
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")


def _point_latest(folder: Path) -> None:
    """Replace the link at one stroke, so that a reader always finds one."""
    latest = folder.parent / "latest"
    if sys.platform == "win32":  # which has no such stroke, and makes symbolic links for few users only
        import _winapi

        with suppress(FileNotFoundError):
            latest.rmdir()  # the link, and not the run that it leads to
        _winapi.CreateJunction(str(folder.absolute()), str(latest.absolute()))
        return
    link = folder.parent / f".latest-{folder.name}"
    link.symlink_to(folder.name, target_is_directory=True)
    os.replace(link, latest)


def shown(folder: Path) -> Path:
    """Return a path as a user names it: relative to the working directory, where it is in the project."""
    return Path(os.path.relpath(folder)) if folder.is_relative_to(project.home().resolve()) else folder
