"""HTTP/1.1 as the endpoint accepts it: a request arrives in time, and has one length."""

import asyncio

import h11
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from .answers import json_bytes
from .problems import Problem, bad_request

HEAD_SECONDS = 30.0  # from the first byte, or from the connection, to the end of the head
BODY_SECONDS = 60.0  # from there to the end of the body


class Protocol(H11Protocol):
    """Give a request up that does not arrive in time, and refuse in OpenAI's shape what is not HTTP.

    uvicorn's own timeout is for connections between two requests, and any byte ends it.
    """

    _phase = ""
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Expect the first request (asyncio calls this)."""
        super().connection_made(transport)
        self._expect()

    def data_received(self, data: bytes) -> None:
        """Take bytes of a request (asyncio calls this)."""
        super().data_received(data)
        self._expect()

    def on_response_complete(self) -> None:
        """Go on with what has arrived of the next request (uvicorn calls this)."""
        super().on_response_complete()
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        """Expect nothing more (asyncio calls this)."""
        self._cancel()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP/1.1 (uvicorn calls this)."""
        self._refuse(bad_request(msg, code="invalid_http"))

    def _expect(self) -> None:
        """Start the time of a phase with it: more bytes give it no more time."""
        phase = self._awaited()
        if phase == self._phase:
            return
        self._cancel()
        self._phase = phase
        if phase:
            seconds = HEAD_SECONDS if phase == "head" else BODY_SECONDS
            self._timer = self.loop.call_later(seconds, self._give_up, seconds)

    def _awaited(self) -> str:
        if self.conn.their_state is h11.SEND_BODY:
            return "body"
        is_begun = self.cycle is None or bool(self.conn.trailing_data[0])
        return "head" if self.conn.their_state is h11.IDLE and is_begun else ""

    def _give_up(self, seconds: float) -> None:
        message = f"The {self._phase} of the request did not arrive within {seconds:g} s."
        self._refuse(Problem(408, message, type="timeout", code="request_timeout"))

    def _refuse(self, problem: Problem) -> None:
        """Answer where nothing has been answered yet, and close the connection."""
        if self.transport.is_closing():
            return
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            body = json_bytes(problem.body)
            headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close"}
            head = h11.Response(status_code=problem.status, headers=list(headers.items()), reason=b"")
            for event in (head, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event))
        if self.cycle is not None:
            self.cycle.disconnected = True  # the application can answer no more
        self.transport.close()

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class OneLength:
    """Refuse requests whose end a proxy before the endpoint may see elsewhere. Source: RFC 9112, 6.1 and 6.3.

    h11 refuses different lengths and unknown codings by itself, but prefers `Transfer-Encoding` to `Content-Length`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with 400 and close its connection: what follows is not read as a request."""
        names = {name for name, _ in scope.get("headers", ())}
        if b"transfer-encoding" in names and (b"content-length" in names or scope["http_version"] == "1.0"):
            message = "A request has either Content-Length or, in HTTP/1.1, Transfer-Encoding."
            problem = bad_request(message, code="invalid_http")
            await JSONResponse(problem.body, problem.status, {"Connection": "close"})(scope, receive, send)
        else:
            await self._app(scope, receive, send)
