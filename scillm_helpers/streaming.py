"""Chunks -> text: throttled, timed, always closed, never silently cut."""

import inspect
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, Self

from .errors import StreamCutError, StreamError
from .kinds import is_cut


class TextStream:
    """Read a streamed reply as pieces of text, and close it on every way out.

        async with TextStream(acompletion(**llm.kwargs, messages=messages, stream=True)) as stream:
            async for text in stream:
                print(text, end="")

    `source` is the stream, or what gives it: the un-awaited call, or a function without
    arguments. Then the time to first token counts from the call, as it should. `with` and `for`
    read the stream of a plain `completion`.

    At most `max_chunks` pieces of text are read; then the stream is closed.

    Iterating raises StreamError where the stream breaks and StreamCutError where it ends without
    a finish reason; both keep in `.text` what had arrived.
    """

    def __init__(self, source: Any, max_chunks: int | None = None) -> None:
        if max_chunks is not None and max_chunks < 1:
            raise ValueError(f"max_chunks is {max_chunks}; it must be at least 1, or None for all")
        self._source = source
        self._max_chunks = max_chunks
        self._stream: Any = None
        self._is_routed = False
        self._started: float | None = None
        self._first: float | None = None
        self._last: float | None = None
        self._seen_finish_reason: str | None = None
        self.text = ""
        self.chunks = 0  # pieces of text so far
        self.usage: Any = None  # the provider's own count: ask for it with stream_options={"include_usage": True}

    @property
    def finish_reason(self) -> str | None:
        """Return why the provider ended the reply, or None where it has not said.

        LiteLLM up to 1.108 adds a finish reason of its own, "stop", to a stream that was cut without one (newer versions raise);
        what the provider really sent stands in an attribute of its stream. (Of a stream that comes
        through LiteLLM's Router it stands nowhere: there a clean cut looks like an end.)
        """
        if hasattr(self._stream, "received_finish_reason") and not self._is_routed:
            received = self._stream.received_finish_reason or self._stream.intermittent_finish_reason
            return self._seen_finish_reason if received else None
        return self._seen_finish_reason

    @property
    def is_counted(self) -> bool:
        """Tell whether `usage` is the provider's own count: where none came, LiteLLM fills in what it estimates."""
        chunks = getattr(self._stream, "chunks", None)  # as they came, which LiteLLM's stream keeps
        return self.usage is not None and (chunks is None or any(field_of(chunk, "usage") for chunk in chunks))

    @property
    def ttft_s(self) -> float | None:
        """Return the time to first token in seconds, or None before there is one."""
        return None if self._first is None or self._started is None else self._first - self._started

    @property
    def completion_tokens(self) -> int:
        """Return the tokens of the reply: as the provider counts them, else one a piece of text."""
        return self.chunks if self.usage is None else int(field_of(self.usage, "completion_tokens"))

    @property
    def tokens_per_s(self) -> float | None:
        """Return the tokens per second after the first one, or None where fewer than two came."""
        if self._first is None or self._last is None or self._last == self._first:
            return None
        return (self.completion_tokens - 1) / (self._last - self._first)

    async def __aenter__(self) -> Self:
        self._started = time.perf_counter()
        opened = self._source() if callable(self._source) else self._source
        self._stream = await opened if inspect.isawaitable(opened) else opened
        self._is_routed = _is_routed(self._stream)
        if not hasattr(self._stream, "__aiter__"):
            raise TypeError("this is no stream to read with `async for`; call acompletion with stream=True")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __enter__(self) -> Self:
        self._started = time.perf_counter()
        self._stream = self._source() if callable(self._source) else self._source
        self._is_routed = _is_routed(self._stream)
        if not hasattr(self._stream, "__iter__"):
            raise TypeError("this stream is not read with a plain `with` and `for`; use `async with` and `async for`")
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aiter__(self) -> AsyncIterator[str]:
        if self._stream is None:
            await self.__aenter__()
        try:
            async for chunk in self._stream:
                if text := self._take(chunk):
                    yield text
                if self._throttled():
                    return
        except Exception as error:
            raise self._broken(error) from error
        finally:
            await self.aclose()
        self._require_finish_reason()

    def __iter__(self) -> Iterator[str]:
        if self._stream is None:
            self.__enter__()
        try:
            for chunk in self._stream:
                if text := self._take(chunk):
                    yield text
                if self._throttled():
                    return
        except Exception as error:
            raise self._broken(error) from error
        finally:
            self.close()
        self._require_finish_reason()

    async def aclose(self) -> None:
        """Close the connection, whether or not the reply has ended. Closing twice does no harm."""
        # LiteLLM's streams have `aclose`, OpenAI's an async `close`.
        if close := getattr(self._stream, "aclose", None) or getattr(self._stream, "close", None):
            closing = close()
            if inspect.isawaitable(closing):
                await closing

    def close(self) -> None:
        """Close the connection of a stream that is read without await. Closing twice does no harm."""
        close_plain(self._stream)

    def _take(self, chunk: Any) -> str:
        """Count a chunk and return its text: "" for one that has only a role, a reason or the usage."""
        self.usage = field_of(chunk, "usage") or self.usage
        choices = field_of(chunk, "choices")
        if not choices:
            return ""
        self._seen_finish_reason = field_of(choices[0], "finish_reason") or self._seen_finish_reason
        text = field_of(field_of(choices[0], "delta"), "content") or ""
        if text:
            self._last = time.perf_counter()
            self._first = self._first or self._last
            self.text += text
            self.chunks += 1
        return str(text)

    def _throttled(self) -> bool:
        return self._max_chunks is not None and self.chunks >= self._max_chunks

    def _broken(self, error: Exception) -> StreamError:
        if is_cut(error):
            return self._cut()
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        return StreamError(
            f"The stream broke after {self.chunks} chunks ({why}); call again, or keep `.text`.", self.text
        )

    def _require_finish_reason(self) -> None:
        if self.finish_reason is None:
            raise self._cut()

    def _cut(self) -> StreamCutError:
        message = f"The stream ended after {self.chunks} chunks without a finish reason; call again, or keep `.text`."
        return StreamCutError(message, self.text)


def close_plain(stream: Any) -> None:
    """Close the connection of a stream that is read without await. Closing twice does no harm."""
    # LiteLLM's wrapper closes with await only; OpenAI's stream inside it has a plain `close`.
    inner = getattr(stream, "completion_stream", None) or stream
    if close := getattr(inner, "close", None):
        close()


def _is_routed(stream: Any) -> bool:
    """Tell whether a stream is the Router's of LiteLLM: a generator around that of the provider."""
    inner = getattr(stream, "completion_stream", None)
    return inspect.isgenerator(inner) or inspect.isasyncgen(inner)


def field_of(part: Any, name: str) -> Any:
    """Return a field of a chunk, which is an object in LiteLLM and a dict elsewhere; None where it lacks."""
    return part.get(name) if isinstance(part, dict) else getattr(part, name, None)
