import base64
import io
import json
import socket
import subprocess
import sys
import threading
import time
from typing import Any

import httpx
import litellm
import openai
import pytest
from PIL import Image

from scillm_helpers.client import Client
from scillm_helpers.endpoint import serve
from scillm_helpers.endpoint.gateway import MAX_BODY
from tests.polling import PATIENCE

Reply = dict[str, Any]
OMNI = "embedded/omni-1"


def _post(endpoint: serve.Endpoint, body: Any, **options: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {endpoint.api_key}"} | options.pop("headers", {})
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.post(f"{endpoint.api_base}/chat/completions", content=content, headers=headers, timeout=PATIENCE)


def _ask(endpoint: serve.Endpoint, prompt: Any, **fields: Any) -> Reply:
    body = {"model": OMNI, "messages": [{"role": "user", "content": prompt}], **fields}
    answer = _post(endpoint, body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def _text(reply: Reply) -> str:
    return str(reply["choices"][0]["message"]["content"])


def _chunks(endpoint: serve.Endpoint, prompt: str, **fields: Any) -> list[Any]:
    """Return the decoded chunks of a stream, which must end in [DONE]."""
    answer = _post(
        endpoint, {"model": OMNI, "messages": [{"role": "user", "content": prompt}], "stream": True, **fields}
    )
    assert answer.headers["content-type"].startswith("text/event-stream")
    lines = [line for line in answer.text.split("\n\n") if line]
    assert all(line.startswith("data: ") for line in lines)
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]


def _picture(colour: str = "red", kind: str = "PNG") -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(buffer, kind)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _with_picture(url: str, text: str = "Say OK and a color in the image.") -> list[Any]:
    return [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": url}}]


# What the tutorials' prompts ask for


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("Say OK", "OK"),
        ("In one word, say OK", "OK"),
        ('Say "hello world".', "hello world"),
        ('Return only {"ok":true} as JSON.', '{"ok":true}'),
        ("Tell me a 10 word story.", "The old lighthouse keeper lit the lamp and smiled softly."),
    ],
)
def test_does_what_the_prompt_asks(endpoint: serve.Endpoint, prompt: str, said: str) -> None:
    """The prompts of the tutorials and the seed get what they ask for."""
    assert _text(_ask(endpoint, prompt)) == said


@pytest.mark.parametrize("words", [1, 5, 10, 37, 100])
def test_story_has_as_many_words_as_asked(endpoint: serve.Endpoint, words: int) -> None:
    """A number of words is a number of words."""
    assert len(_text(_ask(endpoint, f"Tell me a {words}-word story.")).split()) == words


def test_anything_else_gets_a_plausible_answer(endpoint: serve.Endpoint) -> None:
    """The answer speaks of the subject, and of another one when asked about another one."""
    tides = _text(_ask(endpoint, "Explain the tides."))
    assert "the tides" in tides
    assert tides != _text(_ask(endpoint, "Explain the seasons."))


# Shapes


def test_reply_has_the_whole_shape(endpoint: serve.Endpoint) -> None:
    """Every field that the specification requires is there, and the usage adds up."""
    reply = _ask(endpoint, "Say OK")
    assert set(reply) >= {"id", "object", "created", "model", "choices", "usage"}
    assert (reply["object"], reply["model"]) == ("chat.completion", OMNI)
    assert reply["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "OK", "refusal": None, "annotations": []},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ]
    assert reply["usage"] == {"prompt_tokens": 10 - 1, "completion_tokens": 1, "total_tokens": 10}


def test_stream_says_what_the_reply_says(endpoint: serve.Endpoint) -> None:
    """Role first, a token each, then the reason; no usage unless asked for."""
    chunks = _chunks(endpoint, "Tell me a 10 word story.")
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert deltas[0] == {"role": "assistant", "content": "", "refusal": None}
    assert "".join(delta.get("content", "") for delta in deltas) == _text(_ask(endpoint, "Tell me a 10 word story."))
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    assert all("usage" not in chunk for chunk in chunks)
    assert len({chunk["id"] for chunk in chunks}) == 1


def test_include_usage_adds_one_last_chunk(endpoint: serve.Endpoint) -> None:
    """It has no choices and the usage of the reply; all others have `usage: null`."""
    chunks = _chunks(endpoint, "Say OK", stream_options={"include_usage": True})
    assert [chunk["usage"] for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"] == _ask(endpoint, "Say OK")["usage"]


def test_multibyte_text_streams_whole_characters(endpoint: serve.Endpoint) -> None:
    """A character of several tokens comes in one piece."""
    said = "".join(c["choices"][0]["delta"].get("content", "") for c in _chunks(endpoint, 'Say "Grüße 你好 🎉🏔️"'))
    assert said == "Grüße 你好 🎉🏔️"


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_max_tokens_cuts_and_says_so(endpoint: serve.Endpoint, field: str) -> None:
    """The limit counts real tokens, and the reason is `length`."""
    reply = _ask(endpoint, "Tell me a 10 word story.", **{field: 3})
    assert (_text(reply), reply["choices"][0]["finish_reason"]) == ("The old l", "length")
    assert reply["usage"]["completion_tokens"] == 3
    assert _ask(endpoint, "Say OK", **{field: 1})["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("stop", ["lamp", ["lamp", "smiled"], ["never", "lamp"]])
def test_stop_ends_before_the_string(endpoint: serve.Endpoint, stop: Any) -> None:
    """The stop string itself is not said."""
    reply = _ask(endpoint, "Tell me a 10 word story.", stop=stop)
    assert _text(reply) == "The old lighthouse keeper lit the "
    assert reply["choices"][0]["finish_reason"] == "stop"


def test_n_gives_as_many_choices(endpoint: serve.Endpoint) -> None:
    """Each has its index, and all are counted; the stream carries them all."""
    reply = _ask(endpoint, "Explain tides.", n=3)
    assert [choice["index"] for choice in reply["choices"]] == [0, 1, 2]
    assert reply["usage"]["completion_tokens"] > 3
    texts = ["", "", ""]
    for chunk in _chunks(endpoint, "Explain tides.", n=3):
        choice = chunk["choices"][0]
        texts[choice["index"]] += choice["delta"].get("content", "")
    assert all(texts)


def test_seed_changes_the_answer_and_repeats_it(endpoint: serve.Endpoint) -> None:
    """Among some seeds, more than one answer is given; each seed has its own."""
    answers = [_text(_ask(endpoint, "Explain tides.", seed=seed)) for seed in range(8)]
    assert len(set(answers)) > 1
    assert answers == [_text(_ask(endpoint, "Explain tides.", seed=seed)) for seed in range(8)]


def test_bodies_do_not_wait_for_acknowledged_heads() -> None:
    """Nagle's algorithm is off: with it each reply on a kept connection came 40 ms later."""
    own = serve.start()  # no other test's connections come and go
    try:
        with httpx.Client() as client:
            client.get(own.api_base)
            (connection,) = own._server.server_state.connections
            assert connection.transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    finally:
        own.stop()


def test_identical_requests_give_identical_bytes_in_every_process(endpoint: serve.Endpoint) -> None:
    """`id` and `created` are part of that; another process, with another hash seed, says the same."""
    body = {"model": OMNI, "messages": [{"role": "user", "content": "Explain tides."}], "n": 2}
    streamed = body | {"stream": True, "stream_options": {"include_usage": True}}
    here = [_post(endpoint, each).content for each in (body, body, streamed, streamed)]
    assert here[0] == here[1]
    assert here[2] == here[3]
    script = f"""
import httpx, sys
from scillm_helpers.endpoint import serve
endpoint = serve.start(chunk_seconds=0)
for body in ({body!r}, {streamed!r}):
    headers = {{"Authorization": "Bearer " + endpoint.api_key}}
    sys.stdout.buffer.write(httpx.post(endpoint.api_base + "/chat/completions", json=body, headers=headers).content)
"""
    environ = {"PATH": "/usr/bin:/bin", "PYTHONHASHSEED": "7"}
    there = subprocess.run([sys.executable, "-c", script], capture_output=True, env=environ, check=True).stdout
    assert there == here[0] + here[2]


# JSON


def test_json_object_is_json(endpoint: serve.Endpoint) -> None:
    """Whatever the prompt, the text parses; the keys that it quotes are there."""
    for prompt in ("Explain tides as JSON.", "Say OK", 'Give JSON with the keys "city" and "country".'):
        assert isinstance(json.loads(_text(_ask(endpoint, prompt, response_format={"type": "json_object"}))), dict)
    assert set(json.loads(_text(_ask(endpoint, prompt, response_format={"type": "json_object"})))) == {
        "city",
        "country",
    }


SCHEMAS: list[Any] = [
    {
        "type": "object",
        "properties": {"name": {"type": "string"}, "born": {"type": "integer"}},
        "required": ["name", "born"],
    },
    {"type": "array", "items": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, "minItems": 3},
    {"type": "string", "pattern": "^[A-Z]{3}-\\d{4}$"},
    {"type": "string", "minLength": 20, "maxLength": 22},
    {"type": "integer", "multipleOf": 7, "minimum": 10},
    {"enum": ["red", "green"]},
    {"const": {"a": [1]}},
    {"anyOf": [{"type": "null"}, {"type": "boolean"}]},
    {"allOf": [{"properties": {"a": {"type": "string"}}, "required": ["a"]}, {"required": ["b"]}], "type": "object"},
    {
        "$ref": "#/$defs/N",
        "$defs": {
            "N": {
                "type": "object",
                "properties": {"next": {"anyOf": [{"$ref": "#/$defs/N"}, {"type": "null"}]}},
                "required": ["next"],
            }
        },
    },
    {
        "type": "object",
        "properties": {"when": {"type": "string", "format": "date-time"}},
        "additionalProperties": False,
        "required": ["when"],
    },
    {"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 2},
    {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": False, "minItems": 2},
]


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: json.dumps(schema)[:40])
def test_json_schema_answer_conforms(endpoint: serve.Endpoint, schema: Any) -> None:
    """The jsonschema package, which the endpoint does not use, is the judge; for replies and tool arguments."""
    import jsonschema

    shape = {"type": "json_schema", "json_schema": {"name": "shape", "schema": schema, "strict": True}}
    jsonschema.validate(json.loads(_text(_ask(endpoint, "Ada Lovelace, 1815", response_format=shape))), schema)
    wrapped = {
        "type": "object",
        "properties": {"value": {k: v for k, v in schema.items() if k != "$defs"}},
        "required": ["value"],
    }
    wrapped |= {"$defs": schema["$defs"]} if "$defs" in schema else {}
    tool = {"type": "function", "function": {"name": "keep", "parameters": wrapped}}
    reply = _ask(endpoint, "Ada Lovelace, 1815", tools=[tool], tool_choice="required")
    jsonschema.validate(json.loads(reply["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"]), wrapped)


def test_json_schema_takes_the_facts_of_the_prompt(endpoint: serve.Endpoint) -> None:
    """An extraction gets its own names and numbers back."""
    shape = {"type": "json_schema", "json_schema": {"name": "shape", "schema": SCHEMAS[0]}}
    reply = _ask(endpoint, "Extract the person as JSON: Ada Lovelace was born in 1815.", response_format=shape)
    assert json.loads(_text(reply)) == {"name": "Ada Lovelace", "born": 1815}


# Tools

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def test_tool_call_streamed_and_not(endpoint: serve.Endpoint) -> None:
    """The arguments conform, and the stream's pieces add up to the same call."""
    choice = _ask(endpoint, "What is the weather in Paris?", tools=[WEATHER])["choices"][0]
    call = choice["message"]["tool_calls"][0]
    assert (choice["finish_reason"], call["type"], call["function"]["name"]) == (
        "tool_calls",
        "function",
        "get_weather",
    )
    assert json.loads(call["function"]["arguments"]) == {"city": "Paris"}
    chunks = _chunks(endpoint, "What is the weather in Paris?", tools=[WEATHER])
    pieces = [d["tool_calls"][0] for c in chunks if "tool_calls" in (d := c["choices"][0]["delta"])]
    assert pieces[0]["function"]["name"] == "get_weather"
    assert "".join(piece["function"]["arguments"] for piece in pieces) == call["function"]["arguments"]


def test_tool_choice_is_kept_to(endpoint: serve.Endpoint) -> None:
    """None means none; auto means only where it fits; a named one is called."""
    assert _text(_ask(endpoint, "Weather in Paris? Say OK", tools=[WEATHER], tool_choice="none")) == "OK"
    assert _text(_ask(endpoint, "Say OK", tools=[WEATHER])) == "OK"
    named = {"type": "function", "function": {"name": "get_weather"}}
    assert _ask(endpoint, "Say OK", tools=[WEATHER], tool_choice=named)["choices"][0]["message"]["tool_calls"]


def test_tool_round_ends_in_an_answer(endpoint: serve.Endpoint) -> None:
    """After the tool has answered, the model does."""
    call = _ask(endpoint, "Weather in Paris?", tools=[WEATHER])["choices"][0]["message"]
    messages = [
        {"role": "user", "content": "Weather in Paris?"},
        call,
        {"role": "tool", "tool_call_id": call["tool_calls"][0]["id"], "content": "sunny"},
    ]
    answer = _post(endpoint, {"model": OMNI, "messages": messages, "tools": [WEATHER]}).json()
    assert "sunny" in _text(answer)


def test_tool_is_called_for_each_that_the_prompt_lists(endpoint: serve.Endpoint) -> None:
    """In parallel, each call with its own id; the stream's pieces say by their index whose they are."""
    prompt = "What is the weather in Paris, New York and in London?"
    choice = _ask(endpoint, prompt, tools=[WEATHER])["choices"][0]
    calls = choice["message"]["tool_calls"]
    cities = [{"city": "Paris"}, {"city": "New York"}, {"city": "London"}]
    assert [json.loads(call["function"]["arguments"]) for call in calls] == cities
    assert len({call["id"] for call in calls}) == 3
    chunks = _chunks(endpoint, prompt, tools=[WEATHER])
    deltas = [delta for chunk in chunks for delta in chunk["choices"][0]["delta"].get("tool_calls", [])]
    streamed = ["".join(d["function"]["arguments"] for d in deltas if d["index"] == i) for i in range(3)]
    assert [json.loads(arguments) for arguments in streamed] == cities
    assert [delta["function"]["name"] for delta in deltas if "id" in delta] == ["get_weather"] * 3
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_one_call_at_a_time_is_kept_to(endpoint: serve.Endpoint) -> None:
    """Where parallel calls are switched off, or one function is named."""
    named = {"type": "function", "function": {"name": "get_weather"}}
    for asked in ({"parallel_tool_calls": False}, {"tool_choice": named}):
        reply = _ask(endpoint, "Weather in Paris and London?", tools=[WEATHER], **asked)
        assert len(reply["choices"][0]["message"]["tool_calls"]) == 1


def test_error_of_a_tool_is_tried_again(endpoint: serve.Endpoint) -> None:
    """The model reads what was wrong, and calls once more; then all results are in its answer."""
    question = {"role": "user", "content": "Weather in Paris and London?"}
    call = _ask(endpoint, question["content"], tools=[WEATHER])["choices"][0]["message"]
    ids = [made["id"] for made in call["tool_calls"]]

    def go_on(*results: str) -> Reply:
        said = [
            {"role": "tool", "tool_call_id": made, "content": text} for made, text in zip(ids, results, strict=True)
        ]
        messages = [question, call, *said]
        return dict(_post(endpoint, {"model": OMNI, "messages": messages, "tools": [WEATHER]}).json())

    assert go_on("sunny", "Error: no such city")["choices"][0]["message"]["tool_calls"]
    assert _text(go_on("sunny", "rainy")) == "The tools answered: sunny; rainy"


def test_one_of_the_options_is_the_answer(endpoint: serve.Endpoint) -> None:
    """Models differ in which; each says the same thing to the same question."""
    said = {_text(_ask(endpoint, f"Is {n} odd? Answer with one of: yes, no, or maybe.")) for n in range(20)}
    assert said == {"yes", "no", "maybe"}


def test_paced_endpoint_takes_its_time_for_a_whole_reply() -> None:
    """As long as the stream would take: a pause for each token."""
    paced = serve.start(chunk_seconds=0.02, paced=True)
    start = time.monotonic()
    tokens = _ask(paced, "Tell me a 10 word story.")["usage"]["completion_tokens"]
    assert time.monotonic() - start > 0.02 * tokens
    paced.stop()


# Images


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
@pytest.mark.parametrize("colour", ["red", "lime", "blue", "white", "black", "yellow"])
def test_dominant_colour_is_named(endpoint: serve.Endpoint, kind: str, colour: str) -> None:
    """Every format is really decoded."""
    assert (
        _text(_ask(endpoint, _with_picture(_picture(colour, kind)))) == f"OK, {'green' if colour == 'lime' else colour}"
    )


def test_bigger_pictures_cost_more(endpoint: serve.Endpoint) -> None:
    """A picture counts as tokens of the prompt."""

    def cost(side: int) -> int:
        buffer = io.BytesIO()
        Image.new("RGB", (side, side)).save(buffer, "PNG")
        url = f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
        return int(_ask(endpoint, _with_picture(url))["usage"]["prompt_tokens"])

    assert cost(600) - cost(100) == 3 * 170


# Refusals


def _refused(answer: httpx.Response, status: int, param: str | None = None) -> str:
    assert answer.status_code == status, answer.text
    problem = answer.json()["error"]
    assert set(problem) == {"message", "type", "param", "code"}
    assert problem["param"] == param
    return str(problem["message"])


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[1,", b"\xff", b'{"a": NaN}', b'{"a": 1e999}', b'"\\ud800"', b"[" * 9999]
)
def test_bad_json_is_refused(endpoint: serve.Endpoint, body: bytes) -> None:
    """What does not parse, in whatever way, is a 400."""
    assert "JSON body" in _refused(_post(endpoint, body), 400)


@pytest.mark.parametrize("body", [b"[]", b"1", b"null", b'"x"'])
def test_json_that_is_no_object_is_refused(endpoint: serve.Endpoint, body: bytes) -> None:
    """The body must be an object."""
    assert "must be a JSON object" in _refused(_post(endpoint, body), 400)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages[0]"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": "8"}, "max_tokens"),
        ({"temperature": 3}, "temperature"),
        ({"n": 0}, "n"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"max_token": 8}, "max_token"),
        ({"response_format": {"type": "yaml"}}, "response_format"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"tools": [WEATHER], "tool_choice": {"type": "function", "function": {"name": "x"}}}, "tool_choice"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools[0].function.name"),
        ({"logprobs": True}, "logprobs"),
    ],
)
def test_bad_field_is_named(endpoint: serve.Endpoint, fields: Any, param: str) -> None:
    """A 400 says which field, in OpenAI's way of writing it."""
    body = {"model": OMNI, "messages": [{"role": "user", "content": "Say OK"}]} | fields
    assert _refused(_post(endpoint, body), 400, param)


@pytest.mark.parametrize(
    "schema", [{"type": "nope"}, {"$ref": "http://127.0.0.1:9/x"}, {"not": {}}, {"$ref": "#"}, {"pattern": "("}]
)
def test_schema_that_cannot_be_met_is_refused(endpoint: serve.Endpoint, schema: Any) -> None:
    """No answer is better than one that does not conform."""
    shape = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    body = {"model": OMNI, "messages": [{"role": "user", "content": "x"}], "response_format": shape}
    assert _refused(_post(endpoint, body), 400, "response_format.json_schema.schema")


def _fanned_out(kind: str) -> Any:
    """Return a small schema whose instances would be beyond all memory."""
    if kind == "arrays":
        schema: Any = {"type": "string"}
        for _ in range(12):
            schema = {"type": "array", "minItems": 10, "items": schema}
        return schema
    names = [f"d{i}" for i in range(31)]
    refs = [{"$ref": f"#/$defs/{name}"} for name in names[1:]]
    if kind == "allOf":
        defs: Any = {name: {"allOf": [ref, ref]} for name, ref in zip(names, refs, strict=False)}
    else:
        defs = {
            name: {"type": "object", "properties": {"a": ref, "b": ref}, "required": ["a", "b"]}
            for name, ref in zip(names, refs, strict=False)
        }
    return {"$ref": "#/$defs/d0", "$defs": defs | {"d30": {"type": "string"}}}


@pytest.mark.parametrize(
    "schema",
    [
        {"enum": []},
        {"type": "string", "minLength": 10**9},
        {"type": "string", "minLength": 2**70},
        {"type": "array", "minItems": 10**8},
        {"type": "object", "minProperties": 10**7},
        {"minimum": 10**400},
        {"minimum": 1.5e308, "multipleOf": 1e308},
        {"type": "string", "pattern": "[^\\x00-\\x7f]{3}"},
        {"type": "object", "properties": {f"a{i}": {"$ref": "#"} for i in range(20)}},
        _fanned_out("objects"),
        _fanned_out("allOf"),
        _fanned_out("arrays"),
    ],
    ids=lambda schema: json.dumps(schema)[:40],
)
def test_schema_that_asks_for_too_much_is_refused_at_once(endpoint: serve.Endpoint, schema: Any) -> None:
    """No 500, no hang, no memory gone: the endpoint stops counting at a bound."""
    shape = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    body = {"model": OMNI, "messages": [{"role": "user", "content": "x"}], "response_format": shape}
    assert "cannot make an instance" in _refused(_post(endpoint, body), 400, "response_format.json_schema.schema")


@pytest.mark.parametrize("schema", [{"type": "string", "minLength": 3.0}, {"type": "array", "minItems": 2.0}])
def test_whole_floats_are_whole_numbers(endpoint: serve.Endpoint, schema: Any) -> None:
    """JSON Schema knows one kind of number: 3.0 is 3."""
    shape = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    assert len(json.loads(_text(_ask(endpoint, "x", response_format=shape)))) >= 2


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("https://example.com/a.png", "never fetches a URL"),
        ("http://169.254.169.254/latest", "never fetches a URL"),
        ("file:///etc/passwd", "never fetches a URL"),
        ("data:image/png;base64,@@@", "not valid base64"),
        ("data:image/png;base64,é", "not valid base64"),
        ("", "is not a base64 data URL of type"),
        ("data:image/tiff;base64,AAAA", "is not a base64 data URL of type"),
        ("data:image/png;base64,aGVsbG8=", "not a PNG, JPEG, WebP or GIF"),
        ("data:image/png;base64,", "not a PNG, JPEG, WebP or GIF"),
        (_picture()[:-40] + "AAAA", "does not decode"),
    ],
)
def test_broken_image_is_refused(endpoint: serve.Endpoint, url: str, message: str) -> None:
    """Only a data URL that really decodes is looked at."""
    body = {"model": OMNI, "messages": [{"role": "user", "content": _with_picture(url)}]}
    assert message in _refused(_post(endpoint, body), 400, "messages[0].content[1].image_url.url")


def test_url_is_never_fetched(endpoint: serve.Endpoint) -> None:
    """A listener at the URL of an image, and of a schema, is not called."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/x"
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"$ref": url}}}
    for fields in ({"content": _with_picture(url)}, {"content": "x"}):
        body = {"model": OMNI, "messages": [{"role": "user", **fields}], "response_format": schema}
        assert _post(endpoint, body).status_code == 400
    with pytest.raises(BlockingIOError):
        listener.accept()
    listener.close()


def test_missing_skills_are_refused(endpoint: serve.Endpoint) -> None:
    """A text model says that it has no vision; the smallest one has no tools either."""
    picture = {"model": "embedded/text-1", "messages": [{"role": "user", "content": _with_picture(_picture())}]}
    assert "does not support image input" in _refused(
        _post(endpoint, picture), 400, "messages[0].content[1].image_url.url"
    )
    tools = {"model": "embedded/mini-1", "messages": [{"role": "user", "content": "x"}], "tools": [WEATHER]}
    assert "does not support tools" in _refused(_post(endpoint, tools), 400, "tools")


def test_unknown_model_is_404(endpoint: serve.Endpoint) -> None:
    """The model is the field at fault."""
    body = {"model": "gpt-99", "messages": [{"role": "user", "content": "x"}]}
    assert "gpt-99" in _refused(_post(endpoint, body), 404, "model")


@pytest.mark.parametrize(
    "header", [{"Authorization": ""}, {"Authorization": "Bearer obviously-fake"}, {"Authorization": "Basic x"}]
)
def test_wrong_key_is_401(endpoint: serve.Endpoint, header: dict[str, str]) -> None:
    """No key, a wrong one and another scheme are refused, on every route."""
    assert _refused(_post(endpoint, {}, headers=header), 401)
    assert _refused(httpx.get(f"{endpoint.api_base}/models", headers=header), 401)


def test_oversized_body_is_413(endpoint: serve.Endpoint) -> None:
    """The limit holds while the body arrives, whatever its length claims to be."""
    assert "larger than" in _refused(_post(endpoint, b" " * (MAX_BODY + 1)), 413)


def test_wrong_method_is_405_and_wrong_path_404(endpoint: serve.Endpoint) -> None:
    """Errors of routing have OpenAI's shape too."""
    refused = httpx.get(f"{endpoint.api_base}/chat/completions")
    assert _refused(refused, 405)
    assert refused.headers["allow"] == "POST"
    assert _refused(httpx.get(f"{endpoint.api_base}/nope"), 404)


# The server


def test_loopback_only_random_key_and_free_port(endpoint: serve.Endpoint) -> None:
    """Each start has its own key and port, on 127.0.0.1."""
    other = serve.start()
    assert other.api_key != endpoint.api_key
    assert len(other.api_key) > 30
    assert other.api_base != endpoint.api_base
    assert other.api_base.startswith("http://127.0.0.1:")
    assert other.api_key not in repr(other)
    other.stop()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{other.api_base}/models")


def test_log_has_no_secret_and_no_prompt(tmp_path: Any) -> None:
    """A line a request: what was asked for, and what came of it."""
    endpoint = serve.start(chunk_seconds=0)
    _post(endpoint, {"model": OMNI, "messages": [{"role": "user", "content": "a private matter"}]})
    endpoint.log.write_to(tmp_path / "log.jsonl")
    httpx.get(f"{endpoint.api_base}/models")
    endpoint.log.wait_for(2, timeout=PATIENCE)
    endpoint.stop()
    lines = (tmp_path / "log.jsonl").read_text()
    assert [json.loads(line)["status"] for line in lines.splitlines()] == [200, 401]
    assert json.loads(lines.splitlines()[0])["model"] == OMNI
    assert "private" not in lines
    assert endpoint.api_key not in lines


def test_concurrent_requests_all_get_their_own_answer(endpoint: serve.Endpoint) -> None:
    """Twenty at once, each with its own word."""
    answers: dict[int, str] = {}

    def ask(number: int) -> None:
        answers[number] = _text(_ask(endpoint, f"Say word{number}"))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {number: f"word{number}" for number in range(20)}


# The clients that people use


def test_openai_client(endpoint: serve.Endpoint) -> None:
    """The official client lists, asks, streams, calls tools and reads errors."""
    with openai.OpenAI(base_url=endpoint.api_base, api_key=endpoint.api_key, max_retries=0) as client:
        assert next(model.id for model in client.models.list()) == OMNI
        assert client.models.retrieve("embedded/text-1").id == "embedded/text-1"
        ask: Any = {"model": OMNI, "messages": [{"role": "user", "content": "Weather in Paris?"}]}
        assert client.chat.completions.create(**ask).choices[0].message.content
        with client.chat.completions.create(**ask, stream=True) as stream:
            assert list(stream)[-1].choices[0].finish_reason == "stop"
        assert client.chat.completions.create(**ask, tools=[WEATHER]).choices[0].message.tool_calls
        with pytest.raises(openai.NotFoundError, match="gpt-99"):
            client.chat.completions.create(**ask | {"model": "gpt-99"})


@pytest.mark.parametrize(
    ("fields", "raised"),
    [
        ({"model": "gpt-99"}, litellm.NotFoundError),
        ({"api_key": "obviously-fake"}, litellm.AuthenticationError),
        ({"messages": []}, litellm.BadRequestError),
    ],
)
def test_litellm_reads_the_errors(llm: Client, fields: Any, raised: type[Exception]) -> None:
    """Each refusal is the exception that LiteLLM has for it."""
    call = {**llm.kwargs, "messages": [{"role": "user", "content": "x"}]} | fields
    with pytest.raises(raised):
        litellm.completion(**call)
