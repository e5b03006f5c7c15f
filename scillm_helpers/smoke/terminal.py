"""The standard streams of a command: whatever becomes of them, the command goes on."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast


class _Enduring:
    """A text stream whose failures do not end the program: what cannot be written is dropped."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.error: OSError | None = None  # the first one, unless a reader merely stopped to read

    def write(self, text: str) -> int:
        """Write `text`."""
        with self._dropping():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush what was written."""
        with self._dropping():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextmanager
    def _dropping(self) -> Iterator[None]:
        try:
            yield
        except BlockingIOError:  # another program has made a shared pipe non-blocking, as Node.js does
            if sys.platform != "win32":
                os.set_blocking(self._stream.fileno(), True)
            self.flush()
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno != errno.EPIPE:
                self.error = self.error or error
            _to_nowhere(self._stream)


@contextmanager
def enduring() -> Iterator[list[OSError]]:
    """Have the standard streams take any text, and drop what cannot be written.

    Yields a list which, at the end, has the errors by which output was lost; a closed pipe is none.
    """
    _open_closed()
    streams = [_Enduring(_any_text(stream)) for stream in (sys.stdout, sys.stderr)]
    before = sys.stdout, sys.stderr
    lost: list[OSError] = []
    sys.stdout, sys.stderr = streams
    try:
        yield lost
    finally:
        for stream in streams:
            stream.flush()
        sys.stdout, sys.stderr = before
        lost += [stream.error for stream in streams if stream.error is not None]


def _any_text(stream: Any) -> TextIO:
    """Return the stream, with escapes in place of what its encoding cannot hold; a closed one as one that drops all."""
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")
    with suppress(AttributeError):  # pytest's own streams hold any text
        stream.reconfigure(errors="backslashreplace")
    return cast(TextIO, stream)


def _open_closed() -> None:
    """Open each standard descriptor that is closed, before a file of ours gets its number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free


def _to_nowhere(stream: TextIO) -> None:
    """Have the rest of what is written to a stream dropped, also what Python flushes at its end."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
