"""The endpoint waits for no request without end, and reads none whose end is doubtful. All of it over a real socket."""

import json
import socket
from collections.abc import Iterator
from http.client import HTTPResponse

import pytest

from scillm_helpers.endpoint import protocol, serve
from tests.polling import PATIENCE
from tests.specification import violations

POST = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
MODELS = "GET /v1/models HTTP/1.1\r\nHost: x\r\n{auth}\r\n"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[serve.Endpoint]:
    """Serve with a short patience."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(protocol, "HEAD_SECONDS", 0.3)
        patch.setattr(protocol, "BODY_SECONDS", 0.3)
        running = serve.start(chunk_seconds=0)
        yield running
        running.stop()


def _talk(endpoint: serve.Endpoint, text: str) -> list[tuple[int, str]]:
    """Send what a client sends, and return status and body of each answer until the server hangs up."""
    port = int(endpoint.api_base.split(":")[2].partition("/")[0])
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(text.replace("{auth}", f"Authorization: Bearer {endpoint.api_key}\r\n").encode("latin-1"))
        read = b""
        while part := connection.recv(65536):
            read += part
    return list(_answers(read))


def _answers(read: bytes) -> Iterator[tuple[int, str]]:
    while read:
        head, _, rest = read.partition(b"\r\n\r\n")
        lines = head.decode().lower().split("\r\n")
        if lines[0].startswith("http/1.1 100 "):
            read = rest
            continue
        length = next(int(line.split(":")[1]) for line in lines if line.startswith("content-length:"))
        yield int(lines[0].split()[1]), rest[:length].decode()
        read = rest[length:]


LATE = {
    "nothing": ("", [408]),
    "half a request line": ("GET /v1/mod", [408]),
    "half a header": ("GET /v1/models HTTP/1.1\r\nHost: ", [408]),
    "half a body": (POST + "{auth}Content-Length: 100\r\n\r\n{", [408]),
    "half a chunk": (POST + "{auth}Transfer-Encoding: chunked\r\n\r\n5\r\n{", [408]),
    "no body at all": (POST + "{auth}Content-Length: 100\r\nExpect: 100-continue\r\n\r\n", [408]),
    "half a body, refused": (POST + "Content-Length: 100\r\n\r\n{", [401]),
    "a second one, half": (MODELS + "GET /v1/models HTTP/1.1\r\nHost:", [200, 408]),
    "two, and a third one, half": (MODELS + MODELS + "G", [200, 200, 408]),
}


@pytest.mark.parametrize("sent", LATE)
def test_half_a_request_is_given_up(endpoint: serve.Endpoint, sent: str) -> None:
    """The server hangs up, and says why where it has answered nothing yet."""
    text, statuses = LATE[sent]
    answers = _talk(endpoint, text)
    assert [status for status, _ in answers] == statuses
    for status, body in answers:
        assert status == 200 or violations("ErrorResponse", json.loads(body)) == []


def test_slow_drip_is_given_up(endpoint: serve.Endpoint) -> None:
    """Further bytes give no further time, as they do in uvicorn."""
    port = int(endpoint.api_base.split(":")[2].partition("/")[0])
    with socket.create_connection(("127.0.0.1", port), timeout=0.02) as connection:
        read = b""
        connection.sendall(b"GET /v1/models HTTP/1.1\r\nX: ")
        while b"408" not in read:
            try:
                read += connection.recv(65536)
            except TimeoutError:
                connection.sendall(b"a")  # 50 times a second


def test_patient_connection_stays(endpoint: serve.Endpoint) -> None:
    """Between two requests a connection may rest for longer than a head may take."""
    port = int(endpoint.api_base.split(":")[2].partition("/")[0])
    ask = MODELS.replace("{auth}", f"Authorization: Bearer {endpoint.api_key}\r\n").encode()
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(ask)
        _read_reply(connection)
        connection.settimeout(1)  # three times as long
        with pytest.raises(TimeoutError):
            connection.recv(65536)
        connection.settimeout(60)
        connection.sendall(ask)
        _read_reply(connection)


def _read_reply(connection: socket.socket) -> None:
    """Read a reply to its end, whatever pieces it comes in."""
    with HTTPResponse(connection) as reply:
        reply.begin()
        assert reply.status == 200
        assert reply.read()


BODY = '{"model": "embedded/omni-1", "messages": [{"role": "user", "content": "hi"}]}'
CHUNKED = f"{len(BODY):x}\r\n{BODY}\r\n0\r\n\r\n"
DOUBTFUL = {
    "both lengths": POST + f"{{auth}}Content-Length: {len(BODY)}\r\nTransfer-Encoding: chunked\r\n\r\n{CHUNKED}",
    "both lengths, the other way": POST + f"{{auth}}Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n{CHUNKED}",
    "an empty length and chunks": POST + "{auth}Content-Length: 0\r\ntransfer-encoding: CHUNKED\r\n\r\n0\r\n\r\n",
    "chunks in HTTP/1.0": POST.replace("1.1", "1.0") + "{auth}Transfer-Encoding: chunked\r\n\r\n" + CHUNKED,
    "two lengths": POST + "{auth}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
    "two lengths in one": POST + "{auth}Content-Length: 3, 4\r\n\r\nabc",
    "a length with a sign": POST + "{auth}Content-Length: +3\r\n\r\nabc",
    "a length that is none": POST + "{auth}Content-Length: 0x3\r\n\r\nabc",
    "a space before the colon": POST + "{auth}Content-Length : 3\r\n\r\nabc",
    "an unknown coding": POST + "{auth}Transfer-Encoding: gzip, chunked\r\n\r\n" + CHUNKED,
    "two codings": POST + "{auth}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKED,
    "a coding that looks like chunked": POST + "{auth}Transfer-Encoding: xchunked\r\n\r\n" + CHUNKED,
    "a chunk size that is none": POST + "{auth}Transfer-Encoding: chunked\r\n\r\n0x4\r\nabcd\r\n0\r\n\r\n",
    "a chunk that is longer than it says": POST + "{auth}Transfer-Encoding: chunked\r\n\r\n2\r\nabcd\r\n0\r\n\r\n",
    "a null byte in a header": POST + "{auth}X: a\0b\r\n\r\n",
    "no host": MODELS.replace("Host: x\r\n", ""),
    "no HTTP": "\x16\x03\x01\x02\r\n\r\n",
}


@pytest.mark.parametrize("sent", DOUBTFUL)
def test_doubtful_request_is_refused(endpoint: serve.Endpoint, sent: str) -> None:
    """With an error in OpenAI's shape, and what is smuggled behind it is no request."""
    answers = _talk(endpoint, DOUBTFUL[sent] + MODELS)
    ((status, body),) = answers
    assert status in (400, 501)
    assert violations("ErrorResponse", json.loads(body)) == []


@pytest.mark.parametrize(
    "framing", [f"Content-Length: {len(BODY)}\r\n\r\n{BODY}", f"Transfer-Encoding: chunked\r\n\r\n{CHUNKED}"]
)
def test_plain_request_passes(endpoint: serve.Endpoint, framing: str) -> None:
    """Either length by itself, and the next request after it."""
    answers = _talk(endpoint, f"{POST}{{auth}}{framing}" + MODELS.replace("Host: x", "Host: x\r\nConnection: close"))
    assert [status for status, _ in answers] == [200, 200]


def test_client_that_leaves_half_a_body_is_no_error(
    endpoint: serve.Endpoint, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nothing is printed, and the log has the request."""
    seen = len(endpoint.log.entries)
    port = int(endpoint.api_base.split(":")[2].partition("/")[0])
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall((POST + f"Authorization: Bearer {endpoint.api_key}\r\nContent-Length: 9\r\n\r\n{{").encode())
    assert endpoint.log.wait_for(seen + 1, timeout=PATIENCE)[-1].status == 499
    assert capfd.readouterr().err == ""
