"""A server that does as a test tells it, and the answers to tell it."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from scillm_helpers.client import Client, connect
from scillm_helpers.settings import Settings


@dataclass
class ScriptedServer:
    """Answer each request with the next of `answers`, and keep what was asked."""

    api_base: str
    answers: list[Callable[[BaseHTTPRequestHandler], None]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    gone: threading.Event = field(default_factory=threading.Event)  # set when the test is over

    def client(self, **variables: str) -> Client:
        """Return a client whose endpoint this is."""
        environ = {"CHUTES_API_BASE": self.api_base, "CHUTES_API_KEY": "obviously-fake", "CHUTES_MODEL": "some/model"}
        return connect(settings=Settings.from_env(environ | {"LITELLM_RETRY_AFTER": "0.01"} | variables))


@contextmanager
def serving() -> Iterator[ScriptedServer]:
    """Serve answers that a test scripts."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

        def do_POST(self) -> None:
            server.paths.append(self.path)
            # Their case means nothing: the HTTP client of openai 3 writes them small.
            server.headers.append({name.title(): value for name, value in self.headers.items()})
            server.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            server.answers.pop(0)(self)

        def do_GET(self) -> None:
            server.paths.append(self.path)
            server.answers.pop(0)(self)

    with listening(Handler) as address:
        server = ScriptedServer(f"{address}/v1")
        yield server
        server.gone.set()


@contextmanager
def listening(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Have requests handled on a port of 127.0.0.1, and yield its address."""
    http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    http.daemon_threads = True
    thread = threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{http.server_port}"
    http.shutdown()
    http.server_close()
    thread.join()


def answer(status: int, body: Any, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    """Return an answer with this status, this JSON body and these headers (`_` for `-`)."""

    def send(handler: BaseHTTPRequestHandler) -> None:
        data = json.dumps(body).encode()
        handler.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(data)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(data)

    return send


def completion(text: str = "OK") -> Callable[[BaseHTTPRequestHandler], None]:
    """Return an answer that is a whole chat completion."""
    message = {"role": "assistant", "content": text}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    head = {"id": "x", "object": "chat.completion", "created": 1, "model": "some/model"}
    return answer(200, {**head, "choices": choices, "usage": usage})


def error(status: int, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    """Return an answer that is an error in OpenAI's shape."""
    return answer(
        status, {"error": {"message": f"scripted {status}", "type": "scripted", "param": None, "code": None}}, **headers
    )


def events(*chunks: dict[str, Any], done: bool = True) -> Callable[[BaseHTTPRequestHandler], None]:
    """Return a stream of these chunks."""

    def send(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.end_headers()
        for chunk in chunks:
            handler.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
            handler.wfile.flush()
        if done:
            handler.wfile.write(b"data: [DONE]\n\n")

    return send


def chunk(finish_reason: str | None = None, **delta: Any) -> dict[str, Any]:
    """Return a chunk with one choice."""
    head = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "some/model"}
    return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}
