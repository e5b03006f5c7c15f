"""One HTTP request, as httpx makes it by its own rules, and how far it came."""

import asyncio
import json
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import httpx

from ..bounded import ENCODING, chain, read, reason

# Where a request ended: before anything was sent, on the way, or with the answer, whole or not.
Stage = Literal["setup", "resolve", "connect", "tunnel", "tls", "answer"]


@dataclass(frozen=True)
class Answer:
    """Be an answer. `asked` and `answered` are this machine's clock, in seconds since the epoch."""

    status: int
    headers: httpx.Headers
    body: bytes
    tls: str  # the protocol's version, where there is one
    asked: float
    answered: float

    @property
    def seconds(self) -> float:
        """Return how long it took."""
        return self.answered - self.asked

    @property
    def date(self) -> datetime:
        """Return the moment in the middle of the request, by this machine's clock."""
        return datetime.fromtimestamp((self.asked + self.answered) / 2, UTC)

    @property
    def content(self) -> Any:
        """Return the JSON of the body, or None where it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    @property
    def is_page(self) -> bool:
        """Tell whether it is a web page."""
        start = self.body[:200].lstrip().lower()
        return start.startswith((b"<!doctype", b"<html", b"<head")) or "text/html" in self.headers.get(
            "content-type", ""
        )

    @property
    def message(self) -> str:
        """Return what it says: the message of an error in OpenAI's shape, or the text itself."""
        content = self.content
        error = content.get("error", content) if isinstance(content, dict) else content
        told = error.get("message") or error.get("detail") if isinstance(error, dict) else error
        return told if isinstance(told, str) else self.body.decode("utf-8", "replace")


@dataclass(frozen=True)
class Attempt:
    """Be a request that was made: `peer` is whom it was connected to, `error` why there is no answer."""

    stage: Stage
    peer: tuple[str, int] | None
    answer: Answer | None = None
    error: BaseException | None = None

    @property
    def status(self) -> int:
        """Return the HTTP status, or 0 where there is none."""
        return 0 if self.answer is None else self.answer.status

    @property
    def why(self) -> str:
        """Return why there is no answer, as the system says it."""
        assert self.error is not None
        return reason(self.error)


@dataclass
class _Steps:
    """Note how far a request comes (httpcore calls this; see "Request extensions" in httpx's documentation)."""

    peer: tuple[str, int] | None = None
    failed: str = ""
    seen: list[str] = field(default_factory=list)

    async def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        _, step, state = event.rsplit(".", 2)
        self.seen.append(step)
        if step == "connect_tcp" and state == "started":
            self.peer = (str(info["host"]), int(info["port"]))
        if state == "failed":
            self.failed = step


def ask(
    url: str,
    *,
    seconds: float,
    headers: Mapping[str, str] | None = None,
    body: Any = None,
    verify: bool = True,
    proxies: bool = True,
) -> Attempt:
    """Return what becomes of a GET, or where there is a `body` of a POST; it is given up after `seconds`.

    Proxies and trusted certificates are those that httpx takes from the environment. Without `verify` no certificate
    is looked at: send no key then.
    """
    return asyncio.run(_ask(url, seconds, dict(headers or {}), body, verify, proxies))


async def _ask(url: str, seconds: float, headers: dict[str, str], body: Any, verify: bool, proxies: bool) -> Attempt:
    steps = _Steps()
    method = "GET" if body is None else "POST"
    verify = verify and url.startswith("https:")  # without TLS no certificates are needed, nor read
    asked = time.time()
    try:
        async with (
            asyncio.timeout(seconds),
            httpx.AsyncClient(verify=verify, trust_env=proxies, timeout=seconds) as client,
            client.stream(
                method, url, headers={**ENCODING, **headers}, json=body, extensions={"trace": steps}
            ) as response,
        ):
            tls = response.extensions["network_stream"].get_extra_info("ssl_object")
            version = str(tls.version()) if tls is not None else ""
            content = await read(response)
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, ImportError) as error:
        return Attempt(_stage(steps, error), steps.peer, error=error)
    answer = Answer(response.status_code, response.headers, content, version, asked, time.time())
    return Attempt("answer", steps.peer, answer)


def _stage(steps: _Steps, error: BaseException) -> Stage:
    if not steps.seen:
        return "setup"
    if isinstance(error, httpx.ProxyError):
        return "tunnel"
    if steps.failed == "connect_tcp":
        return "resolve" if any(isinstance(one, socket.gaierror) for one in chain(error)) else "connect"
    return "tls" if steps.failed == "start_tls" else "answer"
