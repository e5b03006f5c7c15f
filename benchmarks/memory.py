"""Memory of a process and of all that it has started, as PSS: what processes share is counted once."""

import threading
import time
from types import TracebackType

import psutil

_INTERVAL = 0.2  # seconds between two samples
_SHARE = 0.03  # of one core, at most, that sampling may take: reading the PSS of a big process takes milliseconds


def pss_of_tree(root: psutil.Process) -> float:
    """Return the PSS in MB (10^6 bytes) of `root` and all its descendants."""
    try:
        processes = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    return sum(_pss(process) for process in processes) / 1e6


class PeakMemory:
    """Sample the PSS of a process tree in a thread, and keep the highest, in `mb`."""

    def __init__(self) -> None:
        self.mb = 0.0
        self.root: psutil.Process | None = None  # the process to sample; another one may follow
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> "PeakMemory":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()

    def _sample(self) -> None:
        pause = _INTERVAL
        while not self._done.wait(pause):
            began = time.thread_time()
            if self.root is not None:
                self.mb = max(self.mb, pss_of_tree(self.root))
            pause = max(_INTERVAL, (time.thread_time() - began) / _SHARE)


def _pss(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except (psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
        return 0  # it has ended since it was listed
