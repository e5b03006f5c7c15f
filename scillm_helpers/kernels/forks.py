"""What a process leaves to its parent when it is forked from an owner of kernels.

A fork has copies of the owner's descriptors and locks, and none of its other threads. A copy of a kernel's channel would
keep the kernel a zombie, one of a zygote's control socket would keep the zygote alive, and a lock that another thread
held would stay locked.
"""

import os
import threading
import weakref
from collections.abc import Callable
from typing import Protocol


class Closable(Protocol):
    """A holder of descriptors or locks, such as a socket."""

    def close(self) -> None:
        """Close what it holds in this process; what other processes hold stays open."""
        ...


# Hold this while a descriptor is open that `leave_to_parent` has not been given: no fork happens meanwhile.
lock = threading.RLock()
_left: weakref.WeakSet[Closable] = weakref.WeakSet()


def leave_to_parent(holder: Closable) -> None:
    """Close the copy of `holder` in each process that is forked from now on."""
    with lock:
        _left.add(holder)


def at_fork(in_child: Callable[[], None]) -> None:
    """Call `in_child` in each process that is forked from now on, after its copies are closed."""
    if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
        os.register_at_fork(after_in_child=in_child)


def _in_child() -> None:
    try:
        for holder in list(_left):
            holder.close()
        _left.clear()
    finally:
        lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=_in_child)
