"""The live endpoint behind a recording."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from .problems import Problem

TIMEOUT = httpx.Timeout(connect=10, read=300, write=60, pool=None)  # seconds; a model may think for minutes
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

    def __init__(self, api_base: str, api_key: str) -> None:
        self._base = api_base
        # Compressed, an answer would come in other parts.
        headers = {"Authorization": f"Bearer {api_key}", "Accept-Encoding": "identity"}
        # Without TLS no certificates are needed, and reading them takes a while.
        verify = api_base.startswith("https:")
        limits = httpx.Limits(max_connections=None)
        self._client = httpx.AsyncClient(headers=headers, timeout=TIMEOUT, limits=limits, verify=verify)

    @asynccontextmanager
    async def ask(self, call: Call) -> AsyncIterator[httpx.Response]:
        """Yield the answer as soon as its head is there. Raises Problem (502, 504) where none comes."""
        forwarded = {name: call.headers[name] for name in _FORWARDED if name in call.headers}
        try:
            url = self._base + call.path
            request = self._client.build_request(call.method, url, headers=forwarded, content=call.body)
            answer = await self._client.send(request, stream=True)
        except (httpx.RequestError, httpx.InvalidURL) as error:
            timeout = isinstance(error, httpx.TimeoutException)
            why = str(error) or type(error).__name__
            message = f"The recorded endpoint did not answer ({why}); nothing was recorded."
            raise Problem(504 if timeout else 502, message, type="server_error", code="upstream") from error
        try:
            yield answer
        finally:
            await answer.aclose()

    async def close(self) -> None:
        """Close its connections."""
        await self._client.aclose()
