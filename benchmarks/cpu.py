"""CPU seconds of a process and of all that it starts."""

import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Where cgroup v2 is mounted: on a host that has v1 too, and on one that has only v2.
_MOUNTS = (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup"))
_LEAVING_SECONDS = 10.0


class CpuAccount:
    """Count CPU seconds in a control group; without one, those of the processes that were waited for."""

    def __init__(self, group: Path | None) -> None:
        """Count from now on, in the control group in folder `group`."""
        self._group = group
        self._before = _waited_for()

    def wrap(self, command: list[str]) -> list[str]:
        """Return the command that enters the control group and then becomes `command`."""
        if self._group is None:
            return command
        return ["sh", "-c", 'echo $$ > "$0" && exec "$@"', str(self._group / "cgroup.procs"), *command]

    def seconds(self) -> float:
        """Return the CPU seconds so far, user and system."""
        if self._group is None:
            return _waited_for() - self._before
        stat = dict(line.split() for line in (self._group / "cpu.stat").read_text().splitlines())
        return int(stat["usage_usec"]) / 1e6


@contextmanager
def open_account() -> Iterator[CpuAccount]:
    """Yield an account for one measurement. Raises RuntimeError if it leaves processes behind."""
    group = _make_group()
    try:
        yield CpuAccount(group)
    finally:
        if group is not None:
            _remove(group)


def method() -> str:
    """Tell how CPU seconds are counted on this machine."""
    group = _make_group()
    if group is None:
        return "rusage of the processes that were waited for"
    group.rmdir()
    return "a control group for each run"


def _make_group() -> Path | None:
    for mount in _MOUNTS:
        if (mount / "cgroup.procs").exists() and os.access(mount / "cgroup.procs", os.W_OK):
            group = mount / f"scillm-bench-{os.getpid()}"
            group.mkdir(exist_ok=True)
            return group
    return None


def _remove(group: Path) -> None:
    """Remove the group when its last process is gone: a kernel may outlive its runner by a moment."""
    deadline = time.monotonic() + _LEAVING_SECONDS
    while pids := (group / "cgroup.procs").read_text().split():
        if time.monotonic() > deadline:
            raise RuntimeError(f"a run has left processes behind: {', '.join(pids)}")
        time.sleep(0.05)
    group.rmdir()


def _waited_for() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
