"""The temporary folder of a run: gone when the run ends, or where that was killed, with a later run."""

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from ..errors import UsageError

_PREFIX = "scillm-run-"


@contextmanager
def scratch() -> Iterator[Path]:
    """Yield a folder of this run alone. Raises UsageError where none can be made.

    A lock beside the folder, which goes with the process, tells other runs that it is in use.
    """
    sweep()
    folder, lock = _claimed(Path(tempfile.gettempdir()))
    try:
        yield folder
    finally:
        _discard(folder)
        lock.release()
        sweep()


def sweep() -> None:
    """Remove the folders of runs that have ended, killed perhaps, and in which no process works any more."""
    own = getattr(os, "geteuid", lambda: 0)()
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*.lock"):
        with suppress(OSError, Timeout):
            if path.lstat().st_uid == own:
                with FileLock(path, timeout=0):
                    _discard(path.with_suffix(""))


def in_use(folder: Path) -> bool | None:
    """Tell whether the working directory of a process is in `folder`; None where the system does not say."""
    if not os.path.exists("/proc/self/cwd"):
        return None
    return any(cwd == str(folder) or cwd.startswith(f"{folder}/") for cwd in _working_directories())


def remove(folder: Path) -> None:
    """Remove a folder, also where a notebook has taken permissions away."""
    shutil.rmtree(folder, ignore_errors=True)
    if not os.path.lexists(folder):
        return
    with suppress(OSError):
        folder.chmod(0o700)
    for parent, names, _ in os.walk(folder):
        for inner in (Path(parent, name) for name in names):
            if not inner.is_symlink():
                inner.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)


def _claimed(parent: Path) -> tuple[Path, FileLock]:
    """Return a new folder and its lock, which another run may hold for a moment to see whether it is in use."""
    while True:
        folder = parent / f"{_PREFIX}{secrets.token_hex(4)}"
        lock = FileLock(f"{folder}.lock", timeout=0, mode=0o600)
        try:
            lock.acquire()
            folder.mkdir(0o700)
        except (Timeout, FileExistsError):
            lock.release()
            continue
        except OSError as error:
            raise UsageError(
                f"{parent} cannot be written to ({error.strerror}); set TMPDIR to another folder."
            ) from error
        return folder, lock


def _discard(folder: Path) -> None:
    """Remove a folder and its lock, which this process holds, unless a process works in it."""
    if in_use(folder):
        return
    remove(folder)
    if not os.path.lexists(folder):
        Path(f"{folder}.lock").unlink(missing_ok=True)


def _working_directories() -> Iterator[str]:
    for process in os.listdir("/proc"):
        if process.isdecimal():
            with suppress(OSError):  # another user's, or gone
                yield os.readlink(f"/proc/{process}/cwd")
