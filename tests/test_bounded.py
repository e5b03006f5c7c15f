"""Whatever an endpoint sends, and however slowly, a read of it ends: in time, in bytes, and in memory."""

import asyncio
import gzip
import re
import tracemalloc
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from scillm_helpers import bounded
from scillm_helpers.bounded import ReplyTooLarge, fetch
from scillm_helpers.doctor import streams
from scillm_helpers.doctor.asking import ask
from scillm_helpers.doctor.patient import Patient
from scillm_helpers.endpoint.upstream import Call, Upstream
from scillm_helpers.errors import EndpointError
from scillm_helpers.listing import list_models
from scillm_helpers.settings import Settings
from tests import raw_server
from tests.harness import Smoke, refused, write
from tests.raw_server import ENDLESS, HEAD, HUGE, bomb, sending, serving
from tools import github

SECONDS = 0.2
LIMIT = 1024 * 1024
BUFFERS = 32 * 1024 * 1024  # bytes that a kernel may have taken from the server and not yet given to the reader


def _fetch(address: str) -> Any:
    return fetch("GET", address, seconds=SECONDS, limit=LIMIT)


def _list(address: str) -> Any:
    return list_models(address, "obviously-fake", SECONDS)


def _ask(address: str) -> Any:
    attempt = ask(address, seconds=SECONDS)
    assert attempt.answer is None
    assert attempt.error is not None
    raise attempt.error


def _patient(address: str) -> Patient:
    environ = {"CHUTES_API_BASE": f"{address}/v1", "CHUTES_API_KEY": "obviously-fake", "CHUTES_MODEL": "some/model"}
    settings = Settings.from_env({**environ, "LITELLM_TIMEOUT": str(SECONDS)})
    return Patient(environ, {}, settings, endpoint="live")


def _stream(address: str) -> Any:
    arrivals = streams._stream(_patient(address))
    assert arrivals.error is not None
    raise arrivals.error


def _record(address: str) -> Any:
    async def heard() -> bytes:
        upstream = Upstream(address, "obviously-fake", SECONDS, SECONDS, LIMIT)
        try:
            async with upstream.ask(Call("POST", "/chat/completions", {}, b"{}")) as answer:
                return b"".join([part async for part in upstream.body(answer)])
        finally:
            await upstream.close()

    return asyncio.run(heard())


READERS: list[Callable[[str], Any]] = [_fetch, _list, _ask, _stream, _record]


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lower the limit of the readers that have no argument for it."""
    monkeypatch.setattr(bounded.parts, "__defaults__", (LIMIT,))
    monkeypatch.setattr(bounded.read, "__defaults__", (LIMIT,))
    monkeypatch.setitem(bounded.fetch.__kwdefaults__, "limit", LIMIT)


@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__[1:])
@pytest.mark.parametrize("what", [*ENDLESS, *HUGE])
def test_every_read_ends(what: str, read: Callable[[str], Any]) -> None:
    """The reader gives up, hangs up, and has taken no more than the limit."""
    with serving((ENDLESS | HUGE)[what]) as server:
        with pytest.raises(Exception) as raised:  # noqa: PT011 - each reader has its own; none may be ours by accident
            read(server.address)
        assert server.left(), "the reader has not hung up"
        assert not isinstance(raised.value, AssertionError | TypeError | AttributeError)
        assert server.sent < LIMIT + BUFFERS


@pytest.mark.parametrize("what", HUGE)
def test_what_is_too_large_is_named(what: str) -> None:
    """A body by the limit of this module; a head by that of h11, which is 100 KiB in httpcore."""
    with serving(HUGE[what]) as server, pytest.raises(httpx.RequestError) as raised:
        fetch("GET", server.address, seconds=60, limit=LIMIT)
    assert isinstance(raised.value, httpx.RemoteProtocolError if "header" in what else ReplyTooLarge)


def test_bomb_costs_no_memory() -> None:
    """400 MB that travel as 400 KB are given up at the limit."""
    with serving(sending(bomb(400_000_000))) as server:
        tracemalloc.start()
        with pytest.raises(ReplyTooLarge):
            fetch("GET", server.address, seconds=60, limit=LIMIT)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 8 * LIMIT


def test_redirects_end() -> None:
    """A loop of them is left, and none is followed unasked."""
    with serving(raw_server.redirecting) as server:
        with pytest.raises(httpx.TooManyRedirects):
            fetch("GET", server.address, seconds=60, follow_redirects=True)
        assert len(server.requests) == 6
        assert fetch("GET", server.address, seconds=60).status_code == 302


def test_key_does_not_follow_a_redirect_to_another_host() -> None:
    """The second host is asked without it."""
    with serving(sending(HEAD + b"Content-Length: 2\r\n\r\n[]")) as other:
        away = f"HTTP/1.1 302 Found\r\nLocation: {other.address}\r\nContent-Length: 0\r\n\r\n".encode()
        with serving(sending(away)) as server:
            headers = {"Authorization": "Bearer obviously-fake"}
            assert fetch("GET", server.address, seconds=60, follow_redirects=True, headers=headers).json() == []
    assert b"obviously-fake" in server.requests[0]
    assert b"obviously-fake" not in other.requests[0]


@pytest.mark.parametrize("size", [0, 1, LIMIT])
def test_body_up_to_the_limit_is_whole(size: int) -> None:
    """Plain and compressed."""
    body = bytes(size)
    packed = gzip.compress(body)
    for head, sent in ((b"", body), (b"Content-Encoding: gzip\r\n", packed)):
        with serving(sending(HEAD + head + b"Content-Length: %d\r\n\r\n" % len(sent) + sent)) as server:
            assert fetch("GET", server.address, seconds=60, limit=LIMIT).content == body


@pytest.mark.parametrize("encoding", ["br", "zstd", "deflate", "gzip, gzip", "\x1b[31m"])
def test_encoding_that_was_not_asked_for_is_refused(encoding: str) -> None:
    """Each has its own bomb."""
    head = HEAD + f"Content-Encoding: {encoding}\r\nContent-Length: 2\r\n\r\n[]".encode()
    with serving(sending(head)) as server, pytest.raises(httpx.RequestError):
        fetch("GET", server.address, seconds=60)


def test_what_claims_to_be_gzip_and_is_not() -> None:
    """One line of an EndpointError, and no traceback of httpx."""
    false = HEAD + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n[]"
    with serving(sending(false)) as server, pytest.raises(EndpointError, match="not gzip, as it claims to be"):
        list_models(server.address, "obviously-fake", 60)


# What a list of models may do, the seconds that it is given, and what is said of it.
LISTS = [
    ("a body that drips", SECONDS, "no (whole list within 0.2 s|answer in time)", "no answer"),
    ("a body without end", 60, "a reply of more than 16,777,216 bytes", "a reply of more than 16,777,216 bytes"),
]


@pytest.mark.parametrize(("what", "seconds", "said", "seen"), LISTS)
def test_commands_end(smoke: Smoke, what: str, seconds: float, said: str, seen: str) -> None:
    """`run` is refused in one line, and the doctor names the list as the first cause, before its consequences."""
    write(smoke.folder / "a.ipynb", "1")
    with serving((ENDLESS | HUGE)[what]) as server:
        environ = {"CHUTES_API_BASE": f"{server.address}/v1", "CHUTES_API_KEY": "obviously-fake"}
        environ["LITELLM_TIMEOUT"] = str(seconds)
        assert re.search(said, refused(smoke.run("a.ipynb", **environ)))
        doctor = smoke("doctor", **environ)
    assert doctor.returncode == 1
    (cause,) = [line for line in doctor.stdout.splitlines() if line.startswith("First cause: ")]
    assert seen in cause


@pytest.mark.parametrize("what", ["a body that drips", "a body without end"])
def test_github_is_read_with_bounds_too(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page of issues that has no end."""
    monkeypatch.setattr(github, "_SECONDS", SECONDS)
    with serving((ENDLESS | HUGE)[what]) as server, pytest.raises(github.GitHubError):
        github.Repository(server.address, "some/project", None, sleep=lambda _: None).issues("label")


def test_list_of_issues_continues_on_the_same_host_only() -> None:
    """The token is for GitHub; a page that leads elsewhere is not followed."""
    page = HEAD + b'Link: <http://elsewhere.invalid/2>; rel="next"\r\nContent-Length: 2\r\n\r\n[]'
    with serving(sending(page)) as server, pytest.raises(github.GitHubError, match=r"continues at elsewhere\.invalid"):
        github.Repository(server.address, "some/project", "obviously-fake").issues("label")
