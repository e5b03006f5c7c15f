"""Streams that go on step by step: the next piece is sent when the test lets it, and not by the clock."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue

import pytest
from starlette.types import Message, Send

from scillm_helpers.endpoint.answers import AnswerResponse

_VISIBLE = re.compile(rb'"(?:content|arguments)":"[^"]')  # text, or a part of a tool call's arguments


class Steps:
    """Hold the streams of this process, while a block lasts, after each piece that a reader would see."""

    def __init__(self) -> None:
        self._let: SimpleQueue[None] = SimpleQueue()
        self._holding = True

    def next(self) -> None:
        """Let one stream go on to its next piece."""
        self._let.put(None)

    async def _wait(self) -> None:
        while self._holding:
            try:
                return self._let.get_nowait()
            except Empty:
                await asyncio.sleep(0.01)


@contextmanager
def held() -> Iterator[Steps]:
    """Hold the streams while the block lasts; what is held at its end goes on by itself."""
    steps, stream_response = Steps(), AnswerResponse.stream_response

    async def stream_held(self: AnswerResponse, send: Send) -> None:
        async def send_held(message: Message) -> None:
            await send(message)
            if _VISIBLE.search(message.get("body", b"")):
                await steps._wait()

        await stream_response(self, send_held)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AnswerResponse, "stream_response", stream_held)
        try:
            yield steps
        finally:
            steps._holding = False
