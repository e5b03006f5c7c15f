"""Serve the embedded endpoint on 127.0.0.1, from a thread of this process."""

import os
import secrets
import socket
import threading
from dataclasses import dataclass

import uvicorn

from . import tokens
from .app import create_app
from .catalogue import MODELS
from .log import RequestLog

HOST = "127.0.0.1"
CHUNK_SECONDS = 0.01  # about 100 tokens a second: fast for a model, slow enough to be watched


@dataclass(frozen=True)
class Endpoint:
    """Be a running endpoint: where it is, its key, and what it was asked."""

    api_base: str
    api_key: str
    log: RequestLog
    _server: uvicorn.Server
    _thread: threading.Thread

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

    def __repr__(self) -> str:
        return f"Endpoint({self.api_base!r})"


def start(*, port: int = 0, chunk_seconds: float = CHUNK_SECONDS, paced: bool = False) -> Endpoint:
    """Start an endpoint with a new random key and return it; it answers at once.

    `port` 0 takes a free one; `chunk_seconds` lie between the chunks of a stream; `paced`, a whole reply
    takes as long as its stream would. Raises OSError where the port is taken.
    """
    _bypass_proxies()
    log = RequestLog()
    api_key = f"embedded-{secrets.token_urlsafe(24)}"
    # The listening socket exists before the thread does: early requests wait in its backlog.
    listener = socket.create_server((HOST, port), backlog=512)
    # Connections have it from here: asyncio leaves it unset, and each body would wait 40 ms for the ACK of its head.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    app = create_app(api_key, log, chunk_seconds, paced)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", ws="none", timeout_keep_alive=60))
    thread = threading.Thread(target=_serve, args=(server, listener), name="embedded-endpoint", daemon=True)
    thread.start()
    return Endpoint(f"http://{HOST}:{listener.getsockname()[1]}/v1", api_key, log, server, thread)


def _serve(server: uvicorn.Server, listener: socket.socket) -> None:
    tokens.encoding()  # takes a while: the first request should not
    server.run([listener])


def _bypass_proxies() -> None:
    """Have the HTTP clients of this process, and of those it starts, reach 127.0.0.1 without a proxy."""
    for name in ("NO_PROXY", "no_proxy"):
        hosts = os.environ.get(name, "").split(",")
        if HOST not in hosts:
            os.environ[name] = ",".join([*filter(None, hosts), HOST])
