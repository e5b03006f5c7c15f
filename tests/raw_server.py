"""A server that writes bytes as a test dictates, below the level of HTTP: what no well-behaved library would send."""

import gzip
import itertools
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
Script = Callable[[threading.Event], Iterable[bytes]]  # the event is set when the test is over


@dataclass
class RawServer:
    """Answer each request with the bytes of `script`, and count them."""

    address: str
    script: Script
    sent: int = 0
    requests: list[bytes] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    _open: set[int] = field(default_factory=set)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def left(self) -> bool:
        """Tell whether every client hangs up."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._open, 60)

    def accept(self, listener: socket.socket) -> None:
        """Serve clients until the listener is closed."""
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with self._changed:
                self._open.add(connection.fileno())
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            read = b""
            while b"\r\n\r\n" not in read:
                if not (part := connection.recv(65536)):
                    break
                read += part
            self.requests.append(read)
            threading.Thread(target=self._notice, args=(connection,), daemon=True).start()
            for part in self.script(self.over):
                connection.sendall(part)
                self.sent += len(part)
            if self.over.is_set():
                return
            connection.shutdown(socket.SHUT_WR)
            self.over.wait()

    def _notice(self, connection: socket.socket) -> None:
        """Notice that a client has hung up."""
        number = connection.fileno()
        with suppress(OSError):
            while connection.recv(65536):
                pass
        with self._changed:
            self._open.discard(number)
            self._changed.notify_all()


@contextmanager
def serving(script: Script) -> Iterator[RawServer]:
    """Serve a script on 127.0.0.1 until the block ends."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = RawServer(f"http://127.0.0.1:{listener.getsockname()[1]}", script)
    threading.Thread(target=server.accept, args=(listener,), daemon=True).start()
    try:
        yield server
    finally:
        server.over.set()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)  # wakes `accept` on Linux
        listener.close()


def dripping(whole: bytes, seconds: float = 0.05) -> Script:
    """Return a script that sends `whole`, then a space now and then, for ever."""

    def script(over: threading.Event) -> Iterator[bytes]:
        yield whole
        while not over.wait(seconds):
            yield b" "

    return script


def flooding(head: bytes, part: bytes) -> Script:
    """Return a script that sends `part` without end."""
    return lambda over: itertools.chain(
        [head], itertools.takewhile(lambda _: not over.is_set(), itertools.repeat(part))
    )


def silent(over: threading.Event) -> Iterator[bytes]:
    """Send nothing, and keep the connection open."""
    over.wait()
    yield b""


def sending(whole: bytes) -> Script:
    """Return a script that sends `whole` and closes the connection."""
    return lambda over: [whole]


def redirecting(over: threading.Event) -> Iterator[bytes]:
    """Send every client to the same place again."""
    yield b"HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@cache
def bomb(size: int) -> bytes:
    """Return a reply of some kilobytes that decodes to `size` bytes."""
    packed = gzip.compress(bytes(size))
    return HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed) + packed


CHUNK = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
# What never ends, however long a reader waits.
ENDLESS: dict[str, Script] = {
    "silence": silent,
    "a status line that drips": dripping(b"HTTP/1.1 200 "),
    "a header that drips": dripping(HEAD + b"X-Header: a"),
    "a body that drips": dripping(HEAD + b"Content-Length: 9999999\r\n\r\n"),
    "a body without length that drips": dripping(HEAD + b"Connection: close\r\n\r\n"),
    "a chunk size that drips": dripping(HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;"),
    "interim answers": flooding(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
}
# What exceeds any memory, however fast it is read.
HUGE: dict[str, Script] = {
    "a header without end": flooding(HEAD + b"X-Header: ", b"a" * 65536),
    "headers without end": flooding(HEAD, b"X-Header: a\r\n" * 1000),
    "a body without end": flooding(HEAD + b"Connection: close\r\n\r\n", b" " * 65536),
    "a body of a claimed length": flooding(HEAD + b"Content-Length: 99999999999\r\n\r\n", b" " * 65536),
    "chunks without end": flooding(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", CHUNK),
    "a gzip bomb": lambda over: [bomb(400_000_000)],
}
