"""How a kernel died, from what its process and its cgroup report."""

import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

_CGROUPS = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")


def how(process: Any, kills_before: int) -> str:
    """Return how the kernel of `process` died, as a main clause.

    `process` is a `subprocess.Popen` or a `KernelProcess`; `kills_before` is what `oom_kills` has returned while the
    kernel was alive.
    """
    status = None if process is None or getattr(process, "lost", False) else process.poll()
    if status is None:
        return "the kernel died"
    if status >= 0:
        return f"the kernel exited with status {status}"
    if status != -9:  # SIGKILL, which Windows lacks
        return f"the kernel was killed ({_name(-status)})"
    if oom_kills() > kills_before:
        return "the kernel was killed (SIGKILL) while the system's OOM killer was at work: it ran out of memory"
    return "the kernel was killed (SIGKILL), perhaps out of memory"


def oom_kills(own: Path = _OWN, cgroups: Path = _CGROUPS) -> int:
    """Return how many processes of this cgroup the system has killed for want of memory; 0 where it does not tell.

    Kernels are in the cgroup of their owner. Source: `memory.events` in the kernel's documentation of cgroup v2, and
    `memory.oom_control` in that of v1.
    """
    with suppress(OSError, ValueError):
        for line in own.read_text(encoding="utf-8").splitlines():
            number, controllers, path = line.split(":", 2)
            if number == "0":
                found = _counted(cgroups, path, "memory.events")
            elif "memory" in controllers.split(","):
                found = _counted(cgroups / "memory", path, "memory.oom_control")
            else:
                continue
            if found is not None:
                return found
    return 0


def _counted(mount: Path, path: str, name: str) -> int | None:
    """Return the count of a cgroup; in a container its path may be the host's, and the mount its own."""
    for folder in (mount / path.lstrip("/"), mount):
        with suppress(OSError):
            lines = (folder / name).read_text().splitlines()
            return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)
    return None


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"
