"""An HTTP answer as data, down to where it pauses and where the connection breaks; and how it is sent."""

import asyncio
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.responses import StreamingResponse
from starlette.types import Send


@dataclass(frozen=True)
class Wait:
    """Be a pause of some seconds; by default, until the client leaves."""

    seconds: float = math.inf


@dataclass(frozen=True)
class Reset:
    """Be the place where the connection is reset."""


Part = bytes | Wait | Reset


@dataclass(frozen=True)
class Answer:
    """Be an answer whose body comes in parts: of a stream, an event each.

    A pause, or a reset, that stands before all bytes comes before the status line.
    """

    status: int
    headers: dict[str, str]
    parts: tuple[Part, ...]

    @property
    def body(self) -> bytes:
        """Return all bytes of the body."""
        return b"".join(part for part in self.parts if isinstance(part, bytes))


def json_bytes(value: Any) -> bytes:
    """Return JSON as it is sent: as short as it can be, in UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


class AnswerResponse(StreamingResponse):
    """Send an answer, and leave off where the client leaves.

    `chunk_seconds` lie before each part of bytes; `reset` resets the connection to the client.
    """

    def __init__(self, answer: Answer, chunk_seconds: float, reset: Callable[[], None]) -> None:
        super().__init__(iter(()), answer.status, answer.headers)
        self._parts = answer.parts
        self._chunk_seconds = chunk_seconds
        self._reset = reset

    async def stream_response(self, send: Send) -> None:
        """Send what there is to send (Starlette calls this, and cancels it where the client leaves)."""
        started = False
        for part in self._parts:
            if isinstance(part, Wait):
                await asyncio.sleep(part.seconds)
            elif isinstance(part, Reset):
                self._reset()
                await asyncio.sleep(math.inf)
            else:
                if not started:
                    await self._start(send)
                    started = True
                await asyncio.sleep(self._chunk_seconds)
                await send({"type": "http.response.body", "body": part, "more_body": True})
        if not started:
            await self._start(send)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _start(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
