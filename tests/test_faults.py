"""What providers do wrong, on the wire; and which request meets what."""

import gzip
import json
import socket
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest

from scillm_helpers.endpoint import serve
from scillm_helpers.endpoint.faults import HEADER, NAMES, Fault, Faults
from scillm_helpers.errors import FaultError
from tests.harness import Smoke, refused
from tests.polling import PATIENCE

ASKED = {"model": "embedded/omni-1", "messages": [{"role": "user", "content": "Tell me a 10 word story."}]}
STREAMED = ASKED | {"stream": True, "stream_options": {"include_usage": True}}
TEXT = "The old lighthouse keeper lit the lamp and smiled softly."


def _ask(endpoint: serve.Endpoint, asked: dict[str, Any] = ASKED, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    sent = {"Authorization": f"Bearer {endpoint.api_key}"} | named
    return httpx.post(f"{endpoint.api_base}/chat/completions", json=asked, headers=sent, timeout=PATIENCE)


def _meet(endpoint: serve.Endpoint, fault: str, asked: dict[str, Any] = ASKED) -> httpx.Response:
    return _ask(endpoint, asked, **{HEADER: fault})


def _events(body: bytes) -> list[str]:
    return [event for event in body.decode().split("\n\n") if event]


@pytest.fixture
def fresh() -> Iterator[serve.Endpoint]:
    """Serve an endpoint that nobody has asked yet: an earlier request is logged when its answer has ended, or later."""
    running = serve.start(chunk_seconds=0)
    yield running
    running.stop()


# On the wire.


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("401", "invalid_api_key"),
        ("403", "permission_denied"),
        ("404", "model_not_found"),
        ("408", "request_timeout"),
        ("413", "request_too_large"),
        ("429", "rate_limit_exceeded"),
        ("500", None),
        ("503", "capacity"),
        ("529", "overloaded"),
    ],
)
@pytest.mark.parametrize("asked", [ASKED, STREAMED], ids=["reply", "stream"])
def test_refusal_has_its_status_and_the_shape_of_an_error(
    endpoint: serve.Endpoint, fault: str, code: str | None, asked: dict[str, Any]
) -> None:
    """A client reads them as it reads those of a provider."""
    answer = _meet(endpoint, fault, asked)
    assert answer.status_code == int(fault)
    assert answer.json()["error"].keys() == {"message", "type", "param", "code"}
    assert answer.json()["error"]["code"] == code


def test_bad_gateway_is_a_page(endpoint: serve.Endpoint) -> None:
    """A proxy before the provider knows nothing of JSON."""
    answer = _meet(endpoint, "502")
    assert (answer.status_code, answer.headers["content-type"]) == (502, "text/html")
    assert answer.text.startswith("<html>")


def test_retry_after_in_seconds_and_as_a_date(endpoint: serve.Endpoint) -> None:
    """RFC 9110 has both."""
    assert _meet(endpoint, "429=7").headers["retry-after"] == "7"
    answer = _meet(endpoint, "429-date=7")
    ahead = parsedate_to_datetime(answer.headers["retry-after"]) - parsedate_to_datetime(answer.headers["date"])
    assert 5 <= ahead.total_seconds() <= 9


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("empty", ""),
        ("fenced", f"```json\n{TEXT}\n```"),
        ("truncated", TEXT[: len(TEXT) // 2]),
        ("prose", f"Sure! Here it is:\n{TEXT}\nLet me know if you need anything else."),
    ],
)
def test_content_is_what_the_fault_makes_of_it(endpoint: serve.Endpoint, fault: str, text: str) -> None:
    """The same in a reply and in a stream."""
    reply = _meet(endpoint, fault).json()["choices"][0]
    assert (reply["message"]["content"], reply["finish_reason"]) == (text, "stop")
    assert _text(_meet(endpoint, fault, STREAMED).content) == text


def _text(body: bytes) -> str:
    """Return the text that whole events of a stream carry."""
    chunks = [json.loads(event[6:]) for event in _events(body) if event not in ("data: [DONE]", ": ping")]
    return "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"])


def test_stream_is_cut_without_a_finish_reason(endpoint: serve.Endpoint) -> None:
    """The connection is closed as after a whole stream."""
    body = _meet(endpoint, "cut", STREAMED).content
    assert TEXT.startswith(_text(body))
    assert 0 < len(_text(body)) < len(TEXT)
    assert b'"finish_reason":"stop"' not in body
    assert b"[DONE]" not in body


def test_stream_is_cut_inside_a_character(endpoint: serve.Endpoint) -> None:
    """The last byte is the first of two."""
    body = _meet(endpoint, "cut-in-character", STREAMED).content
    assert body[-1] == "à".encode()[0]
    with pytest.raises(UnicodeDecodeError, match="unexpected end of data"):
        body.decode()


def test_stream_is_cut_inside_a_token_of_json(endpoint: serve.Endpoint) -> None:
    """The last event is half of one."""
    last = _events(_meet(endpoint, "cut-in-token", STREAMED).content)[-1]
    with pytest.raises(json.JSONDecodeError):
        json.loads(last.removeprefix("data: "))


def test_one_chunk_is_malformed(endpoint: serve.Endpoint) -> None:
    """Those before it and after it are whole."""
    broken = []
    for event in _events(_meet(endpoint, "malformed-chunk", STREAMED).content)[:-1]:
        try:
            json.loads(event.removeprefix("data: "))
        except json.JSONDecodeError:
            broken.append(event)
    assert len(broken) == 1


def test_stream_of_200_holds_an_error(endpoint: serve.Endpoint) -> None:
    """The status has been sent long before."""
    answer = _meet(endpoint, "error-in-stream", STREAMED)
    *_, last, done = _events(answer.content)
    assert (answer.status_code, done) == (200, "data: [DONE]")
    assert json.loads(last[6:])["error"]["code"] == "capacity"


@pytest.mark.parametrize(("fault", "times"), [("ok", 1), ("double-done", 2), ("no-done", 0)])
def test_done_is_sent_as_often(endpoint: serve.Endpoint, fault: str, times: int) -> None:
    """Once, where nothing is wrong."""
    assert _events(_meet(endpoint, fault, STREAMED).content).count("data: [DONE]") == times


@pytest.mark.parametrize(("fault", "told"), [("ok", True), ("no-usage", False)])
def test_usage_is_told_or_not(endpoint: serve.Endpoint, fault: str, told: bool) -> None:
    """It was asked for."""
    body = _meet(endpoint, fault, STREAMED).content
    assert (b'"completion_tokens":12' in body) is told
    assert _text(body) == TEXT


def test_comments_stand_between_events(endpoint: serve.Endpoint) -> None:
    """As proxies and providers keep a connection alive."""
    events = _events(_meet(endpoint, "comments", STREAMED).content)
    assert events[::2] == [": ping"] * (len(events) // 2)


def test_lines_end_with_crlf(endpoint: serve.Endpoint) -> None:
    """The HTML standard allows it."""
    body = _meet(endpoint, "crlf", STREAMED).content
    assert body.count(b"\n") == body.count(b"\r\n") > 2


@pytest.mark.parametrize("asked", [ASKED, STREAMED], ids=["reply", "stream"])
def test_body_is_compressed(endpoint: serve.Endpoint, asked: dict[str, Any]) -> None:
    """Whether or not the client has asked for it; what it unpacks is the same."""
    with httpx.stream(
        "POST", f"{endpoint.api_base}/chat/completions", json=asked, headers=_headers(endpoint, "gzip")
    ) as raw:
        packed = b"".join(raw.iter_raw())
    assert raw.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed) == _ask(endpoint, asked).content


def _headers(endpoint: serve.Endpoint, fault: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {endpoint.api_key}", HEADER: fault}


def test_content_type_is_wrong(endpoint: serve.Endpoint) -> None:
    """The body is right."""
    answer = _meet(endpoint, "wrong-content-type")
    assert answer.headers["content-type"] == "text/html"
    assert answer.json()["choices"][0]["message"]["content"] == TEXT


def test_gateway_wants_its_own_header(endpoint: serve.Endpoint) -> None:
    """A bearer alone is refused, and the refusal says what to send."""
    answer = _meet(endpoint, "x-api-key")
    assert answer.status_code == 401
    assert "x-api-key: KEY" in answer.json()["error"]["message"]
    assert _ask(endpoint, **{HEADER: "x-api-key", "x_api_key": endpoint.api_key}).status_code == 200


@pytest.mark.parametrize(("fault", "some"), [("reset", False), ("reset-mid-body", True)])
@pytest.mark.parametrize("asked", [ASKED, STREAMED], ids=["reply", "stream"])
def test_connection_is_reset(endpoint: serve.Endpoint, fault: str, some: bool, asked: dict[str, Any]) -> None:
    """By TCP: the client sees no end of the answer but an error."""
    body = json.dumps(asked).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {endpoint.api_key}\r\n"
    url = httpx.URL(endpoint.api_base)
    with socket.create_connection((url.host, url.port), timeout=PATIENCE) as client:
        client.sendall(f"{head}{HEADER}: {fault}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        received = bytearray()
        with pytest.raises(ConnectionResetError):
            _receive(client, received)
    assert received.startswith(b"HTTP/1.1 200 OK") if some else received == b""


def _receive(client: socket.socket, received: bytearray) -> None:
    while part := client.recv(65536):
        received += part


@pytest.mark.parametrize("fault", ["slow-headers", "slow-first-token", "stall"])
def test_nothing_more_comes(fresh: serve.Endpoint, fault: str) -> None:
    """A client without patience leaves, and the endpoint notices it."""
    received = bytearray()
    with pytest.raises(httpx.ReadTimeout):
        _read_impatiently(fresh, fault, received)
    (entry,) = fresh.log.wait_for(1, timeout=PATIENCE)
    assert not entry.whole
    if fault == "slow-headers":
        assert entry.status is None
    else:
        assert bool(_text(bytes(received))) is (fault == "stall")


def _read_impatiently(endpoint: serve.Endpoint, fault: str, received: bytearray) -> None:
    patience = httpx.Timeout(30, read=0.5)
    url, headers = f"{endpoint.api_base}/chat/completions", _headers(endpoint, fault)
    with httpx.stream("POST", url, json=STREAMED, headers=headers, timeout=patience) as answer:
        for part in answer.iter_bytes():
            received += part


def test_connection_is_refused_while_the_block_lasts(endpoint: serve.Endpoint) -> None:
    """Afterwards the endpoint answers at the same address, with the same key."""
    with endpoint.refusing(), pytest.raises(httpx.ConnectError):
        _ask(endpoint)
    assert _ask(endpoint).status_code == 200


# Which request meets which.


@pytest.fixture(scope="module")
def own() -> Iterator[serve.Endpoint]:
    """Serve an endpoint whose faults no other test scripts."""
    running = serve.start(chunk_seconds=0)
    yield running
    running.stop()


def test_script_is_met_in_its_order(own: serve.Endpoint) -> None:
    """One request each, and those after it are answered."""
    with own.faults.scripted("503", "ok", "429"):
        assert [_ask(own).status_code for _ in range(3)] == [503, 200, 429]
    assert _ask(own).status_code == 200


def test_log_names_the_fault(fresh: serve.Endpoint) -> None:
    """So that a failed test can be told from a fault that it asked for."""
    with fresh.faults.scripted("503"):
        _ask(fresh)
    (entry,) = fresh.log.wait_for(1, timeout=PATIENCE)
    assert (entry.fault, entry.status) == ("503", 503)


def test_script_that_was_not_met_is_an_error(own: serve.Endpoint) -> None:
    """A test of three tries that sees two has not seen what it is for; and the rest meets nobody."""
    with pytest.raises(FaultError, match=r"^1 of 2 faults were not met"), own.faults.scripted("503", "503"):
        assert _ask(own).status_code == 503
    assert _ask(own).status_code == 200


def test_error_in_the_block_comes_first(own: serve.Endpoint) -> None:
    """What went wrong is not hidden by what was left."""
    with pytest.raises(ZeroDivisionError), own.faults.scripted("503"):
        _ = 1 / 0
    assert _ask(own).status_code == 200


def test_model_meets_its_fault_until_it_is_taken_away(own: serve.Endpoint) -> None:
    """Other models do not."""
    own.faults.of_model("embedded/omni-1", "503")
    assert [_ask(own).status_code, _ask(own).status_code] == [503, 503]
    assert _ask(own, ASKED | {"model": "embedded/text-1"}).status_code == 200
    own.faults.of_model("embedded/omni-1", "ok")
    assert _ask(own).status_code == 200


def test_request_comes_before_script_and_model(own: serve.Endpoint) -> None:
    """`ok` in the header lets a request through, and leaves the script as it is."""
    with own.faults.scripted("503"):
        assert _meet(own, "ok").status_code == 200
        assert _meet(own, "404").status_code == 404
        assert _ask(own).status_code == 503


@pytest.mark.parametrize(
    "refused", [{"headers": {"Authorization": "Bearer wrong"}}, {"content": b"{"}], ids=["key", "body"]
)
def test_request_that_is_refused_for_itself_meets_nothing(own: serve.Endpoint, refused: dict[str, Any]) -> None:
    """What the script has stays for the next."""
    sent = {"headers": {"Authorization": f"Bearer {own.api_key}"}, "content": json.dumps(ASKED).encode()} | refused
    with own.faults.scripted("fenced"):
        assert httpx.post(f"{own.api_base}/chat/completions", **sent).status_code in (400, 401)
        assert "```json" in _ask(own).text


def test_ok_comes_before_the_model(own: serve.Endpoint) -> None:
    """Whether the request says it, or the script."""
    own.faults.of_model("embedded/omni-1", "503")
    try:
        assert _meet(own, "ok").status_code == 200
        with own.faults.scripted("ok"):
            assert _ask(own).status_code == 200
        assert _ask(own).status_code == 503
    finally:
        own.faults.of_model("embedded/omni-1", "ok")


def test_fault_needs_the_key(own: serve.Endpoint) -> None:
    """A stranger learns nothing of them."""
    assert _ask(own, Authorization="Bearer wrong", **{HEADER: "503"}).status_code == 401


# Bad input.


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("430", "'430' is not a fault; choose ok or one of "),
        ("stal", "'stal' is not a fault; choose ok or one of stall"),
        ("", "'' is not a fault"),
        ("stall=3", "stall takes no time; write it without =3."),
        ("429=soon", "429=soon"),
        ("429=-1", "429=-1"),
        ("429=nan", "429=nan"),
        ("slow-headers=1e9", "slow-headers=1e9"),
    ],
)
def test_unknown_fault_is_named(own: serve.Endpoint, text: str, message: str) -> None:
    """By whoever is given it: a script, a model; and nothing of the script is kept."""
    with pytest.raises(FaultError) as caught:
        own.faults.add("503", text)
    assert message in str(caught.value)
    with pytest.raises(FaultError):
        own.faults.of_model("embedded/omni-1", text)
    assert _ask(own).status_code == 200


def test_unknown_fault_in_a_header_is_400(own: serve.Endpoint) -> None:
    """With the names that are near."""
    answer = _meet(own, "slow-header")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unknown_fault")
    assert "slow-headers" in answer.json()["error"]["message"]


def test_fault_of_streams_wants_a_stream(own: serve.Endpoint) -> None:
    """A check that meets nothing would be green for nothing."""
    answer = _meet(own, "stall")
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == "The fault stall is one of streams: ask with 'stream' true."


def test_unknown_model_is_named() -> None:
    """With those that there are."""
    with pytest.raises(FaultError, match=r"^'some/model' is not a model here; choose one of embedded/"):
        Faults().of_model("some/model", "503")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--fault", "429", "--fault", "430"], "'430' is not a fault; choose ok or one of "),
        (["--model-fault", "some/model", "503"], "'some/model' is not a model here; choose one of embedded/"),
        (["--model-fault", "embedded/omni-1", "5o3"], "'5o3' is not a fault; choose ok or one of "),
    ],
)
def test_serve_refuses_in_one_line(smoke: Smoke, arguments: list[str], message: str) -> None:
    """Before it serves anything."""
    assert message in refused(smoke("serve", *arguments))


def test_every_name_can_be_parsed() -> None:
    """As it stands in the list."""
    assert [Fault.parse(name).name for name in NAMES] == list(NAMES)
