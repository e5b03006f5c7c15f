"""The check of streaming: do the bytes come as they are written, or does a proxy keep them to the end?"""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from ..bounded import ENCODING, ReplyTooLarge, parts
from .asking import Answer
from .curl import chat
from .findings import Finding, excerpt, failed, ok, waiting
from .patient import Patient
from .service import refusal

ASKED = "Count from one to forty, in words."
MORE: dict[str, Any] = {"stream": True, "max_tokens": 128, "temperature": 0}

_FEW = 5  # events: with fewer, one packet is no sign of anything
_INSTANT = 0.1  # of the time before the first byte: what came within that came at once
_WAITED = 2.0  # times as long as a reply of one token: then the first byte has waited for the reply
_SEEN = 0.25  # seconds: nobody could watch words come that are there sooner


@dataclass(frozen=True)
class Arrivals:
    """Be when the parts of a body came, in seconds since the request, and what they were."""

    times: tuple[float, ...]
    body: bytes
    status: int = 200
    headers: httpx.Headers = field(default_factory=httpx.Headers)
    error: BaseException | None = None  # what ended the stream early

    @property
    def events(self) -> list[str]:
        """Return the data of the events. Source: the HTML standard, "Server-sent events", 9.2.6."""
        lines = self.body.decode("utf-8", "replace").splitlines()
        return [line.removeprefix("data:").strip() for line in lines if line.startswith("data:")]

    def is_at_once(self) -> bool:
        """Tell whether all came in one instant, measured by the wait before it."""
        return len(self.events) >= _FEW and self.times[-1] - self.wait <= _INSTANT * self.wait

    @property
    def wait(self) -> float:
        """Return the seconds before the first byte."""
        return self.times[0] if self.times else 0.0


def check(patient: Patient) -> Finding:
    """Stream a reply and look at when its bytes come; what looks buffered is measured again."""
    arrivals = _stream(patient)
    if problem := _problem(patient, arrivals):
        return problem
    count = len(arrivals.events)
    if not arrivals.is_at_once():
        told = f"{count} events in {len(arrivals.times)} parts over {arrivals.times[-1] - arrivals.wait:.2f} s"
        return ok(told, "The words come as they are written." if count >= _FEW else "Too few events to tell more.")
    if (shortest := _shortest_of_buffered(patient, arrivals)) is None:
        return ok(f"{count} events came at one instant", "Too soon to tell a fast endpoint from a proxy that buffers.")
    means = (
        f"A reply of one token takes {shortest:.2f} s: something on the way keeps a stream until it has ended."
        " Switch its buffering off (nginx: proxy_buffering off), or compression."
    )
    return failed(f"{count} events came at one instant, after {arrivals.wait:.2f} s", means, _look(patient))


def _shortest_of_buffered(patient: Patient, arrivals: Arrivals) -> float | None:
    """Return how long a reply of one token takes, where a longer one is kept until it has ended; else None.

    Speed itself says nothing: a first byte that waits for the reply waits longer for a longer one, each time.
    """
    assert patient.first_chat.answer is not None
    if arrivals.wait < max(_SEEN, _WAITED * patient.first_chat.answer.seconds):
        return None
    short, again = _stream(patient, 1), _stream(patient)
    shortest = max(patient.first_chat.answer.seconds, short.wait)
    longest = min(arrivals.wait, again.wait)
    return shortest if again.is_at_once() and longest >= max(_SEEN, _WAITED * shortest) else None


def _problem(patient: Patient, arrivals: Arrivals) -> Finding | None:
    """Return what is wrong with a stream that is none, or has no end."""
    if arrivals.status in (401, 403):
        return waiting("key")
    if arrivals.status != 200:
        answer = Answer(arrivals.status, arrivals.headers, arrivals.body, "", 0, 0)
        return refusal(patient, answer)
    if isinstance(arrivals.error, ReplyTooLarge):
        seen = f"the stream has no end: {arrivals.error} for {MORE['max_tokens']} tokens"
        return failed(seen, "The endpoint does not stop at `max_tokens`: ask who runs it.", _look(patient))
    if arrivals.error is not None:
        seen = f"the stream broke after {len(arrivals.events)} events: {_why(arrivals.error)}"
        return failed(
            seen, "The endpoint, or something before it, drops what takes long: a proxy's timeout?", _look(patient)
        )
    if not arrivals.events:
        return failed("no event came", "The endpoint has not streamed: does the model support it?", _look(patient))
    chunks = [_decoded(event) for event in arrivals.events if event != "[DONE]"]
    if None in chunks:
        return failed(
            "an event is not JSON", "LiteLLM breaks off there: the endpoint sends broken chunks.", _look(patient)
        )
    if error := next((chunk["error"] for chunk in chunks if chunk and "error" in chunk), None):
        told = error.get("message", "") if isinstance(error, Mapping) else str(error)
        return failed(
            f"an error inside the stream: {excerpt(str(told))}", "The model stopped: try again.", _look(patient)
        )
    if not any(_has_ended(chunk) for chunk in chunks):
        seen = f"the stream ended after {len(chunks)} events without a finish reason"
        return failed(
            seen, "It was cut, and a reader cannot see that: a proxy's timeout, or a worker that died.", _look(patient)
        )
    return None


def _decoded(event: str) -> dict[str, Any] | None:
    try:
        chunk = json.loads(event)
    except (ValueError, RecursionError):
        return None
    return chunk if isinstance(chunk, dict) else None


def _has_ended(chunk: Mapping[str, Any] | None) -> bool:
    choices = (chunk or {}).get("choices")
    return isinstance(choices, list) and any(isinstance(one, dict) and one.get("finish_reason") for one in choices)


def _stream(patient: Patient, max_tokens: int = MORE["max_tokens"]) -> Arrivals:
    return asyncio.run(_read(patient, {**MORE, "max_tokens": max_tokens}))


async def _read(patient: Patient, more: dict[str, Any]) -> Arrivals:
    times: list[float] = []
    read = bytearray()
    began = time.monotonic()
    url, body = f"{patient.api_base}/chat/completions", patient.body(ASKED, more)
    try:
        async with (
            asyncio.timeout(patient.timeout),
            httpx.AsyncClient(verify=patient.url.scheme == "https", timeout=patient.timeout) as client,
            client.stream("POST", url, headers={**ENCODING, **patient.bearer}, json=body) as response,
        ):
            async for part in parts(response):
                times.append(time.monotonic() - began)
                read += part
    except (httpx.HTTPError, TimeoutError) as error:
        return Arrivals(tuple(times), bytes(read), error=error)
    return Arrivals(tuple(times), bytes(read), response.status_code, response.headers)


def _why(error: BaseException) -> str:
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return "no more came in time"
    return str(error) or type(error).__name__


def _look(patient: Patient) -> str:
    return chat(patient, patient.body(ASKED, MORE))
