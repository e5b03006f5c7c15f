"""What a cell outputs, bounded in the kernel: the first and the last part are kept, and what was dropped is told.

An IPython extension, which the harness has each of its kernels load. Only in the kernel is there
time for it: a flood is written faster than any client can read it.
"""

import sys
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import zmq

from ..records import MIME_TYPE

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

KEPT = 1_000_000  # characters printed, in the first part and in the last
_DISPLAYED = 20  # and so many times as much for what is displayed: a few interactive plots are no flood
_OVERHEAD = 200  # what an output takes besides: a million empty ones are one

Message = dict[str, Any]  # as Jupyter's messaging protocol has it


class Outputs:
    """Bound the outputs of one cell after the other; any thread may call."""

    def __init__(self, kept: int = KEPT) -> None:
        """Keep about `kept` characters printed, or 20 times as many displayed, at the beginning and at the end."""
        self._kept = kept
        self._lock = threading.Lock()
        self._template: Message = {}  # the last message that was kept back tells whose cell it is
        self._restart()

    def take(self, message: Message) -> Message | None:
        """Return what of a message is to be sent now; None if it is kept back, all of it, for `finish`."""
        if MIME_TYPE in message["content"].get("data", {}):
            return message  # by its records a notebook is judged
        with self._lock:
            size = _size(message)
            if not self._last and self._first_size + size <= self._kept:
                self._first_size += size
                return message
            early = self._keep_back(message)
            self._template = message | {"content": {}}
            while self._last_size > self._kept + _OVERHEAD:
                oldest = self._last.popleft()
                self._last_size -= _size(oldest)
                self._dropped += _length(oldest)
            return early

    def finish(self) -> list[Message]:
        """Return what was kept back, and before it a message of how much was dropped (the cell has ended)."""
        with self._lock:
            last = list(self._last)
            if self._dropped:
                text = f"\n[scillm-smoke dropped {self._dropped:,} characters of output here]\n"
                last.insert(0, self._template | {"msg_type": "stream", "content": {"name": "stderr", "text": text}})
            self._restart()
            return last

    def _restart(self) -> None:
        self._first_size = self._last_size = self._dropped = 0
        self._last: deque[Message] = deque()

    def _keep_back(self, message: Message) -> Message | None:
        """Keep a message back; return the beginning of a text that the first part has room for."""
        early = None
        if message["msg_type"] == "clear_output":
            self._last.clear()
            self._last_size = self._dropped = 0
        elif message["msg_type"] == "stream":
            if not self._last:
                early, message = _split(message, max(0, self._kept - self._first_size))
                self._first_size = self._kept
            gone, message = _split(message, max(0, _length(message) - self._kept))
            self._dropped += _length(gone)
        self._last.append(message)
        self._last_size += _size(message)
        return early


def load_ipython_extension(shell: "InteractiveShell") -> None:
    """Bound what each cell outputs from now on."""
    kernel: Any = shell.kernel
    streams: tuple[Any, ...] = (sys.stdout, sys.stderr)
    outputs = Outputs()

    def hook_streams() -> None:
        """Hook the streams in the thread that sends, which hooks belong to."""
        for stream in streams:
            stream.register_hook(outputs.take)

    def lose_no_message(_: object) -> None:
        """Have a client that reads late find them all, even the cell's end.

        The option holds for the connections that there are, not for those that are made after it has been set.
        """
        kernel.iopub_thread.schedule(lambda: kernel.iopub_thread.socket.setsockopt(zmq.SNDHWM, 0))

    def send_last_part(_: object) -> None:
        for stream in streams:
            stream.flush()
        for message in outputs.finish():
            content, parent = message["content"], message["parent_header"]
            kernel.session.send(kernel.iopub_socket, message["msg_type"], content, parent=parent)

    def show_error(kind: type[BaseException], error: object, traceback: list[str]) -> None:
        show_traceback(kind, _cut(str(error)), [_cut(part) for part in traceback])

    show_traceback, shell._showtraceback = shell._showtraceback, show_error
    for stream in streams:
        stream.write = _throttled(stream)
    shell.history_manager.outputs = _Forgetting()
    kernel.iopub_thread.schedule(hook_streams)
    shell.display_pub.register_hook(outputs.take)
    shell.displayhook.register_hook(outputs.take)
    shell.events.register("pre_run_cell", lose_no_message)
    shell.events.register("post_run_cell", send_last_part)


class _Forgetting(dict[int, list[Any]]):
    """Take the place of IPython's memory of all that is printed, which is for its magic `%notebook`."""

    def __missing__(self, key: int) -> list[Any]:
        return []


def _throttled(stream: Any) -> Callable[[str], int | None]:
    """Return a `write` that waits for the thread that sends; ipykernel's own buffers gigabytes in a moment."""
    write, unsent = stream.write, 0

    def write_throttled(text: str) -> int | None:
        nonlocal unsent
        written: int | None = write(text)
        unsent += len(text)
        if unsent > KEPT:
            unsent = 0
            stream.flush()
        return written

    return write_throttled


def _length(message: Message) -> int:
    content = message["content"]
    if message["msg_type"] == "stream":
        return len(content["text"])
    return sum(len(str(value)) for value in content.get("data", {}).values())


def _size(message: Message) -> int:
    return _OVERHEAD + _length(message) // (1 if message["msg_type"] == "stream" else _DISPLAYED)


def _cut(text: str, kept: int = KEPT // 10) -> str:
    """Return a text without its middle, where it is longer than an exception's should be."""
    dropped = len(text) - 2 * kept
    if dropped <= 0:
        return text
    return f"{text[:kept]}\n[scillm-smoke dropped {dropped:,} characters here]\n{text[-kept:]}"


def _split(message: Message, at: int) -> tuple[Message, Message]:
    text = message["content"]["text"]
    first, second = (message | {"content": message["content"] | {"text": part}} for part in (text[:at], text[at:]))
    return first, second
