"""Record an endpoint and replay it, for what several tests ask of both."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import httpx

from scillm_helpers.endpoint import serve
from scillm_helpers.endpoint.cleaning import Clean
from tests.polling import PATIENCE
from tests.scripted import listening

OMNI = "embedded/omni-1"


@contextmanager
def recording(
    folder: Path, upstream: "serve.Server | Scripted", clean: Clean = list, **options: Any
) -> Iterator[serve.Server]:
    """Record an endpoint while the block lasts."""
    server = serve.record(folder, upstream.api_base, upstream.api_key, clean=clean, **options)
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def replaying(folder: Path, clean: Clean = list, **options: Any) -> Iterator[serve.Server]:
    """Replay a folder while the block lasts."""
    server = serve.replay(folder, clean=clean, **options)
    try:
        yield server
    finally:
        server.stop()


def chat(prompt: Any, **fields: Any) -> dict[str, Any]:
    """Return the body of a chat request."""
    return {"model": OMNI, "messages": [{"role": "user", "content": prompt}], **fields}


def headers(server: serve.Server) -> dict[str, str]:
    """Return what a request to a server needs."""
    return {"Authorization": f"Bearer {server.api_key}", "Content-Type": "application/json"}


def ask(server: serve.Server, body: Any, path: str = "/chat/completions") -> httpx.Response:
    """Post a body: bytes as they are, anything else as JSON. Without TLS no certificates need to be read."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.post(server.api_base + path, content=content, headers=headers(server), timeout=PATIENCE, verify=False)


def get(server: serve.Server, path: str) -> httpx.Response:
    """Get a path under the base."""
    return httpx.get(server.api_base + path, headers=headers(server), timeout=PATIENCE, verify=False)


def chunks(server: serve.Server, body: Any) -> list[bytes]:
    """Post a body, and return the chunks of HTTP that the answer's body comes in. Source: RFC 9112, section 7.1."""
    content = json.dumps(body).encode()
    port = int(server.api_base.rpartition(":")[2].removesuffix("/v1"))
    lines = [
        "POST /v1/chat/completions HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Bearer {server.api_key}",
        f"Content-Length: {len(content)}",
    ]
    with socket.create_connection(("127.0.0.1", port)) as connection, connection.makefile("rb") as file:
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + content)
        while file.readline() not in (b"\r\n", b""):
            pass
        found = []
        while size := int(file.readline(), 16):
            found.append(file.read(size))
            file.readline()
        return found


class Scripted:
    """Be an endpoint that answers each request with a status and the next of some bodies, each in chunks."""

    def __init__(self, api_base: str) -> None:
        self.api_base = api_base
        self.api_key = "obviously-fake-upstream-key"


@contextmanager
def speaking(*bodies: list[bytes]) -> Iterator[Scripted]:
    """Serve an endpoint that says these bodies, each in these chunks of HTTP."""
    left = list(bodies)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None: ...

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for chunk in left.pop(0):
                self.wfile.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
            self.wfile.write(b"0\r\n\r\n")

    with listening(Handler) as address:
        yield Scripted(f"{address}/v1")
