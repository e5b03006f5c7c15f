"""An interrupted cell stops at once, though it awaits; and what it shows of the interrupt takes no time to write.

ipykernel has the event loop stop a cell that awaits, and does not wake the loop for that: while a stream is silent, or
the model has yet to answer, the cell would go on until something else comes, or LITELLM_TIMEOUT is over.

IPython looks through all modules, three thousand with LiteLLM, and parses every file that an exception came through:
in a stream twenty frames of LiteLLM, openai, httpx and httpcore. The cell would look busy for seconds after its
stream was closed.
"""

import asyncio
import signal
import socket
import sys
import threading
import weakref
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from .streaming import close_plain

# ipykernel turns Interrupt into the first in a plain cell, and into the second in one that awaits.
INTERRUPTS = (KeyboardInterrupt, asyncio.CancelledError)

_streams: weakref.WeakSet[Any] = weakref.WeakSet()


def closing(stream: Any) -> None:
    """Have an interrupt close a stream that the main thread reads with a plain `for`.

    One that falls between two reads would leave it open: nothing of HTTP is on the stack then, and LiteLLM keeps it.
    """
    if threading.current_thread() is threading.main_thread():
        _streams.add(stream)


def set_up() -> None:
    """Have this kernel stop at once, and show of an interrupt the lines of the user's own cells; elsewhere do nothing.

    A handler of custom exceptions, or a wakeup descriptor, that the user has set stays.
    """
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is not None and not shell.custom_exceptions:
        shell.set_custom_exc(INTERRUPTS, _show)
    loop = getattr(getattr(shell, "kernel", None), "io_loop", None)  # other kernels than ipykernel have none
    if loop is not None and threading.current_thread() is threading.main_thread():
        _wake_for_signals(loop)


def _wake_for_signals(loop: Any) -> None:
    """Have a signal wake tornado's `loop`. Source: `signal.set_wakeup_fd` in Python's documentation."""
    before = signal.set_wakeup_fd(-1)
    if before == -1:
        woken, waking = socket.socketpair()
        woken.setblocking(False)
        waking.setblocking(False)
        loop.add_handler(woken, lambda ready, _: ready.recv(4096), loop.READ)
        before = waking.detach()
    signal.set_wakeup_fd(before, warn_on_full_buffer=False)


def _show(
    shell: Any, kind: type[BaseException], error: BaseException, trace: TracebackType, tb_offset: int | None = None
) -> None:
    """Close what was being read, and show an interrupt (IPython calls this)."""
    for stream in list(_streams):
        close_plain(stream)
    _streams.clear()
    own = [step for step in _steps(trace) if step.tb_frame.f_globals is shell.user_global_ns] or [trace]
    # IPython leaves out the first of them.
    lines = _plain(shell.InteractiveTB, kind, error, _joined([own[0], *own]))
    # IPython writes an exception twice, to the page and to its history: both ask the exception first.
    error._render_traceback_ = lambda: lines  # type: ignore[attr-defined]
    # Else a stream that one of its frames holds would stay open as long as IPython remembers the exception.
    error.__cause__ = error.__context__ = trace.tb_next = None
    shell.showtraceback((kind, error, trace))


def _plain(writer: Any, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> list[str]:
    """Write a traceback in IPython's mode `Plain`: the others look through all modules."""
    usual = writer.mode
    writer.set_mode("Plain")
    try:
        return list(writer.structured_traceback(kind, error, trace, tb_offset=1))
    finally:
        writer.set_mode(usual)


def _steps(trace: TracebackType | None) -> Iterator[TracebackType]:
    while trace is not None:
        yield trace
        trace = trace.tb_next


def _joined(steps: list[TracebackType]) -> TracebackType | None:
    joined = None
    for step in reversed(steps):
        joined = TracebackType(joined, step.tb_frame, step.tb_lasti, step.tb_lineno)
    return joined
