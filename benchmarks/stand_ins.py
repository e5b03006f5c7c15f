"""What a request that is not streamed takes: this project's endpoint, and the other stand-ins of the package index.

`python -m benchmarks.stand_ins REQUESTS` prints the median milliseconds of each. All serve at the same time, and are
asked in turn, so that whatever the machine does meets all of them.
"""

import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks import endpoint
from benchmarks.runners import BIN

OURS = "scillm-smoke serve"
_THEIRS = BIN.parent / "stand-ins" / "bin"
_WARM = 20  # requests
_PATIENCE_S = 60

_FAKELLM = "version: 1\ndefaults:\n  fallback: deterministic_echo\nrules: []\n"
_COMMANDS = {
    "fakellm": ["fakellm", "serve", "--port"],
    "llmock": ["llmock", "serve", "--log-level", "warning", "--port"],
    "ai-mock": ["ai-mock", "server", "--host", "127.0.0.1", "--port"],
}
_PATHS = {"ai-mock": "/openai/chat/completions"}


@dataclass(frozen=True)
class Served:
    """Be an endpoint to ask: its port, the path of its chat, a key and a model."""

    port: int
    path: str = "/v1/chat/completions"
    key: str = "obviously-fake"
    model: str = "gpt-4o"


class Connection:
    """Ask one endpoint again and again, on one connection."""

    def __init__(self, served: Served) -> None:
        self._http = http.client.HTTPConnection("127.0.0.1", served.port, timeout=_PATIENCE_S)
        self._path = served.path
        self._headers = {"Content-Type": "application/json", "Authorization": f"Bearer {served.key}"}
        self._body = json.dumps(
            {"model": served.model, "messages": [{"role": "user", "content": "Say hello, please."}]}
        )
        self.took_s: list[float] = []

    def warm_up(self) -> None:
        """Ask some times that do not count; some take seconds for the first, and close what waits beside them."""
        for _ in range(_WARM):
            self.ask()
        self.took_s.clear()
        self._http.close()

    def ask(self) -> None:
        """Make the request, and keep its time. Raises RuntimeError where it is not answered as asked."""
        began = time.perf_counter()
        self._http.request("POST", self._path, self._body, self._headers)
        answer = self._http.getresponse()
        body = answer.read()
        self.took_s.append(time.perf_counter() - began)
        if answer.status != 200 or "choices" not in json.loads(body):
            raise RuntimeError(f"{self._path} of port {self._http.port}: HTTP {answer.status}, {body[:200]!r}")


def measure(requests: int) -> dict[str, float]:
    """Return the median milliseconds of a request, for each stand-in."""
    with ExitStack() as stack, tempfile.TemporaryDirectory(prefix="bench-") as folder:
        Path(folder, "fakellm.yaml").write_text(_FAKELLM, encoding="utf-8")
        connections = {OURS: Connection(stack.enter_context(_ours()))}
        for name in _COMMANDS:
            connections[name] = Connection(stack.enter_context(_serving(name, Path(folder))))
        for connection in connections.values():
            connection.warm_up()
        for _ in range(requests):
            for connection in connections.values():
                connection.ask()
        return {name: round(median(one.took_s) * 1000, 3) for name, one in connections.items()}


@contextmanager
def _ours() -> Iterator[Served]:
    with endpoint.served() as environ:
        port = int(environ["CHUTES_API_BASE"].rpartition(":")[2].partition("/")[0])
        yield Served(port, key=environ["CHUTES_API_KEY"], model=environ["CHUTES_MODEL"])


@contextmanager
def _serving(name: str, folder: Path) -> Iterator[Served]:
    port = _free_port()
    environ = endpoint.clean() | {"PATH": f"{_THEIRS}:{os.environ['PATH']}"}  # ai-mock starts `uvicorn`
    process = subprocess.Popen(  # noqa: S603 - fixed words
        [_THEIRS / _COMMANDS[name][0], *_COMMANDS[name][1:], str(port)],
        cwd=folder,
        env=environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _wait_for(port, process)
        yield Served(port, _PATHS.get(name, Served.path))
    finally:
        os.killpg(process.pid, 9)  # some of them serve from a process of their own
        process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"{process.args!r} does not serve")


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))
