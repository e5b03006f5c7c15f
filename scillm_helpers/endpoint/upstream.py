"""The live endpoint behind a recording."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from ..bounded import MAX_BYTES, parts, reason
from .problems import Problem

HEAD_SECONDS = 300.0  # until the head of an answer is there; a model may think for minutes
BODY_SECONDS = 1800.0  # until its body has ended
_TIMEOUT = httpx.Timeout(connect=10, read=HEAD_SECONDS, write=60, pool=None)  # of each read
_FORWARDED = ("accept", "content-type")  # of a request


@dataclass(frozen=True)
class Call:
    """Be a request as it is sent on."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Upstream:
    """Ask a live endpoint with its own key."""

    def __init__(
        self,
        api_base: str,
        api_key: str,
        head_seconds: float = HEAD_SECONDS,
        body_seconds: float = BODY_SECONDS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        """Prepare to ask `api_base`. An answer is given up after these seconds, and past `max_bytes` of its body."""
        self._base = api_base
        self._head_seconds = head_seconds
        self._body_seconds = body_seconds
        self._max_bytes = max_bytes
        # Compressed, an answer would come in other parts.
        headers = {"Authorization": f"Bearer {api_key}", "Accept-Encoding": "identity"}
        # Without TLS no certificates are needed, and reading them takes a while.
        verify = api_base.startswith("https:")
        limits = httpx.Limits(max_connections=None)
        self._client = httpx.AsyncClient(headers=headers, timeout=_TIMEOUT, limits=limits, verify=verify)

    @asynccontextmanager
    async def ask(self, call: Call) -> AsyncIterator[httpx.Response]:
        """Yield the answer as soon as its head is there. Raises Problem (502, 504) where none comes."""
        forwarded = {name: call.headers[name] for name in _FORWARDED if name in call.headers}
        try:
            url = self._base + call.path
            request = self._client.build_request(call.method, url, headers=forwarded, content=call.body)
            async with asyncio.timeout(self._head_seconds):
                answer = await self._client.send(request, stream=True)
        except (httpx.RequestError, httpx.InvalidURL, TimeoutError) as error:
            timeout = isinstance(error, httpx.TimeoutException | TimeoutError)
            why = reason(error)
            message = f"The recorded endpoint did not answer ({why}); nothing was recorded."
            raise Problem(504 if timeout else 502, message, type="server_error", code="upstream") from error
        try:
            yield answer
        finally:
            await answer.aclose()

    async def body(self, answer: httpx.Response) -> AsyncIterator[bytes]:
        """Yield the parts of a body as they arrive. Raises httpx.RequestError where it breaks off or exceeds a bound."""
        try:
            async with asyncio.timeout(self._body_seconds):
                async for part in parts(answer, self._max_bytes):
                    yield part
        except TimeoutError as error:
            raise httpx.ReadTimeout(f"no end within {self._body_seconds:g} s", request=answer.request) from error

    async def close(self) -> None:
        """Close its connections."""
        await self._client.aclose()
