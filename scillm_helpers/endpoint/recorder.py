"""Ask a live endpoint for each request, and keep what it answers in cassettes."""

import asyncio
import math
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from ..errors import CassetteError
from . import shelf
from .answers import Reset
from .canonical import Asked
from .cassettes import Part, Recorded, entry
from .cleaning import Clean, clean_parts
from .exchange import application, cannot, path_of, resetting
from .problems import Problem
from .server import Server
from .upstream import Call, Upstream

DRAIN_SECONDS = 10  # that answers still have when the recording ends
_SHOWN = ("content-type", "retry-after")  # of an answer


class Recording(Server):
    """Be a running server that records a live endpoint."""

    def __init__(self, folder: Path, upstream: Upstream, clean: Clean, port: int, model: str, local_key: str) -> None:
        """Start to serve. Raises CassetteError where the folder cannot be written to."""
        shelf.prepare(folder)
        self._recorder = recorder = Recorder(folder, upstream, clean)
        super().__init__(lambda server: create_app(server, recorder, clean), port, model, local_key)

    async def close(self) -> None:
        """Have the answers end that are still coming."""
        await self._recorder.close()


class Tape:
    """Keep the answers to one request in the order in which they were asked for, whichever ends first."""

    def __init__(self, folder: Path, asked: Asked) -> None:
        self._folder = folder
        self._asked = asked
        self._begun = 0
        self._texts: dict[int, str] = {}
        self._writing = asyncio.Lock()

    def begin(self) -> int:
        """Return the number of the next answer."""
        self._begun += 1
        return self._begun

    async def keep(self, number: int, answer: Recorded) -> None:
        """Write the cassette with one answer more. Raises CassetteError."""
        async with self._writing:
            self._texts[number] = await asyncio.to_thread(entry, answer)
            texts = [text for _, text in sorted(self._texts.items())]
            await asyncio.to_thread(shelf.write, self._folder, self._asked, texts)


class Take:
    """Be one answer while it comes: from the live endpoint, and on to the client."""

    def __init__(self) -> None:
        self.head: asyncio.Future[httpx.Response] = asyncio.get_running_loop().create_future()
        self._coming: asyncio.Queue[bytes | Reset | None] = asyncio.Queue()
        self._last = time.monotonic()

    def hear(self, data: bytes) -> Part:
        """Pass a part on, and return it with the time that it took."""
        last, self._last = self._last, time.monotonic()
        self._coming.put_nowait(data)
        return Part(self._last - last, data)

    def end(self, broken: bool) -> None:
        """Let the client see the end; where not even a head came, that the recording is over."""
        if not self.head.done():
            self.head.set_exception(Problem(502, "The recording has ended.", type="server_error", code="upstream"))
        self._coming.put_nowait(Reset() if broken else None)

    async def parts(self) -> AsyncIterator[bytes | Reset]:
        """Yield the parts as they come."""
        while (part := await self._coming.get()) is not None:
            yield part


class Recorder:
    """Record each exchange to its end, also where the client leaves before."""

    def __init__(self, folder: Path, upstream: Upstream, clean: Clean) -> None:
        self._folder = folder
        self._upstream = upstream
        self._clean = clean
        self._tapes: dict[str, Tape] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._failure: CassetteError | None = None

    async def start(self, asked: Asked, call: Call) -> Take:
        """Ask the live endpoint, and return its answer once the head of it is there. Raises Problem."""
        if self._failure is not None:
            raise cannot(str(self._failure), "not_recordable")
        tape = self._tapes.setdefault(asked.key, Tape(self._folder, asked))
        take = Take()
        task = asyncio.create_task(self._record(take, tape, tape.begin(), call))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        await take.head
        return take

    async def close(self) -> None:
        """Have what is still coming end within DRAIN_SECONDS, and let the live endpoint go."""
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=DRAIN_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._upstream.close()

    async def _record(self, take: Take, tape: Tape, number: int, call: Call) -> None:
        broken = True
        try:
            async with self._upstream.ask(call) as answer:
                take.head.set_result(answer)
                parts, broken = await _heard(take, answer, self._upstream.body(answer))
            cleaned = await asyncio.to_thread(clean_parts, [part.data for part in parts], self._clean)
            kept = [Part(part.after_s, data) for part, data in zip(parts, cleaned, strict=True)]
            # Before the client sees the end: whoever has an answer whole has it on the disk, too.
            await tape.keep(number, Recorded(answer.status_code, tuple(kept), "reset" if broken else "whole"))
        except Problem as problem:
            take.head.set_exception(problem)
        except CassetteError as error:
            if self._failure is None:
                print(f"scillm-smoke: {error}", file=sys.stderr, flush=True)
            self._failure, broken = error, True  # an answer that ends well is on the disk
        finally:
            take.end(broken)


async def _heard(take: Take, answer: httpx.Response, body: AsyncIterator[bytes]) -> tuple[list[Part], bool]:
    """Return the parts of a body, and whether it broke off."""
    parts, broken = [], False
    try:
        async for data in body:
            parts.append(take.hear(data))
    except httpx.RequestError:
        broken = True
    # Where a body has a length, what comes at a time depends on the network alone.
    return (_joined(parts) if "content-length" in answer.headers else parts), broken


def _joined(parts: Sequence[Part]) -> list[Part]:
    if not parts:
        return []
    return [Part(sum(part.after_s for part in parts), b"".join(part.data for part in parts))]


def create_app(server: Server, recorder: Recorder, clean: Clean) -> Starlette:
    """Return the application."""

    async def record(request: Request, asked: Asked, body: bytes) -> Response:
        call = Call(request.method, path_of(request), request.headers, body)
        take = await recorder.start(asked, call)
        reset = resetting(request, server)

        async def parts() -> AsyncIterator[bytes]:
            async for part in take.parts():
                if isinstance(part, Reset):
                    reset()
                    await asyncio.sleep(math.inf)  # it is cancelled when the client is gone
                else:
                    yield part

        answer = take.head.result()
        headers = {name: answer.headers[name] for name in _SHOWN if name in answer.headers}
        return StreamingResponse(parts(), answer.status_code, headers)

    return application(server, clean, record)
