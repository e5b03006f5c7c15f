"""An application that is served on 127.0.0.1, from a thread of this process."""

import os
import secrets
import socket
import struct
import threading
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from .log import RequestLog
from .protocol import OneLength, Protocol

HOST = "127.0.0.1"


def new_key() -> str:
    """Return a random key that no other endpoint has."""
    return f"embedded-{secrets.token_urlsafe(24)}"


class Server:
    """Be a running server: where it is, its key, and what it was asked."""

    def __init__(self, make_app: Callable[["Server"], ASGIApp], port: int, model: str, api_key: str = "") -> None:
        """Start to serve what `make_app` returns, with a new random key where none is given; it answers at once.

        `port` 0 takes a free one; `model` is what a client is to ask for. Raises OSError where the port is taken.
        """
        _bypass_proxies()
        self.api_key = api_key or new_key()
        self.log = RequestLog()
        self._model = model
        self._app = OneLength(make_app(self))
        self._listen(port)

    @property
    def api_base(self) -> str:
        """Return the base of its routes."""
        return f"http://{HOST}:{self._port}/v1"

    @property
    def environ(self) -> dict[str, str]:
        """Return the variables that point a process at it."""
        model = {"CHUTES_MODEL": self._model} if self._model else {}
        return {"CHUTES_API_BASE": self.api_base, "CHUTES_API_KEY": self.api_key, **model}

    def stop(self) -> None:
        """Stop serving, close what is still open, and wait for the thread to end."""
        self._server.should_exit = True
        self._server.force_exit = True
        self._ended.wait()

    def wait(self) -> None:
        """Return when the server has ended."""
        self._ended.wait()

    def reset(self, client: tuple[str, int] | None) -> None:
        """Have the connection to a client end with a TCP reset, as where a process dies behind a load balancer."""
        for connection in self._server.server_state.connections:
            if isinstance(connection, Protocol) and connection.client == client:
                opened = connection.transport.get_extra_info("socket")
                # Source: socket(7), SO_LINGER: on, with 0 seconds, sends RST and discards what is left.
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.transport.abort()
                return

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.api_base!r})"

    def _listen(self, port: int) -> None:
        # The listening socket exists before the thread does: early requests wait in its backlog.
        listener = socket.create_server((HOST, port), backlog=512)
        # Connections have it from here: asyncio leaves it unset, and each body would wait 40 ms for the ACK of its head.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._port = int(listener.getsockname()[1])
        config = uvicorn.Config(
            self._app,
            log_config=None,
            log_level="error",
            http=Protocol,
            lifespan="off",
            ws="none",
            timeout_keep_alive=60,
        )
        self._server = _Uvicorn(config, self)
        # Not `join`: on Python 3.11 one that Ctrl-C has broken lets the next return at once.
        self._ended = threading.Event()
        threading.Thread(target=self._serve, args=(listener,), name="embedded-endpoint", daemon=True).start()

    def _serve(self, listener: socket.socket) -> None:
        try:
            self._prepare()
            self._server.run([listener])
        finally:
            self._ended.set()

    def _prepare(self) -> None:
        """Do what takes a while and the first request should not wait for (called in the server's thread)."""

    async def close(self) -> None:
        """Let go of what the application holds (called when the last connection is closed)."""


class _Uvicorn(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, owner: Server) -> None:
        super().__init__(config)
        self._owner = owner

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the connections, then what is behind the application (uvicorn calls this)."""
        await super().shutdown(sockets)
        await self._owner.close()


def _bypass_proxies() -> None:
    """Have the HTTP clients of this process, and of those it starts, reach 127.0.0.1 without a proxy."""
    for name in ("NO_PROXY", "no_proxy"):
        hosts = os.environ.get(name, "").split(",")
        if HOST not in hosts:
            os.environ[name] = ",".join([*filter(None, hosts), HOST])
