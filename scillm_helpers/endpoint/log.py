"""What the endpoint was asked: one entry a request, never a header, a key or a prompt."""

import json
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .. import atomic


@dataclass(frozen=True)
class Entry:
    """Tell one request: `status` is None where none was sent, `whole` is False where the answer has not ended.

    `fault` is what it was to meet.
    """

    method: str
    path: str
    model: str | None
    stream: bool
    status: int | None
    whole: bool
    fault: str | None = None


class RequestLog:
    """Keep the entries of one endpoint."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._clean: Callable[[str], str] = str
        self._entries: list[Entry] = []
        self._changed = threading.Condition()

    @property
    def entries(self) -> tuple[Entry, ...]:
        with self._changed:
            return tuple(self._entries)

    def write_to(self, path: Path, clean: Callable[[str], str] = str) -> None:
        """Append the entries so far, and each further one as it comes, to a JSON Lines file.

        Each line is what `clean` makes of it: a client may name a model like a secret.
        """
        with self._changed:
            self._path, self._clean = path, clean
            self._append(self._entries)

    def add(self, entry: Entry) -> None:
        with self._changed:
            self._entries.append(entry)
            self._append([entry])
            self._changed.notify_all()

    def wait_for(self, count: int, timeout: float) -> tuple[Entry, ...]:
        """Return the entries once there are `count`; raises TimeoutError after `timeout` seconds.

        Use this to see the end of a stream: it is logged when the server has noticed it.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._entries) >= count, timeout):
                raise TimeoutError(f"{len(self._entries)} of {count} requests after {timeout} s")
            return tuple(self._entries)

    def _append(self, entries: list[Entry]) -> None:
        if self._path is not None:
            with open(self._path, "a", opener=atomic.opener(self._path.parent), encoding="utf-8") as file:
                file.writelines(self._clean(json.dumps(asdict(entry))) + "\n" for entry in entries)


class RequestLogMiddleware:
    """Log each request when its answer has ended, however it ended."""

    def __init__(self, app: ASGIApp, log: RequestLog) -> None:
        self.app = app
        self.log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        status: int | None = None
        whole = False

        async def watch(message: Message) -> None:
            nonlocal status, whole
            await send(message)
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                whole = not message.get("more_body", False)

        try:
            await self.app(scope, receive, watch)
        finally:
            model, stream = state.get("model"), state.get("stream", False)
            fault = state.get("fault")
            self.log.add(Entry(scope["method"], scope["path"], model, stream, status, whole, fault))
