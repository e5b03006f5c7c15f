import base64
import io
import json
import random
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import yaml
from PIL import Image

from scillm_helpers.client import connect
from scillm_helpers.endpoint import serve, shelf
from scillm_helpers.endpoint.answers import Reset, Wait
from scillm_helpers.endpoint.canonical import Asked
from scillm_helpers.endpoint.cassettes import Cassette, Part, Recorded, end, entry, head, media_type, parse
from scillm_helpers.endpoint.cleaning import clean_parts
from scillm_helpers.endpoint.faults import NAMES
from scillm_helpers.endpoint.replayer import answer_of
from scillm_helpers.errors import CassetteError
from scillm_helpers.kinds import CAPABILITIES, is_unsupported, kind_of
from scillm_helpers.settings import Settings
from scillm_helpers.smoke.redact import Redactor
from tests.canaries import traces
from tests.cassettes import ask, chat, chunks, get, headers, recording, replaying, speaking
from tests.conftest import ROOT
from tests.polling import until
from tests.scripted import ScriptedServer, answer

TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
KEY = "canary-5up3r+s3cr3t/f00"


def _files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def _only(folder: Path) -> Cassette:
    (path,) = _files(folder)
    return shelf.read(path)


def _picture(colour: str) -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _with_picture(url: str) -> dict[str, Any]:
    return chat([{"type": "text", "text": "A color?"}, {"type": "image_url", "image_url": {"url": url}}])


BODIES = [
    chat("Say OK"),
    chat("Tell me a 10 word story.", stream=True),
    chat("Tell me a 10 word story.", stream=True, stream_options={"include_usage": True}),
    chat("Say OK", temperature=0.5),
    chat("Say OK", n=2),
    chat('Say "héllo 🙂".', stream=True),
    chat('Return only {"ok":true} as JSON.', response_format={"type": "json_object"}),
    chat("What is the weather?", tools=[TOOL], tool_choice="required"),
    chat("What is the weather?", tools=[TOOL], tool_choice="required", stream=True),
    {**chat("Say OK"), "model": "no/such-model"},
    {"messages": []},
    b"not JSON",
    b"\xff\x00",
]


# The same answers


def test_replay_answers_what_was_recorded(tmp_path: Path, endpoint: serve.Endpoint) -> None:
    """Status, media type and bytes of each answer, asked in another order; a cassette each."""
    with recording(tmp_path, endpoint) as live:
        first = [ask(live, body) for body in BODIES]
        listed, missing = get(live, "/models"), get(live, "/nowhere?page=2")
    assert len(_files(tmp_path)) == len(BODIES) + 2
    with replaying(tmp_path) as replay:
        assert (get(replay, "/nowhere?page=2").content, get(replay, "/models").content) == (
            missing.content,
            listed.content,
        )
        for body, before in reversed(list(zip(BODIES, first, strict=True))):
            after = ask(replay, body)
            told = [
                (it.status_code, it.content, it.headers["content-type"].partition(";")[0]) for it in (before, after)
            ]
            assert told[0] == told[1]


def test_concurrent_requests_get_each_its_own(tmp_path: Path, endpoint: serve.Endpoint) -> None:
    """Forty at a time, recorded and replayed in other orders."""
    bodies = [chat(f"Tell me a {words} word story.", stream=words % 2 == 0) for words in range(1, 41)]
    with ThreadPoolExecutor(20) as pool:
        with recording(tmp_path, endpoint) as live:
            first = list(pool.map(lambda body: ask(live, body).content, bodies))
        with replaying(tmp_path) as replay:
            again = list(pool.map(lambda body: ask(replay, body).content, bodies[::-1]))
    assert again[::-1] == first
    assert len(set(first)) == 40


def test_repeated_request_gets_its_answers_in_turn(tmp_path: Path, endpoint: serve.Endpoint) -> None:
    """A rate limit, no capacity, an answer; and after the last the last again."""
    with recording(tmp_path, endpoint) as live, endpoint.faults.scripted("429", "503", "ok"):
        first = [ask(live, chat("Say OK")).status_code for _ in range(3)]
    assert first == [429, 503, 200]
    with replaying(tmp_path) as replay:
        assert [ask(replay, chat("Say OK")).status_code for _ in range(5)] == [429, 503, 200, 200, 200]
        assert {entry.model for entry in replay.log.entries} == {"embedded/omni-1"}


def test_answers_stand_in_the_order_of_their_requests(tmp_path: Path, scripted: ScriptedServer) -> None:
    """The first to be asked for is the first, though it ends last."""
    second_is_done = threading.Event()

    def late(handler: Any) -> None:
        second_is_done.wait(30)
        answer(200, {"said": "first"})(handler)

    scripted.answers += [late, answer(200, {"said": "second"})]
    upstream: Any = type("Upstream", (), {"api_base": scripted.api_base, "api_key": "obviously-fake"})
    with recording(tmp_path, upstream) as live, ThreadPoolExecutor() as pool:
        first = pool.submit(ask, live, chat("Say OK"))
        until(lambda: scripted.bodies)
        assert ask(live, chat("Say OK")).json() == {"said": "second"}
        second_is_done.set()
        assert first.result().json() == {"said": "first"}
    assert [json.loads(it.parts[0].data)["said"] for it in _only(tmp_path).answers] == ["first", "second"]


def test_recording_again_replaces_what_is_asked_again(tmp_path: Path, endpoint: serve.Endpoint) -> None:
    """The rest stays, and nobody has to delete anything."""
    with recording(tmp_path, endpoint) as live, endpoint.faults.scripted("500"):
        assert [ask(live, chat("Say OK")).status_code for _ in range(2)] == [500, 200]
        kept = ask(live, chat("Say no")).content
    with recording(tmp_path, endpoint) as live:
        ask(live, chat("Say OK"))
    with replaying(tmp_path) as replay:
        assert ask(replay, chat("Say OK")).status_code == 200
        assert ask(replay, chat("Say no")).content == kept


@pytest.mark.parametrize("fault", [name for name in NAMES if not name.startswith(("slow", "stall", "x-api", "reset"))])
def test_fault_is_replayed(tmp_path: Path, endpoint: serve.Endpoint, fault: str) -> None:
    """What a provider does wrong is recorded like anything else: the same status, the same bytes."""
    body = chat('Say "héllo".', stream=True)
    with recording(tmp_path, endpoint) as live, endpoint.faults.scripted(fault):
        before = ask(live, body)
    with replaying(tmp_path) as replay:
        after = ask(replay, body)
    assert (after.status_code, after.content) == (before.status_code, before.content)
    assert b"\x1f\x8b" not in _files(tmp_path)[0].read_bytes()  # gzip is taken off


def test_reset_is_replayed_as_a_reset(tmp_path: Path, endpoint: serve.Endpoint) -> None:
    """The client sees the same part of the answer, then the same end."""
    seen = []

    def watch(server: serve.Server) -> None:
        with httpx.stream(
            "POST",
            f"{server.api_base}/chat/completions",
            json=chat("Tell me a story.", stream=True),
            headers=headers(server),
        ) as broken:
            for part in broken.iter_bytes():
                seen[-1] += part

    with recording(tmp_path, endpoint) as live, endpoint.faults.scripted("reset-mid-body"):
        seen.append(b"")
        with pytest.raises(httpx.ReadError):
            watch(live)
    told = _only(tmp_path).answers[0]
    assert told.end == "reset"
    assert told.parts
    with replaying(tmp_path) as replay:
        seen.append(b"")
        with pytest.raises(httpx.ReadError):
            watch(replay)
    # A reset may overtake what was sent before it.
    whole = b"".join(part.data for part in told.parts)
    assert whole.startswith(seen[0])
    assert whole.startswith(seen[1])


def test_answer_is_recorded_whole_when_its_client_leaves(tmp_path: Path) -> None:
    """The client reads one line and goes, and the recording ends at once: all of the stream is kept."""
    slow = serve.start(chunk_seconds=0.01)
    body = chat("Tell me a 20 word story.", stream=True)
    try:
        with (
            recording(tmp_path, slow) as live,
            httpx.stream("POST", f"{live.api_base}/chat/completions", json=body, headers=headers(live)) as left,
        ):
            next(left.iter_lines())
        with replaying(tmp_path) as replay:
            assert ask(replay, body).content == ask(slow, body).content
    finally:
        slow.stop()


# Parts


ODD = [b'data: {"a":"h\xc3', b"\xa9\n", b'llo"}\n\ndata: [DO', b"NE]\n", b"\n", b": a\x85b\r\n", b"\xff"]


def test_chunks_keep_their_boundaries(tmp_path: Path) -> None:
    """Also within a character, within an event, and of what is no text at all."""
    with speaking(ODD) as upstream, recording(tmp_path, upstream) as live:
        ask(live, chat("Say OK"))
    with replaying(tmp_path) as replay:
        assert chunks(replay, chat("Say OK")) == ODD


def test_timing_waits_as_long_as_the_recorded_endpoint() -> None:
    """Only where it is asked for; the first pause comes before the status."""
    recorded = Recorded(200, (Part(0.25, b"data: a\n\n"), Part(1.5, b"data: b\n\n")), "reset")
    assert answer_of(recorded, timing=True).parts == (Wait(0.25), b"data: a\n\n", Wait(1.5), b"data: b\n\n", Reset())
    assert answer_of(recorded, timing=False).parts == (b"data: a\n\n", b"data: b\n\n", Reset())


def test_timed_replay_says_the_same(tmp_path: Path, endpoint: serve.Endpoint) -> None:
    """The parts come with their pauses, and are all there."""
    body = chat("Tell me a 5 word story.", stream=True)
    with recording(tmp_path, endpoint) as live:
        before = chunks(live, body)
    with replaying(tmp_path, timing=True) as replay:
        assert chunks(replay, body) == before


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"a":', "application/json"),
        (b'\n["a"]', "application/json"),
        (b'"a"', "application/json"),
        (b"data: x\n\n", "text/event-stream"),
        (b": ping\n\ndata: x", "text/event-stream"),
        (b"event: x\n", "text/event-stream"),
        (b"<html>", "text/html"),
        (b"Bad gateway", "text/plain"),
        (b"", "text/plain"),
        (b"\xff\xd8", "application/octet-stream"),
    ],
)
def test_media_type_is_told_from_the_body(body: bytes, kind: str) -> None:
    """No header is kept that could say it."""
    assert media_type(body) == kind


# What makes a request the same


def _key(body: Any) -> str:
    return Asked.of("POST", "/chat/completions", json.dumps(body).encode(), list).key


def test_key_is_of_all_that_decides_the_answer() -> None:
    """The order of names is not; anything else is."""
    assert _key({"a": 1, "b": [{"c": 2, "d": 3}]}) == _key({"b": [{"d": 3, "c": 2}], "a": 1})
    bodies = [
        chat("Say OK"),
        chat("Say OK."),
        chat("Say OK", stream=True),
        chat("Say OK", temperature=0),
        chat("Say OK", tools=[TOOL]),
        chat("Say OK", response_format={"type": "json_object"}),
        chat("Say OK", n=2),
        _with_picture(_picture("red")),
        _with_picture(_picture("blue")),
        _with_picture("data:image/png;base64,%%%"),
        chat([{"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}]),
        chat([{"type": "input_audio", "input_audio": {"data": "AAAB", "format": "wav"}}]),
    ]
    keys = {_key(body) for body in bodies}
    keys |= {Asked.of(method, path, b"", list).key for method, path in [("GET", "/m"), ("POST", "/m"), ("GET", "/m?a")]}
    assert len(keys) == len(bodies) + 3


def test_picture_is_kept_as_a_digest(tmp_path: Path, endpoint: serve.Endpoint) -> None:
    """Two pictures, two answers, and of neither a byte on the disk."""
    pictures = [_picture("red"), _picture("blue")]
    with recording(tmp_path, endpoint) as live:
        first = [ask(live, _with_picture(picture)).content for picture in pictures]
    text = "".join(path.read_text() for path in _files(tmp_path))
    assert "base64" not in text
    assert text.count(" (image/png, ") == 2
    with replaying(tmp_path) as replay:
        assert [ask(replay, _with_picture(picture)).content for picture in pictures] == first


def test_file_is_named_so_that_a_person_finds_it(tmp_path: Path, endpoint: serve.Endpoint) -> None:
    """What was asked of which model; and the file is plain YAML with the text as it was sent."""
    with recording(tmp_path, endpoint) as live:
        said = ask(live, chat("Tell me a 10 word story, please!", stream=True)).text
    (path,) = _files(tmp_path)
    assert path.name.startswith("chat-completions-embedded-omni-1-tell-me-a-10-word-story-")
    loaded = yaml.safe_load(path.read_text())
    assert loaded["request"]["body"]["messages"] == chat("Tell me a 10 word story, please!")["messages"]
    assert "".join(part["text"] for part in loaded["answers"][0]["parts"]) == said
    for line in said.split("\n\n")[:-1]:
        assert f"\n      {line}\n" in path.read_text()


# Secrets


def test_no_key_is_kept(tmp_path: Path, endpoint: serve.Endpoint) -> None:
    """Neither that of the endpoint, nor the recording's own, nor one in a prompt, an answer, a name or a path."""
    local_key = serve.new_key()
    redactor = Redactor({KEY: "A_KEY", endpoint.api_key: "CHUTES_API_KEY", local_key: "CHUTES_API_KEY"})
    bodies = [
        chat(f"Say '{KEY} {endpoint.api_key} {local_key}'."),
        chat(f"Say '{KEY} {endpoint.api_key} {local_key}'.", stream=True),
        chat("Say OK", user=KEY, metadata={KEY: "x"}),
        f"not JSON {KEY}".encode(),
    ]
    with recording(tmp_path, endpoint, redactor.pieces, local_key=local_key) as live:
        first = [ask(live, body) for body in bodies]
        get(live, f"/nowhere?key={KEY}")
    assert KEY in first[0].text
    for path in _files(tmp_path):
        for secret in (KEY, endpoint.api_key, local_key):
            assert not [trace for trace in traces(secret) if trace in path.name.encode() + path.read_bytes()], path
    with replaying(tmp_path, redactor.pieces, local_key=local_key) as replay:
        again = [ask(replay, body) for body in bodies]
        assert get(replay, f"/nowhere?key={KEY}").status_code == 404
    assert [it.status_code for it in again] == [it.status_code for it in first]
    said = "[redacted A_KEY] [redacted CHUTES_API_KEY] [redacted CHUTES_API_KEY]"
    assert said in again[0].text
    events = [line.removeprefix("data: ") for line in again[1].text.split("\n\n")[:-2]]
    assert said in "".join(json.loads(event)["choices"][0]["delta"].get("content", "") for event in events)


def test_key_across_chunks_is_not_kept(tmp_path: Path) -> None:
    """The chunks before and after stay as they are."""
    parts = [b"data: a\n\n", b"data: " + KEY[:9].encode(), KEY[9:].encode() + b"\n\n", b"data: \xc3", b"\xa9\n\n"]
    clean = Redactor({KEY: "A_KEY"}).pieces
    with speaking(parts) as upstream, recording(tmp_path, upstream, clean) as live:
        assert KEY in ask(live, chat("Say OK")).text
    kept = [part.data for part in _only(tmp_path).answers[0].parts]
    assert kept == [parts[0], b"data: [redacted A_KEY]", b"\n\n", b"data: ", "é\n\n".encode()]


def test_key_told_in_deltas_is_not_kept() -> None:
    """Each delta has a piece of it, and of another choice's text, which stays."""

    def delta(first: str, second: str) -> bytes:
        choices = [{"index": 1, "delta": {"content": second}}, {"index": 0, "delta": {"content": first}}]
        return b"data: " + json.dumps({"choices": choices[:: -1 if first else 1]}).encode() + b"\n\n"

    pieces = [KEY[:3], KEY[3:8], KEY[8:]]
    stream = [
        *(delta(f"{number}{piece}" if number == 0 else piece, "ok ") for number, piece in enumerate(pieces)),
        b"data: [DONE]\n\n",
    ]
    whole = b"".join(stream)
    cleaned = clean_parts([whole[:50], whole[50:170], whole[170:]], Redactor({KEY: "A_KEY"}).pieces)
    assert len(cleaned) == 3
    events = [json.loads(line[6:]) for line in b"".join(cleaned).decode().split("\n\n")[:-2]]
    texts = ["".join(c["delta"]["content"] for e in events for c in e["choices"] if c["index"] == i) for i in (0, 1)]
    assert texts == ["0[redacted A_KEY]", "ok ok ok "]


@pytest.mark.parametrize("space", [b"", b" ", b"  ", b"\t"])
def test_key_told_by_logprobs_is_not_kept(space: bytes) -> None:
    """A reply, and a stream, that tells a key token by token and byte by byte; whichever space stands before an event."""
    tokens = [KEY[:5], KEY[5:]]
    told = [{"token": token, "bytes": list(token.encode()), "top_logprobs": []} for token in tokens]
    reply = {"choices": [{"index": 0, "message": {"content": KEY}, "logprobs": {"content": told}}]}
    stream = [{"choices": [{"index": 0, "delta": {"content": o["token"]}, "logprobs": {"content": [o]}}]} for o in told]
    clean = Redactor({KEY: "A_KEY"}).pieces
    for parts in (
        [json.dumps(reply).encode()],
        [b"data:" + space + json.dumps(event).encode() + b"\n\n" for event in stream],
    ):
        kept = b"".join(clean_parts(parts, clean)).decode()
        assert "[redacted A_KEY]" in kept
        assert not [token for token in tokens if token in kept or str(list(token.encode()))[1:9] in kept]


def test_logprobs_without_a_key_are_kept() -> None:
    """Nothing is dropped that need not be."""
    reply = [
        json.dumps({"choices": [{"message": {"content": "OK"}, "logprobs": {"content": [{"token": "OK"}]}}]}).encode()
    ]
    assert clean_parts(reply, Redactor({KEY: "A_KEY"}).pieces) == reply


# Refusals


def test_only_the_local_key_opens(tmp_path: Path, endpoint: serve.Endpoint) -> None:
    """A client has no use for the endpoint's key, and what it asks with a wrong one is not recorded."""
    with recording(tmp_path, endpoint) as live:
        before = len(endpoint.log.entries)
        for key in (endpoint.api_key, "é"):
            wrong = {"Authorization": f"Bearer {key}".encode()}
            refused = httpx.post(f"{live.api_base}/chat/completions", json=chat("Say OK"), headers=wrong)
            assert refused.status_code == 401
            assert refused.json()["error"]["code"] == "invalid_api_key"
        assert len(endpoint.log.entries) == before
        assert httpx.get(live.api_base.removesuffix("/v1"), headers=headers(live)).status_code == 404
        assert httpx.delete(f"{live.api_base}/models/x", headers=headers(live)).status_code == 405
    assert _files(tmp_path) == []


def test_endpoint_that_cannot_be_reached_is_not_recorded(tmp_path: Path, endpoint: serve.Endpoint) -> None:
    """A 502 in OpenAI's shape; the next request is recorded as if nothing had been."""
    with recording(tmp_path, endpoint) as live:
        with endpoint.refusing():
            refused = ask(live, chat("Say OK"))
        assert refused.status_code == 502
        assert refused.json()["error"]["message"].startswith("The recorded endpoint did not answer (")
        assert _files(tmp_path) == []
        assert ask(live, chat("Say OK")).status_code == 200
    assert [it.status for it in _only(tmp_path).answers] == [200]


def test_unknown_request_is_told_what_comes_nearest(tmp_path: Path, endpoint: serve.Endpoint) -> None:
    """The nearest cassette by name, and what differs, cut to where it does."""
    long = "Once upon a time there was a lighthouse keeper who lit the lamp each night."
    with recording(tmp_path, endpoint) as live:
        for body in (chat("Say OK"), chat(long, max_tokens=8), chat("Say OK", tools=[TOOL])):
            ask(live, body)
    with replaying(tmp_path) as replay:
        refused = ask(replay, chat(long.replace("night", "day"), max_tokens=9, seed=1))
        assert refused.status_code == 424
        error = refused.json()["error"]
        assert error["code"] == "not_recorded"
        (near,) = (path for path in _files(tmp_path) if "once" in path.name)
        assert error["message"] == (
            f"This request was not recorded. The nearest is {near.name}, which differs in "
            'messages[0].content (asked "…lamp each day.", recorded "…lamp each night."); '
            "max_tokens (asked 9, recorded 8); seed (asked 1, recorded none). "
            "Record it with scillm-smoke serve --record."
        )
        assert (
            "differs in tools[0]"
            in ask(replay, chat("Say OK", tools=[{"type": "function"}])).json()["error"]["message"]
        )
        assert "(asked " in get(replay, "/models").json()["error"]["message"]


@pytest.mark.parametrize(
    "prompt", ["Say no", "What is a rate limit?", "Images are not supported; tools and streams are not supported."]
)
def test_unknown_request_is_asked_once_and_misleads_nobody(
    tmp_path: Path, endpoint: serve.Endpoint, prompt: str
) -> None:
    """No client tries again, and it counts neither as a provider's failure nor as a missing capability."""
    with recording(tmp_path, endpoint) as live:
        ask(live, chat("Say OK"))
        ask(live, chat("What is a rate limit, in one word?"))
    with replaying(tmp_path) as replay:
        client = openai.OpenAI(base_url=replay.api_base, api_key=replay.api_key, max_retries=2)
        with pytest.raises(openai.APIStatusError) as direct:
            client.chat.completions.create(model="embedded/omni-1", messages=[{"role": "user", "content": prompt}])
        llm = connect(settings=Settings.from_env({**replay.environ, "LITELLM_RETRY_AFTER": "0.01"}))
        with pytest.raises(Exception, match="not recorded") as through:
            llm.completion(messages=[{"role": "user", "content": prompt}])
        assert len(replay.log.entries) == 2
    for error in (direct.value, through.value):
        assert kind_of(error) == "bad_request"
        assert not [name for name in CAPABILITIES if is_unsupported(error, name)]


# Files


def _cassette(text: str = "data: {}\n\n", times: int = 1) -> str:
    recorded = Recorded(200, (Part(0.1, text.encode()), Part(0.0, b"data: [DONE]\n\n")), "whole")
    return head(Asked("POST", "/chat/completions", chat("Say OK"))) + entry(recorded) * times + end()


def test_half_of_a_cassette_is_never_taken_for_one() -> None:
    """Wherever it was cut, also between two answers."""
    text = _cassette("wait\n...\nfor it\n...", times=2)
    assert len(parse(text, "x").answers) == 2
    for length in range(len(text) - 1):
        with pytest.raises(CassetteError, match=r"^x is not a whole cassette \(.*\); record it again\.$"):
            parse(text[:length], "x")


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("version: 1", "version: 2", "x is a cassette of version 2, and 1 is known; record it again."),
        ("version: 1", "v: 1", "x is not a whole cassette (it has no version); record it again."),
        ("status: 200", "state: 200", "x is not a whole cassette (status is missing); record it again."),
        ("status: 200", "status: fine", "x is not a whole cassette (status is of the wrong type); record it again."),
        ("status: 200", "status: 99", "x is not a whole cassette (status is 99); record it again."),
        ("end: whole", "end: open", "x is not a whole cassette (end is 'open'); record it again."),
        ("after_s: 0.1", "after_s: .nan", "x is not a whole cassette (after_s is nan); record it again."),
        ("method: POST", "method: [", "x is not a whole cassette (not YAML, line 5); record it again."),
        (
            "method: POST",
            "method: !!python/name:os.system",
            "x is not a whole cassette (not YAML, line 3); record it again.",
        ),
        ("path: ", "path: 2026-01-01 #", "x is not a whole cassette (path is of the wrong type); record it again."),
    ],
)
def test_cassette_that_is_none_is_refused_in_one_line(old: str, new: str, why: str) -> None:
    """It says which file, what is wrong with it, and what to do."""
    text = _cassette()
    assert old in text
    with pytest.raises(CassetteError) as refused:
        parse(text.replace(old, new), "x")
    assert str(refused.value) == why


def test_same_request_twice_is_refused(tmp_path: Path) -> None:
    """A copy that somebody has edited: nobody could tell which one answers."""
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(_cassette())
    with pytest.raises(CassetteError, match=r"a\.yaml and b\.yaml hold the same request; remove one of them\.$"):
        shelf.read_all(tmp_path)


def test_any_text_is_read_as_it_was_written() -> None:
    """Five hundred requests and answers of what YAML has a meaning for, and what no text may hold."""
    odd = ["\n", "\r", "\x85", "\u2028", " ", "\t", "\0", "\ufeff", "🙂", "é", "#", "-", ":", "...", "---", "'", '"', "|",
           "yes", "1e3", "=", "<<", "0x1", "12:30:45", "2026-01-01", "\ud800", "\x7f", "~", "&a", "*a", "!!x", "{", "%"]  # fmt: skip
    chance = random.Random(5)

    def text() -> str:
        return "".join(chance.choices(odd, k=chance.randrange(6)))

    for _ in range(500):
        body = {text(): [text(), {text(): text()}, chance.choice([1, 1.5, 1e30, True, None, [], {}])] for _ in range(3)}
        asked = Asked.of("POST", "/x", json.dumps(body).encode(), list)
        parts = tuple(
            Part(0.0, chance.choice([text().encode(errors="replace"), chance.randbytes(3)])) for _ in range(3)
        )
        read = parse(head(asked) + entry(Recorded(200, parts, "whole")) + end(), "x")
        assert (read.asked.body, read.asked.key) == (asked.body, asked.key)
        assert read.answers[0].parts == parts


def _write(folder: Path, times: int) -> None:
    text = entry(Recorded(200, (Part(0.0, b"data: x\n\n" * times),), "whole"))
    shelf.write(folder, Asked("GET", "/models", None), [text])


def test_reader_never_sees_half_of_a_cassette(tmp_path: Path) -> None:
    """Who has begun to read reads on in the old one, while the new one is written; then nothing else is left."""
    _write(tmp_path, 10_000)
    (path,) = _files(tmp_path)
    before = path.read_bytes()
    with path.open("rb") as reader:
        begun = reader.read(1000)
        _write(tmp_path, 5)
        assert begun + reader.read() == before
    assert _files(tmp_path) == [path]
    assert len(_only(tmp_path).answers[0].parts[0].data) == 5 * len(b"data: x\n\n")


# The kernel ends the process without a word, like SIGKILL, and just when so many bytes of a file are written.
KILLED = """
import resource, signal, sys
from pathlib import Path
from tests.test_cassettes import _write
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
_write(Path(sys.argv[1]), 10_000)
"""


def test_killed_recording_leaves_whole_cassettes(tmp_path: Path) -> None:
    """Killed in the middle of a file: what stood there before is whole, and is replayed."""
    _write(tmp_path, 3)
    before = _files(tmp_path)[0].read_bytes()
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGXFSZ
    assert [cassette.asked.path for cassette in shelf.read_all(tmp_path)] == ["/models"]
    assert (tmp_path / shelf.read_all(tmp_path)[0].name).read_bytes() == before


@pytest.mark.parametrize("stream", [True, False])
def test_recording_that_cannot_go_on_says_so(
    tmp_path: Path, endpoint: serve.Endpoint, capsys: pytest.CaptureFixture[str], stream: bool
) -> None:
    """The answer that cannot be kept does not end well; the next request is refused, and asks nobody."""
    folder = tmp_path / "cassettes"
    with recording(folder, endpoint) as live:
        folder.rmdir()
        folder.touch()
        with pytest.raises(httpx.TransportError):
            ask(live, chat("Say OK", stream=stream))
        assert "cannot be written (Not a directory)" in capsys.readouterr().err
        before = len(endpoint.log.entries)
        refused = ask(live, chat("Say OK"))
        assert refused.status_code == 424
        assert refused.json()["error"]["message"].endswith(
            "cannot be written (Not a directory); see to the folder, and record again."
        )
        assert len(endpoint.log.entries) == before
