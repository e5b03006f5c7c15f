"""Serve the embedded endpoint on 127.0.0.1, from a thread of this process."""

import os
import secrets
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from . import tokens
from .app import Client, create_app
from .catalogue import MODELS
from .faults import Faults
from .log import RequestLog

HOST = "127.0.0.1"
CHUNK_SECONDS = 0.01  # about 100 tokens a second: fast for a model, slow enough to be watched


class Endpoint:
    """Be a running endpoint: where it is, its key, what it was asked, and what it does wrong."""

    def __init__(self, port: int, chunk_seconds: float, paced: bool) -> None:
        """Start to serve, with a new random key."""
        self.api_key = f"embedded-{secrets.token_urlsafe(24)}"
        self.log = RequestLog()
        self.faults = Faults()
        self._app = create_app(self.api_key, self.log, self.faults, chunk_seconds, paced, self._reset)
        self._listen(port)

    @property
    def api_base(self) -> str:
        """Return the base of its routes."""
        return f"http://{HOST}:{self._port}/v1"

    @property
    def environ(self) -> dict[str, str]:
        """Return the variables that point a process at it."""
        return {"CHUTES_API_BASE": self.api_base, "CHUTES_API_KEY": self.api_key, "CHUTES_MODEL": MODELS[0].id}

    def stop(self) -> None:
        """Stop serving, close what is still open, and wait for the thread to end."""
        self._server.should_exit = True
        self._server.force_exit = True
        self._thread.join()

    def wait(self) -> None:
        """Return when the endpoint has ended."""
        self._thread.join()

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Refuse connections while the block lasts, as a provider does that is down; open ones are closed."""
        self.stop()
        try:
            yield
        finally:
            self._listen(self._port)

    def __repr__(self) -> str:
        return f"Endpoint({self.api_base!r})"

    def _listen(self, port: int) -> None:
        # The listening socket exists before the thread does: early requests wait in its backlog.
        listener = socket.create_server((HOST, port), backlog=512)
        # Connections have it from here: asyncio leaves it unset, and each body would wait 40 ms for the ACK of its head.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._port = int(listener.getsockname()[1])
        config = uvicorn.Config(
            self._app, log_config=None, http="h11", lifespan="off", ws="none", timeout_keep_alive=60
        )
        self._server = uvicorn.Server(config)
        arguments = (self._server, listener)
        self._thread = threading.Thread(target=_serve, args=arguments, name="embedded-endpoint", daemon=True)
        self._thread.start()

    def _reset(self, client: Client) -> None:
        """Have the connection to a client end with a TCP reset, as where a process dies behind a load balancer."""
        for connection in self._server.server_state.connections:
            if isinstance(connection, H11Protocol) and connection.client == client:
                opened = connection.transport.get_extra_info("socket")
                # Source: socket(7), SO_LINGER: on, with 0 seconds, sends RST and discards what is left.
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.transport.abort()
                return


def start(*, port: int = 0, chunk_seconds: float = CHUNK_SECONDS, paced: bool = False) -> Endpoint:
    """Start an endpoint with a new random key and return it; it answers at once.

    `port` 0 takes a free one; `chunk_seconds` lie between the chunks of a stream; `paced`, a whole reply
    takes as long as its stream would. Raises OSError where the port is taken.
    """
    _bypass_proxies()
    return Endpoint(port, chunk_seconds, paced)


def _serve(server: uvicorn.Server, listener: socket.socket) -> None:
    tokens.encoding()  # takes a while: the first request should not
    server.run([listener])


def _bypass_proxies() -> None:
    """Have the HTTP clients of this process, and of those it starts, reach 127.0.0.1 without a proxy."""
    for name in ("NO_PROXY", "no_proxy"):
        hosts = os.environ.get(name, "").split(",")
        if HOST not in hosts:
            os.environ[name] = ",".join([*filter(None, hosts), HOST])
