"""HTTP replies that end: each is read within a total time and a number of bytes.

httpx bounds each read, not all of them together: a server that sends a byte now and then, or one that never stops
sending, is read without end.
"""

import asyncio
import contextvars
import os
import socket
import ssl
import threading
import zlib
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from typing import Any

import httpx

MAX_BYTES = 16 * 1024 * 1024  # of a body, counted as it is sent and again as it is decoded
ENCODING = {"Accept-Encoding": "gzip"}  # the one that is decoded here with a bound; httpx would ask for more
_MAX_REDIRECTS = 5


class ReplyTooLarge(httpx.RequestError):
    """The body of a reply exceeds the limit."""

    def __init__(self, limit: int, request: httpx.Request) -> None:
        super().__init__(f"a reply of more than {limit:,} bytes", request=request)


def fetch(
    method: str,
    url: str,
    *,
    seconds: float,
    limit: int = MAX_BYTES,
    follow_redirects: bool = False,
    headers: dict[str, str] | None = None,
    **content: Any,
) -> httpx.Response:
    """Return the whole reply to a request, whether or not an event loop runs in this thread.

    `seconds` bounds the exchange with its redirects, `limit` the bytes of each body; `content` is what
    `httpx.Client.build_request` takes. Raises httpx.RequestError, of which ReplyTooLarge is one, and httpx.InvalidURL.
    """
    exchange = _exchange(method, url, seconds, limit, follow_redirects, {**ENCODING, **(headers or {})}, content)
    outcome: Future[httpx.Response] = Future()

    def run() -> None:
        try:
            outcome.set_result(asyncio.run(exchange))
        except BaseException as error:  # noqa: BLE001 - it is raised in the caller's thread
            outcome.set_exception(error)

    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(run,), daemon=True, name="bounded-fetch").start()
    return outcome.result()


async def parts(response: httpx.Response, limit: int = MAX_BYTES) -> AsyncIterator[bytes]:
    """Yield the decoded parts of a body as they arrive. Raises ReplyTooLarge, and httpx.DecodingError."""
    decoder = _decoder(response)
    sent = decoded = 0
    async for part in response.aiter_raw():
        sent += len(part)
        if decoder is not None:
            part = _decompressed(decoder, part, limit - decoded, response.request)
        decoded += len(part)
        if max(sent, decoded) > limit:
            raise ReplyTooLarge(limit, response.request)
        if part:
            yield part


async def read(response: httpx.Response, limit: int = MAX_BYTES) -> bytes:
    """Return a whole body. Raises ReplyTooLarge, and httpx.DecodingError."""
    return b"".join([part async for part in parts(response, limit)])


def reason(error: BaseException) -> str:
    """Return the operating system's or the TLS library's message for a failed request."""
    error = root(error)
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return "no answer in time"
    if said := getattr(error, "verify_message", None):
        return str(said)
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError | socket.gaierror) and error.errno:
        return os.strerror(error.errno)  # asyncio replaces the message
    return str(getattr(error, "strerror", None) or error) or type(error).__name__


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and its causes, the outermost first; of a group the first."""
    behind: BaseException | None = error
    while behind is not None:
        yield behind
        inner = behind.exceptions[0] if isinstance(behind, BaseExceptionGroup) else None
        behind = inner or behind.__cause__ or behind.__context__


def root(error: BaseException) -> BaseException:
    """Return the cause that the system or TLS has raised; else the error itself."""
    found = [one for one in chain(error) if isinstance(one, ssl.SSLError | OSError) and one.args]
    return found[-1] if found else error


async def _exchange(
    method: str,
    url: str,
    seconds: float,
    limit: int,
    follow_redirects: bool,
    headers: dict[str, str],
    content: dict[str, Any],
) -> httpx.Response:
    # Without TLS no certificates are needed, and reading them would take longer than the reply.
    verify = follow_redirects or url.startswith("https:")
    async with httpx.AsyncClient(verify=verify, timeout=seconds) as client:
        request = client.build_request(method, url, headers=headers, **content)
        try:
            async with asyncio.timeout(seconds):
                return await _followed(client, request, limit, follow_redirects)
        except TimeoutError as error:
            raise httpx.ReadTimeout(f"no whole reply within {seconds:g} s", request=request) from error


async def _followed(
    client: httpx.AsyncClient, request: httpx.Request, limit: int, follow_redirects: bool, redirects: int = 0
) -> httpx.Response:
    response = await client.send(request, stream=True)
    try:
        body = await read(response, limit)
    finally:
        await response.aclose()
    if response.next_request is None or not follow_redirects:
        return _whole(response, body)
    if redirects == _MAX_REDIRECTS:
        raise httpx.TooManyRedirects(f"more than {_MAX_REDIRECTS} redirects", request=request)
    return await _followed(client, response.next_request, limit, follow_redirects, redirects + 1)


def _whole(response: httpx.Response, body: bytes) -> httpx.Response:
    headers = response.headers.copy()
    headers.pop("content-encoding", None)  # of the body as it was sent
    return httpx.Response(response.status_code, headers=headers, content=body, request=response.request)


def _decoder(response: httpx.Response) -> Any:
    encoding = response.headers.get("content-encoding", "identity").strip().lower() or "identity"
    if encoding == "identity":
        return None
    if encoding in ("gzip", "x-gzip"):
        return zlib.decompressobj(zlib.MAX_WBITS | 16)
    raise httpx.DecodingError(
        f"a reply encoded as {encoding[:40]!r}, which was not asked for", request=response.request
    )


def _decompressed(decoder: Any, part: bytes, left: int, request: httpx.Request) -> bytes:
    """Return what a part decodes to, up to one byte more than is left of the limit."""
    try:
        return bytes(decoder.decompress(part, left + 1))
    except zlib.error as error:
        raise httpx.DecodingError(f"a reply that is not gzip, as it claims to be ({error})", request=request) from error
