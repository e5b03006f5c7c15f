"""Pure: a reply, or an answer, and a fault -> what a failing provider makes of it."""

import math
import zlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from . import tokens
from .answers import Answer, Part, Reset, Wait, json_bytes
from .faults import REFUSALS, STREAMS, Fault
from .problems import Problem, bad_request
from .replies import Choice, Reply

_DONE = b"data: [DONE]\n\n"
_BAD_GATEWAY = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>\n"


def refusal(fault: Fault) -> Answer | None:
    """Return the answer of a fault that refuses every request, or None where it is none of these."""
    if fault.name not in REFUSALS:
        return None
    if fault.name == "502":  # a proxy before the provider says so, and it knows nothing of JSON
        return Answer(502, {"Content-Type": "text/html"}, (_BAD_GATEWAY,))
    said = REFUSALS[fault.name]
    body = Problem(said.status, said.message, type=said.type, code=said.code).body
    return Answer(said.status, {"Content-Type": "application/json"} | _retry_after(fault), (json_bytes(body),))


def check(fault: Fault, streamed: bool) -> None:
    """Raise Problem (400) for a fault that is one of streams where no stream is asked for: it would show nothing."""
    if fault.name in STREAMS and not streamed:
        raise bad_request(f"The fault {fault.name} is one of streams: ask with 'stream' true.", "stream")


def say(fault: Fault, said: Reply) -> Reply:
    """Return a reply with what a fault leaves of its texts; tool calls stay as they are."""
    if fault.name not in _TEXTS:
        return said
    return replace(said, choices=[_told(_TEXTS[fault.name], choice) for choice in said.choices])


def send(fault: Fault, answer: Answer) -> Answer:
    """Return an answer as it leaves a provider that has this fault."""
    if fault.name == "wrong-content-type":
        return replace(answer, headers=answer.headers | {"Content-Type": "text/html"})
    if fault.name == "gzip":
        return _gzip(answer)
    if fault.name in _PARTS:
        return replace(answer, parts=tuple(_PARTS[fault.name](list(answer.parts), fault)))
    return answer


def _retry_after(fault: Fault) -> dict[str, str]:
    """Say when to come back. Source: RFC 9110, section 10.2.3: whole seconds, or an HTTP-date."""
    seconds = math.ceil(fault.seconds)
    if fault.name == "429":
        return {"Retry-After": str(seconds)}
    if fault.name == "429-date":
        return {"Retry-After": format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)}
    return {}


_TEXTS: dict[str, Callable[[str], str]] = {
    "empty": lambda text: "",
    "fenced": lambda text: f"```json\n{text}\n```",
    "truncated": lambda text: text[: len(text) // 2],
    "prose": lambda text: f"Sure! Here it is:\n{text}\nLet me know if you need anything else.",
    "cut-in-character": lambda text: f"{text} Voilà!",  # so that there is a character to cut
}


def _told(change: Callable[[str], str], choice: Choice) -> Choice:
    return choice if choice.tool is not None else replace(choice, pieces=tokens.pieces(change(choice.text)))


def _half(parts: list[Part]) -> list[Part]:
    """Return the first half: of a stream the first half of its events, of a body the first half of its bytes."""
    if len(parts) > 1:
        return parts[: len(parts) // 2]
    return [part[: len(part) // 2] for part in parts if isinstance(part, bytes)]


def _cut_in_token(parts: list[Part], fault: Fault) -> list[Part]:
    kept = _half(parts)
    cut = parts[len(kept)]
    assert isinstance(cut, bytes)
    return [*kept, cut[: len(cut) // 2]]


def _cut_in_character(parts: list[Part], fault: Fault) -> list[Part]:
    before: list[Part] = []
    for part in parts:
        if isinstance(part, bytes) and (wide := next((i for i, byte in enumerate(part) if byte > 0x7F), None)):
            return [*before, part[: wide + 1]]
        before.append(part)
    return before


def _malformed_chunk(parts: list[Part], fault: Fault) -> list[Part]:
    kept = _half(parts)
    return [
        *kept,
        b'data: {"id":"chatcmpl-broken","choices":[{"index":0,"delta":{"content":}]}\n\n',
        *parts[len(kept) :],
    ]


def _error_in_stream(parts: list[Part], fault: Fault) -> list[Part]:
    said = REFUSALS["503"]
    body = Problem(said.status, said.message, type=said.type, code=said.code).body
    return [*_half(parts), b"data: " + json_bytes(body) + b"\n\n", _DONE]


def _no_usage(parts: list[Part], fault: Fault) -> list[Part]:
    return [part for part in parts if not (isinstance(part, bytes) and b'"choices":[]' in part)]


def _comments(parts: list[Part], fault: Fault) -> list[Part]:
    """Source: the HTML standard, "Server-sent events", 9.2.6: a line that starts with a colon is ignored."""
    return [piece for part in parts for piece in (b": ping\n\n", part)]


def _crlf(parts: list[Part], fault: Fault) -> list[Part]:
    """Source: the same, 9.2.5: a line ends with LF, CR or both."""
    return [part.replace(b"\n", b"\r\n") if isinstance(part, bytes) else part for part in parts]


_PARTS: dict[str, Callable[[list[Part], Fault], list[Part]]] = {
    "reset": lambda parts, fault: [Reset()],
    "reset-mid-body": lambda parts, fault: [*_half(parts), Reset()],
    "slow-headers": lambda parts, fault: [Wait(fault.seconds), *parts],
    "slow-first-token": lambda parts, fault: [parts[0], Wait(fault.seconds), *parts[1:]],
    "stall": lambda parts, fault: [*_half(parts), Wait()],
    "cut": lambda parts, fault: _half(parts),
    "cut-in-token": _cut_in_token,
    "cut-in-character": _cut_in_character,
    "malformed-chunk": _malformed_chunk,
    "error-in-stream": _error_in_stream,
    "double-done": lambda parts, fault: [*parts, _DONE],
    "no-done": lambda parts, fault: parts[:-1],
    "no-usage": _no_usage,
    "comments": _comments,
    "crlf": _crlf,
}


def _gzip(answer: Answer) -> Answer:
    """Compress the body, each part so that it can be read when it has come. Source: RFC 1952."""
    compressor = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    flushed: list[Part] = []
    for part in answer.parts:
        if isinstance(part, bytes):
            flushed.append(compressor.compress(part) + compressor.flush(zlib.Z_SYNC_FLUSH))
        else:
            flushed.append(part)
    headers = {name: value for name, value in answer.headers.items() if name != "Content-Length"}
    return Answer(answer.status, headers | {"Content-Encoding": "gzip"}, (*flushed, compressor.flush()))
