"""What stands between a client and an endpoint, and spoils what passes: proxies, other clocks, wrong certificates."""

import http.client
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import urlsplit

import trustme

from tests.scripted import listening

Told = Callable[[str], tuple[int, bytes, Mapping[str, str]] | None]


@dataclass(frozen=True)
class Way:
    """Be what is done to what passes: `told` answers some paths itself, `ahead` is how far its clock is ahead."""

    upstream: str
    told: Told = lambda path: None
    ahead: timedelta = timedelta()
    tunnel: int = 501  # the status that a CONNECT is answered with
    seen: list[str] = field(default_factory=list)


@contextmanager
def relaying(way: Way, context: ssl.SSLContext | None = None) -> Iterator[str]:
    """Pass requests on to `way.upstream`, each answer in one piece when it has ended; yield the address.

    It serves as a proxy, too: then requests name the whole URL.
    """

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

        def handle(self) -> None:
            with suppress(OSError):  # who was shown a wrong certificate hangs up
                super().handle()

        def setup(self) -> None:
            if context is not None:
                self.request = context.wrap_socket(self.request, server_side=True, do_handshake_on_connect=False)
            super().setup()

        def date_time_string(self, timestamp: float | None = None) -> str:
            return format_datetime(datetime.now(UTC) + way.ahead, usegmt=True)

        def do_CONNECT(self) -> None:
            self.send_error(way.tunnel)

        def do_GET(self) -> None:
            self._pass_on(b"")

        def do_POST(self) -> None:
            self._pass_on(self.rfile.read(int(self.headers["Content-Length"])))

        def _pass_on(self, body: bytes) -> None:
            path = urlsplit(self.path).path
            way.seen.append(path)
            status, content, headers = way.told(path) or self._asked(path, body)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def _asked(self, path: str, body: bytes) -> tuple[int, bytes, dict[str, str]]:
            connection = http.client.HTTPConnection(urlsplit(way.upstream).netloc)
            connection.request(self.command, path, body, dict(self.headers))
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            return answer.status, content, {"Content-Type": answer.headers["Content-Type"]}

    with listening(Handler) as address:
        yield address if context is None else address.replace("http:", "https:")


def server_context(issued: trustme.LeafCert) -> ssl.SSLContext:
    """Return what a server needs to show a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued.configure_cert(context)
    return context


def trusted(authority: trustme.CA, folder: Path) -> dict[str, str]:
    """Return the variable that has httpx, and curl, trust an authority."""
    path = folder / "roots.pem"
    authority.cert_pem.write_to_path(str(path))
    return {"SSL_CERT_FILE": str(path)}
