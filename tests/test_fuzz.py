"""Ten thousand requests, drawn from OpenAI's specification and spoilt: each gets an answer that conforms.

FUZZ_REQUESTS sends another number of them, FUZZ_SEED others than those that every run sends.
"""

import http.client
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import hypothesis
import psutil
import pytest
from hypothesis import strategies as st

from tests.conftest import ROOT
from tests.conversations import MODEL, REQUESTS
from tests.fuzzing import CHAT, Sent, conforming, spoilt
from tests.specification import violations

COUNT = int(os.environ.get("FUZZ_REQUESTS", "10000"))
EACH = 10  # requests that are made of one that is drawn
SECONDS = 30  # in which each must be answered
GROWTH = 64 * 1024 * 1024  # bytes: what the endpoint may hold more at the end than after its first requests

PLAIN = Sent(json.dumps(REQUESTS["knobs"]).encode())

_SERVE = """
from scillm_helpers.endpoint import serve
endpoint = serve.start(chunk_seconds=0)
print(endpoint.api_base, endpoint.api_key, flush=True)
endpoint.wait()
"""


class Target:
    """Be an endpoint in a process of its own, and one kept connection to it."""

    def __init__(self) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", _SERVE], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        base, self._key = self.process.stdout.readline().split()
        self._connection = http.client.HTTPConnection(urlsplit(base).netloc, timeout=SECONDS)
        self.statuses: Counter[int] = Counter()

    def send(self, sent: Sent) -> tuple[int, str, bytes]:
        """Return status, media type and body. Raises TimeoutError for no answer, and ConnectionError for a broken one."""
        headers = {"Authorization": f"Bearer {self._key}"} | sent.headers
        latin = {name: value.encode("latin-1") for name, value in headers.items()}
        try:
            self._connection.request(sent.method, sent.path, sent.body, latin)
            answer = self._connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException):
            self.hang_up()
            raise
        self.statuses[answer.status] += 1
        return answer.status, (answer.headers["content-type"] or "").partition(";")[0], body

    @property
    def memory(self) -> int:
        return int(psutil.Process(self.process.pid).memory_info().rss)

    def hang_up(self) -> None:
        """Have the next request open a new connection."""
        self._connection.close()

    def stop(self) -> None:
        self.hang_up()
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def target() -> Iterator[Target]:
    running = Target()
    yield running
    running.stop()


def _wrong(sent: Sent, status: int, kind: str, body: bytes) -> list[str]:
    """Return what is wrong with an answer."""
    if sent.method == "HEAD":
        return [] if status in {200, 404, 405} and not body else [f"{status} with {body!r}"]
    if kind == "text/event-stream":
        events, end, rest = body.rpartition(b"data: [DONE]\n\n")
        if status != 200 or not end or rest:
            return [f"{status}, and ends with {body[-40:]!r}"]
        chunks = [json.loads(event.removeprefix(b"data: ")) for event in events.split(b"\n\n")[:-1]]
        return [wrong for chunk in chunks for wrong in violations("CreateChatCompletionStreamResponse", chunk)]
    if status == 200:
        return violations(_schema(sent), json.loads(body))
    return violations("ErrorResponse", json.loads(body)) if 400 <= status < 500 else [f"status {status}"]


def _schema(sent: Sent) -> str:
    if sent.method == "POST":
        return "CreateChatCompletionResponse"
    return "ListModelsResponse" if sent.path == "/v1/models" else "Model"


@pytest.mark.slow
def test_ten_thousand_requests(target: Target) -> None:
    """No 5xx, no hang, no answer that does not conform, and memory stays bounded; some get each of the usual answers."""
    before = target.send(PLAIN)
    held: list[int] = []

    @hypothesis.settings(
        max_examples=COUNT // EACH,
        derandomize="FUZZ_SEED" not in os.environ,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(conforming("CreateChatCompletionRequest"), st.integers(0, 2**32))
    def fuzz(request: Any, seed: int) -> None:
        for sent in spoilt(request, seed, EACH - 1):
            if wrong := _wrong(sent, *target.send(sent)):
                target.hang_up()  # what hypothesis sends to see it again must not meet what is left of this
                pytest.fail(f"{wrong}\n{sent}")
        held.append(target.memory)

    if "FUZZ_SEED" in os.environ:
        fuzz = hypothesis.seed(int(os.environ["FUZZ_SEED"]))(fuzz)
    fuzz()
    assert target.statuses.total() > COUNT
    assert target.send(PLAIN) == before
    assert max(held) - max(held[: len(held) // 10]) < GROWTH
    assert {200, 400, 401, 404, 405} <= set(target.statuses)


_WORD = {"type": "string"}


def _asking(prompt: str, schema: Any = None, **fields: Any) -> Any:
    shape = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    messages = [{"role": "user", "content": prompt}]
    return {"model": MODEL, "messages": messages, **({"response_format": shape} if schema else {}), **fields}


COSTLY: dict[str, Any] = {
    "repetitions in repetitions": _asking("x", {"type": "string", "pattern": "((((.*)*)*)*)*"}),
    "backtracking": _asking("x", {"type": "string", "pattern": "^(a+)+b$"}),
    "names": _asking("Abc abc, " * 110_000, {"type": "array", "items": _WORD, "minItems": 100}),
    "names that do not fit": _asking("Abc, " * 200_000, {"items": _WORD | {"minLength": 50}, "minItems": 400}),
    "numbers that do not fit": _asking(
        "5 " * 20_000, {"items": {"type": "integer", "minimum": 10**9}, "minItems": 1000}
    ),
    "quoted keys": _asking("".join(f"'k{i}' " for i in range(100_000)), response_format={"type": "json_object"}),
    "branches": _asking("x", {"anyOf": [{"anyOf": [{"anyOf": [_WORD] * 50}] * 50}] * 50}),
    "properties": _asking(
        "x", {"properties": (named := {f"a{i}": _WORD for i in range(9000)}), "required": list(named)}
    ),
    "words": _asking("word " * 2_000_000),
    "messages": _asking("x") | {"messages": _asking("x")["messages"] * 100_000},
    "pictures": REQUESTS["picture"]
    | {"messages": [{"role": "user", "content": [REQUESTS["picture"]["messages"][0]["content"][1]] * 2000}]},
    "choices": _asking("x", {"type": "array", "items": _WORD, "minItems": 2000}, n=128),
}


@pytest.mark.parametrize("request_", COSTLY.values(), ids=COSTLY)
def test_costly_request_is_answered(costly: Target, request_: Any) -> None:
    """What would keep a machine busy for minutes is refused, or does not: the answer conforms, and the next one comes, too."""
    for sent in (Sent(json.dumps(request_).encode()), PLAIN):
        assert not _wrong(sent, *costly.send(sent))


@pytest.fixture(scope="module")
def costly() -> Iterator[Target]:
    running = Target()
    yield running
    running.stop()


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        (
            (500, "application/json", b'{"error": {"message": "", "type": "", "param": null, "code": null}}'),
            "status 500",
        ),
        ((307, "", b"{}"), "status 307"),
        ((400, "application/json", b'{"error": "x"}'), "error: "),
        ((200, "application/json", b"{}"), "is a required property"),
        ((200, "text/event-stream", b"data: {}\n\ndata: [DONE]\n\n"), "is a required property"),
        ((200, "text/event-stream", b""), "ends with"),
    ],
)
def test_wrong_answers_are_seen(answer: tuple[int, str, bytes], wrong: str) -> None:
    """The judge of the fuzz test refuses what it should."""
    try:
        told = str(_wrong(Sent(b"", "POST", CHAT), *answer))
    except ValueError as error:
        told = str(error)
    assert wrong in told
