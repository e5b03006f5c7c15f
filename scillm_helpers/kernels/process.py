"""The process of a forked kernel, as its owner has it."""

import json
import os
import select
import signal
import socket
import subprocess
import threading

from . import forks

_UNKNOWN = 255  # the exit status of a process that nobody could wait for, as in asyncio


class KernelProcess:
    """Be a forked kernel to its owner, as `subprocess.Popen` is one that was started."""

    stdin = stdout = stderr = None

    def __init__(self, pid: int, pidfd: int, channel: socket.socket) -> None:
        """Follow the kernel of `pid` and `pidfd`; its zygote tells on `channel` how it ended."""
        self.pid = pid
        self.returncode: int | None = None
        self.lost = False  # ended, and nobody can tell how
        self._pidfd = pidfd
        self._channel = channel
        self._lock = threading.Lock()
        forks.leave_to_parent(self)

    def poll(self) -> int | None:
        """Return the exit status, negative for a signal, or None while the kernel runs."""
        return self._wait(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait and return the exit status. Raises subprocess.TimeoutExpired after `timeout` seconds."""
        status = self._wait(timeout)
        if status is None:
            raise subprocess.TimeoutExpired("kernel", timeout or 0)
        return status

    def send_signal(self, number: int) -> None:
        """Send a signal to the kernel; nothing happens where it has ended."""
        if self.poll() is None:
            signal.pidfd_send_signal(self._pidfd, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def close(self) -> None:
        """Give up the kernel: how it ends stays unknown. A forked process does so, and leaves it to its parent."""
        self._lock = threading.Lock()  # the parent may have been waiting in another thread
        if self.returncode is None:
            self._end(None)

    def _wait(self, timeout: float | None) -> int | None:
        with self._lock:
            if self.returncode is None and readable(self._pidfd, timeout):
                self._end(self._told())
            return self.returncode

    def _end(self, status: int | None) -> None:
        with forks.lock:
            self.lost = status is None
            self.returncode = _UNKNOWN if status is None else status
            self._channel.close()
            os.close(self._pidfd)

    def _told(self) -> int | None:
        with self._channel.makefile("rb") as lines:
            line = lines.readline()  # empty where the zygote has died
        return int(json.loads(line)["exit"]) if line else None


def readable(descriptor: int, seconds: float | None) -> bool:
    """Tell whether a descriptor can be read from, as soon as it can, or after `seconds` (None: no limit)."""
    poll = select.poll()  # select.select knows only descriptors below 1024
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(None if seconds is None else max(0.0, seconds) * 1000))
