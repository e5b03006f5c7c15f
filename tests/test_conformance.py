"""What the embedded endpoint sends is what OpenAI's specification says, and what three clients read in it is the same."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import jsonschema_rs
import litellm
import openai
import pytest
from llm_comply.config import ComplianceConfig
from llm_comply.http import close_client
from llm_comply.result import TestStatus as Status
from llm_comply.runner import TestRunner as Runner
from llm_comply.schema import SpecLoader
from llm_comply.tests import get_tests

from scillm_helpers.client import Client, connect
from scillm_helpers.endpoint import replies, serve
from scillm_helpers.endpoint.gateway import MAX_BODY
from scillm_helpers.settings import Settings
from tests.conversations import MODEL, REQUESTS, WEATHER, Request
from tests.polling import PATIENCE
from tests.specification import FILE, definitions, violations
from tools import openai_spec

every_request = pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
# LiteLLM sends this to a provider that it does not know only where it is told to.
ALLOWED = {"allowed_openai_params": ["reasoning_effort"]}
USAGE = {"stream": True, "stream_options": {"include_usage": True}}


# Made once: each new client of httpx reads all of the certificates of the machine.
@pytest.fixture(scope="module")
def raw(endpoint: serve.Endpoint) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {endpoint.api_key}"}
    with httpx.Client(base_url=endpoint.api_base, headers=headers, timeout=PATIENCE) as client:
        yield client


@pytest.fixture(scope="module")
def official(endpoint: serve.Endpoint) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=endpoint.api_base, api_key=endpoint.api_key, max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def llm(endpoint: serve.Endpoint) -> Client:
    return connect(settings=Settings.from_env(endpoint.environ))


def _body(raw: httpx.Client, request: Request) -> Any:
    answer = raw.post("/chat/completions", json=request)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json"), answer.text
    return answer.json()


def _chunks(raw: httpx.Client, request: Request) -> list[Any]:
    answer = raw.post("/chat/completions", json={**request, "stream": True})
    assert answer.headers["content-type"].startswith("text/event-stream")
    *events, done, end = answer.text.split("\n\n")
    assert (done, end) == ("data: [DONE]", "")
    assert all(event.startswith("data: {") for event in events)
    return [json.loads(event.removeprefix("data: ")) for event in events]


# The specification


def test_closure_is_made_from_the_published_document() -> None:
    """The script makes the stored file again, to the byte."""
    assert FILE.read_text(encoding="utf-8") == openai_spec.written(
        openai_spec.closure(openai_spec.load(), openai_spec.COMMIT)
    )


def test_closure_is_whole_and_plain_json_schema() -> None:
    """Each reference leads somewhere, `nullable` is nowhere, and it is valid under its own dialect."""
    schema = json.loads(FILE.read_text(encoding="utf-8"))
    assert {f"#/$defs/{name}" for name in definitions()} >= set(openai_spec.references(schema))
    assert "nullable" not in FILE.read_text(encoding="utf-8")
    assert jsonschema_rs.meta.is_valid(schema)
    assert set(openai_spec.ROOTS) <= set(definitions())


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string", "nullable": True}, None),
        ({"type": "string", "enum": ["a"], "nullable": True}, None),
        ({"$ref": "#/components/schemas/A", "nullable": True}, None),
        ({"oneOf": [{"type": "string"}], "nullable": True}, None),
        (
            {"type": "object", "properties": {"nullable": {"type": "null"}}, "required": ["nullable"]},
            {"nullable": None},
        ),
    ],
)
def test_nullable_becomes_a_union_with_null(schema: Any, value: Any) -> None:
    """Wherever it stands, and not where a property has its name."""
    made = {**openai_spec.rewritten(schema), "$defs": {"A": {"type": "string"}}}
    assert jsonschema_rs.Draft202012Validator(made).is_valid(value)
    assert not jsonschema_rs.Draft202012Validator(made).is_valid(5)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"id": 5}, "id"),
        ({"object": "chat.completion.chunk"}, "object"),
        ({"extra": 1}, "'extra' was unexpected"),
        ({"choices": [{"index": 0, "message": {"role": "assistant"}, "finish_reason": "done"}]}, "finish_reason"),
        ({"usage": {"prompt_tokens": 1.5}}, "usage"),
    ],
)
def test_what_does_not_conform_is_seen(raw: httpx.Client, change: Any, what: str) -> None:
    """The judge of these tests refuses a wrong type, word, property and number."""
    body = _body(raw, REQUESTS["text"])
    assert not violations("CreateChatCompletionResponse", body)
    assert what in str(violations("CreateChatCompletionResponse", body | change))


# Replies


@every_request
def test_reply_conforms(raw: httpx.Client, request_: Request) -> None:
    """The request is one of the specification, and so is all that comes back, with no property beside it."""
    assert not violations("CreateChatCompletionRequest", request_, closed=False)
    assert not violations("CreateChatCompletionResponse", _body(raw, request_))


@every_request
@pytest.mark.parametrize("options", [{}, USAGE], ids=["", "usage"])
def test_every_chunk_conforms(raw: httpx.Client, request_: Request, options: Any) -> None:
    """Each by itself, and all of them as parts of one reply; usage comes only where it was asked for, and last."""
    chunks = _chunks(raw, request_ | options)
    assert not [wrong for chunk in chunks for wrong in violations("CreateChatCompletionStreamResponse", chunk)]
    assert len({(chunk["id"], chunk["created"], chunk["model"], chunk["system_fingerprint"]) for chunk in chunks}) == 1
    assert [chunk.get("usage", "none") is None for chunk in chunks[:-1]] == [bool(options)] * (len(chunks) - 1)
    assert ("usage" in chunks[-1], chunks[-1]["choices"] == []) == (bool(options), bool(options))


@every_request
@pytest.mark.filterwarnings("ignore:jsonschema.RefResolver is deprecated:DeprecationWarning")
def test_llm_comply_finds_nothing(raw: httpx.Client, request_: Request, comply: SpecLoader) -> None:
    """An independent judge, with the whole document and another validator, agrees; of chunks its own run judges below.

    (llm-comply 0.5.0 would have no null in an enum that is nullable, so no finish reason of a chunk before the last.)
    """
    assert comply.validate(_body(raw, request_), "CreateChatCompletionResponse") == []


@pytest.fixture(scope="module")
def comply() -> SpecLoader:
    return SpecLoader(str(openai_spec.PUBLISHED))


@pytest.mark.parametrize(
    ("model", "beyond"),
    [
        ("embedded/omni-1", set()),
        ("embedded/text-1", {"chat-image-input"}),
        ("embedded/mini-1", {"chat-image-input", "chat-tool-calling"}),
    ],
)
@pytest.mark.filterwarnings("ignore:jsonschema.RefResolver is deprecated:DeprecationWarning")
def test_llm_comply_passes(endpoint: serve.Endpoint, comply: SpecLoader, model: str, beyond: set[str]) -> None:
    """Its own run passes without a warning, but for what a model cannot do; it skips what only some of OpenAI's can."""
    config = ComplianceConfig(endpoint.api_base, endpoint.api_key, model)
    results = Runner(config, get_tests("openai-chat"), comply).run_all().results
    close_client()
    assert {result.id for result in results if result.status is Status.FAILED} == beyond
    assert {result.id for result in results if result.status is Status.SKIPPED} == {"chat-reasoning-summary"}
    assert not [result.warnings for result in results if result.warnings and result.id not in beyond]


def test_models_conform(raw: httpx.Client) -> None:
    """The list, and each model by itself, as it is in the list."""
    listed = raw.get("/models").json()
    assert not violations("ListModelsResponse", listed)
    for model in listed["data"]:
        assert raw.get(f"/models/{model['id']}").json() == model
        assert not violations("Model", model)


# Errors

REFUSED: dict[str, tuple[int, str, str, dict[str, Any]]] = {
    "no JSON": (400, "POST", "/chat/completions", {"content": b"{"}),
    "no object": (400, "POST", "/chat/completions", {"json": []}),
    "a wrong value": (400, "POST", "/chat/completions", {"json": REQUESTS["text"] | {"n": 0}}),
    "an unknown field": (400, "POST", "/chat/completions", {"json": REQUESTS["text"] | {"max_token": 8}}),
    "a broken picture": (
        400,
        "POST",
        "/chat/completions",
        {"json": REQUESTS["picture"] | {"model": "embedded/text-1"}},
    ),
    "a wrong key": (401, "GET", "/models", {"headers": {"Authorization": "Bearer obviously-fake"}}),
    "no key": (401, "POST", "/chat/completions", {"headers": {"Authorization": ""}, "json": REQUESTS["text"]}),
    "an unknown model": (404, "POST", "/chat/completions", {"json": REQUESTS["text"] | {"model": "gpt-99"}}),
    "an unknown model by itself": (404, "GET", "/models/gpt-99", {}),
    "an unknown path": (404, "GET", "/embeddings", {}),
    "a slash too many": (404, "POST", "/chat/completions/", {"json": REQUESTS["text"]}),
    "a wrong method": (405, "GET", "/chat/completions", {}),
    "a body too large": (413, "POST", "/chat/completions", {"content": b" " * (MAX_BODY + 1)}),
}


@pytest.mark.parametrize("refused", REFUSED.values(), ids=REFUSED)
def test_error_conforms(raw: httpx.Client, refused: tuple[int, str, str, dict[str, Any]]) -> None:
    """Each refusal has the shape of ErrorResponse, with no property beside it."""
    status, method, path, options = refused
    answer = raw.request(method, path, **options)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json")
    assert not violations("ErrorResponse", answer.json())


_USER = {"role": "user", "content": "x"}


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"messages": [_USER] * 2049}, "messages", "invalid_value"),
        ({"messages": [_USER | {"content": "word " * 209_716}]}, "messages", "context_length_exceeded"),
        ({"messages": [_USER] * 2, "tools": [WEATHER] * 129}, "tools", "invalid_value"),
        ({"metadata": {str(i): "x" for i in range(17)}}, "metadata", "invalid_value"),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "x", "schema": {"enum": [1] * 20_001}},
                }
            },
            "response_format.json_schema.schema",
            "invalid_json_schema",
        ),
    ],
    ids=["messages", "text", "tools", "metadata", "schema"],
)
def test_too_much_is_refused(raw: httpx.Client, fields: Any, param: str, code: str) -> None:
    """A limit says which field is beyond it."""
    answer = raw.post("/chat/completions", json=REQUESTS["text"] | fields)
    assert (answer.status_code, answer.json()["error"]["param"], answer.json()["error"]["code"]) == (400, param, code)


@pytest.mark.parametrize("limit", [("_MAX_PICTURES", 1), ("_MAX_PIXELS", 40 * 30 - 1)], ids=["number", "pixels"])
def test_too_many_pictures_are_refused(
    raw: httpx.Client, limit: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their number is bounded, and so are their pixels together: the picture after the limit is at fault."""
    monkeypatch.setattr(replies, *limit)
    picture = REQUESTS["picture"]["messages"][0]["content"][1]
    asked = [{"role": "user", "content": [picture] * count} for count in (1, 2)]
    answers = [raw.post("/chat/completions", json=REQUESTS["text"] | {"messages": [message]}) for message in asked]
    assert [answer.status_code for answer in answers] == [200, 400]
    assert answers[1].json()["error"]["param"] == "messages[0].content[1].image_url.url"


# Three clients


def _said(body: Any) -> list[Any]:
    """Return what a reply says: for each choice its text, its calls and its finish reason."""
    return [
        (
            choice["message"]["content"],
            [
                (call["id"], call["function"]["name"], call["function"]["arguments"])
                for call in _calls(choice["message"])
            ],
            choice["finish_reason"],
        )
        for choice in body["choices"]
    ]


def _calls(message: Any) -> list[Any]:
    return message.get("tool_calls") or []


def _joined(chunks: list[Any]) -> list[Any]:
    """Return what the chunks of a stream say together, as `_said` has it."""
    texts: dict[int, str] = {}
    calls: dict[int, dict[int, list[str]]] = {}
    reasons: dict[int, str | None] = {}
    for choice in (choice for chunk in chunks for choice in chunk["choices"]):
        index, delta = choice["index"], choice["delta"]
        texts[index] = texts.get(index, "") + (delta.get("content") or "")
        reasons[index] = choice["finish_reason"] or reasons.get(index)
        for call in _calls(delta):
            parts = calls.setdefault(index, {}).setdefault(call["index"], ["", "", ""])
            for i, part in enumerate((call.get("id"), call["function"].get("name"), call["function"]["arguments"])):
                parts[i] += part or ""
    return [
        (texts[i] or (None if i in calls else ""), [tuple(call) for call in calls.get(i, {}).values()], reasons[i])
        for i in sorted(texts)
    ]


def _whole_raw(raw: httpx.Client, official: openai.OpenAI, llm: Client, request: Request) -> Any:
    return _body(raw, request)


def _whole_official(raw: httpx.Client, official: openai.OpenAI, llm: Client, request: Request) -> Any:
    completion = official.chat.completions.create(**request)
    _assert_known(completion)
    return completion.to_dict(mode="json")


def _whole_litellm(raw: httpx.Client, official: openai.OpenAI, llm: Client, request: Request) -> Any:
    return litellm.completion(**llm.kwargs | ALLOWED | request).model_dump(mode="json")


def _stream_raw(raw: httpx.Client, official: openai.OpenAI, llm: Client, request: Request) -> list[Any]:
    return _chunks(raw, request)


def _stream_official(raw: httpx.Client, official: openai.OpenAI, llm: Client, request: Request) -> list[Any]:
    with official.chat.completions.create(**request, stream=True) as stream:
        chunks = list(stream)
    for chunk in chunks:
        _assert_known(chunk)
    return [chunk.to_dict(mode="json") for chunk in chunks]


def _stream_litellm(raw: httpx.Client, official: openai.OpenAI, llm: Client, request: Request) -> list[Any]:
    return [
        chunk.model_dump(mode="json") for chunk in litellm.completion(**llm.kwargs | ALLOWED | request, stream=True)
    ]


def _assert_known(part: Any) -> None:
    """Its types, of a later specification than the vendored one, know every property and take every value."""
    if isinstance(part, list):
        for item in part:
            _assert_known(item)
    elif isinstance(part, openai.BaseModel):
        assert not part.model_extra, part
        type(part).model_validate(part.to_dict(), strict=True)
        for name in part.model_fields_set:
            _assert_known(getattr(part, name))


@every_request
@pytest.mark.parametrize("ask", [_whole_raw, _whole_official, _whole_litellm])
def test_clients_read_the_same_reply(
    ask: Callable[..., Any], raw: httpx.Client, official: openai.OpenAI, llm: Client, request_: Request
) -> None:
    """Text, calls, finish reasons and usage arrive; in the official client's types nothing is unknown or lost."""
    sent, read = _body(raw, request_), ask(raw, official, llm, request_)
    if ask is _whole_litellm:
        assert _said(read) == _said(sent)
        assert sent["usage"].items() <= read["usage"].items()
    else:
        assert read == sent


@every_request
@pytest.mark.parametrize("ask", [_stream_raw, _stream_official, _stream_litellm])
def test_clients_read_the_same_stream(
    ask: Callable[..., Any], raw: httpx.Client, official: openai.OpenAI, llm: Client, request_: Request
) -> None:
    """The chunks say together what the reply says that is not streamed."""
    whole, read = _said(_body(raw, request_)), _joined(ask(raw, official, llm, request_))
    if ask is _stream_litellm:
        # LiteLLM keeps the finish reason of the first choice only.
        assert read[0] == whole[0]
        whole, read = [said[:2] for said in whole], [said[:2] for said in read]
    assert read == whole


@pytest.mark.parametrize(
    ("fields", "status", "raised"),
    [
        ({"n": 0}, 400, openai.BadRequestError),
        ({"model": "gpt-99"}, 404, openai.NotFoundError),
        ({"extra_headers": {"Authorization": "Bearer obviously-fake"}}, 401, openai.AuthenticationError),
        ({"stop": " " * MAX_BODY}, 413, openai.APIStatusError),
    ],
    ids=["400", "404", "401", "413"],
)
def test_clients_read_the_same_error(
    official: openai.OpenAI, llm: Client, fields: Any, status: int, raised: type[openai.APIStatusError]
) -> None:
    """Status and message arrive in both; LiteLLM's exceptions are kinds of the official ones."""
    with pytest.raises(raised) as by_official:
        official.chat.completions.create(**REQUESTS["text"] | fields)
    assert by_official.value.status_code == status
    assert set(by_official.value.body) == {"message", "type", "param", "code"}
    # LiteLLM has no class for 413, and makes a plain APIError of it under openai 3.
    with pytest.raises(openai.APIError if status == 413 else raised) as by_litellm:
        litellm.completion(**llm.kwargs | {"max_retries": 0, "num_retries": 0} | REQUESTS["text"] | fields)
    assert by_litellm.value.status_code == status
    assert by_official.value.body["message"] in str(by_litellm.value)


def test_official_client_lists_what_is_there(raw: httpx.Client, official: openai.OpenAI) -> None:
    """Its list has every model with every property."""
    listed = list(official.models.list())
    assert [model.to_dict() for model in listed] == raw.get("/models").json()["data"]
    _assert_known(listed)
    assert official.models.retrieve(MODEL).to_dict() == listed[0].to_dict()


@pytest.mark.parametrize("name", ["tool chosen by the model", "text", "several choices"])
def test_message_may_come_back_as_it_was_read(official: openai.OpenAI, llm: Client, name: str) -> None:
    """The next turn carries the reply's message, as each client holds it."""
    request = REQUESTS[name]
    for create in (official.chat.completions.create, lambda **fields: litellm.completion(**llm.kwargs | fields)):
        message = create(**request).choices[0].message
        answers = [{"role": "tool", "tool_call_id": call.id, "content": "sunny"} for call in message.tool_calls or ()]
        messages = [*request["messages"], message, *(answers or [{"role": "user", "content": "Say OK"}])]
        assert create(**request | {"messages": messages}).choices[0].message.content


# Bytes

_PRINT_ALL = """
import sys, httpx
from scillm_helpers.endpoint import serve
from scillm_helpers.settings import Settings
from tests.conversations import REQUESTS
endpoint = serve.start(chunk_seconds=0)
headers = {"Authorization": f"Bearer {endpoint.api_key}"}
with httpx.Client(base_url=endpoint.api_base, headers=headers, timeout=300) as client:
    for path in ("/models", "/models/embedded/omni-1", "/models/gpt-99", "/nope"):
        sys.stdout.buffer.write(client.get(path).content + b"\\n")
    for request in REQUESTS.values():
        for options in ({}, {"stream": True}, {"stream": True, "stream_options": {"include_usage": True}}, {"n": 0}):
            sys.stdout.buffer.write(client.post("/chat/completions", json=request | options).content + b"\\n")
"""


def test_processes_send_identical_bytes(tmp_path: Any) -> None:
    """Another hash seed, time zone, locale and folder change no byte of any reply, stream or refusal."""
    environs = [
        {"PYTHONHASHSEED": "1", "TZ": "UTC", "LC_ALL": "C.UTF-8"},
        {"PYTHONHASHSEED": "2", "TZ": "Pacific/Kiritimati", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONOPTIMIZE": "1"},
    ]
    root = {"PATH": os.environ["PATH"], "PYTHONPATH": str(FILE.parents[2])}
    started = [
        subprocess.Popen([sys.executable, "-c", _PRINT_ALL], env=root | environ, cwd=folder, stdout=subprocess.PIPE)
        for environ, folder in zip(environs, (tmp_path, FILE.parent), strict=True)
    ]
    first, second = (process.communicate()[0] for process in started)
    assert [process.returncode for process in started] == [0, 0]
    assert first == second
    assert len(first.splitlines()) > 4 * len(REQUESTS)
