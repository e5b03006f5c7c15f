"""Requests for the fuzz test: hypothesis draws them from the vendored specification, and then they are spoilt."""

import copy
import functools
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from tests.conversations import REQUESTS, TIME, WEATHER
from tests.specification import definitions

CHAT = "/v1/chat/completions"
JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Sent:
    """Be one HTTP request."""

    body: bytes
    method: str = "POST"
    path: str = CHAT
    headers: dict[str, str] = field(default_factory=lambda: JSON)


# What the specification leaves open, and what means something to the endpoint.

_WORDS = st.sampled_from(
    [
        *(
            "Say OK",
            "Tell me a 10 word story.",
            "Explain tides.",
            "Weather and time in Paris?",
            "",
            " ",
            "\0",
            "é🎉\u2028",
        ),
        *(
            'Return only {"ok": true} as JSON.',
            'JSON with the keys "a" and "b".',
            "Say 'x'",
            "word " * 60,
            "<|endoftext|>",
        ),
        *("{subject} {0} %s", "Explain {", "1 -2.5 9999999999999999 1e9 Ada Lovelace", "000 words", "Say \u0130\ufb01"),
    ]
)
_TEXT = _WORDS | st.text(max_size=12)
_URLS = st.sampled_from(
    [
        REQUESTS["picture"]["messages"][0]["content"][1]["image_url"]["url"],
        *("", "data:image/png;base64,", "data:image/png;base64,AAAA", "data:image/gif;base64,R0lGODlhAQABAAAAACw="),
        *("https://example.com/x.png", "file:///etc/passwd", "data:,", "data:image/png;base64,é"),
    ]
)
_NAMES = st.sampled_from(["get_weather", "get_time", "a", "A-1_b", "x" * 64, "0", "x" * 65])
_SCALARS: st.SearchStrategy[Any] = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 10**6), st.floats(-1e6, 1e6), st.sampled_from(["", "a", "$ref", "é"])
)
_KEYWORDS: dict[str, st.SearchStrategy[Any]] = {
    "type": st.sampled_from(
        ["object", "array", "string", "integer", "number", "boolean", "null", ["string", "null"], []]
    ),
    "enum": st.lists(_SCALARS, max_size=3),
    "const": _SCALARS,
    "required": st.lists(st.sampled_from(["a", "b", "x"]), max_size=2, unique=True),
    "minimum": _SCALARS,
    "exclusiveMaximum": _SCALARS,
    "multipleOf": st.sampled_from([0, 1, 0.1, 7, -1, 1e300]),
    "minLength": st.sampled_from([0, 3, 10**4, 10**9, -1, 2.0, 2**70]),
    "maxLength": st.sampled_from([0, 3, 10**9]),
    "pattern": st.sampled_from(
        ["^a{2}$", "(", "[^\\x00-\\x7f]", "(?<=a)b", "a{99999}", "(a+)+$", "\\p{L}", "", "(?P<n>x)"]
    ),
    "format": st.sampled_from(["date", "uuid", "email", "nope"]),
    "minItems": st.sampled_from([0, 2, 10**8, -1, 3.0]),
    "maxItems": st.sampled_from([0, 1]),
    "uniqueItems": st.booleans(),
    "minProperties": st.sampled_from([0, 2, 10**7]),
    "additionalProperties": st.booleans(),
    "$ref": st.sampled_from(["#", "#/properties/a", "#/nope", "https://example.com/s", "#/%", "", "#/allOf/0"]),
}


def _inside(schemas: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    named = st.dictionaries(st.sampled_from(["a", "b", "é"]), schemas, max_size=2)
    listed = st.lists(schemas, max_size=2)
    return st.fixed_dictionaries(
        {},
        optional={
            **{name: _KEYWORDS[name] for name in ("type", "required", "minItems", "minProperties", "$ref")},
            **{"properties": named, "$defs": named, "items": schemas, "prefixItems": listed, "not": schemas},
            **{"anyOf": listed, "oneOf": listed, "allOf": listed, "additionalProperties": schemas},
        },
    )


_SCHEMAS = st.recursive(
    st.one_of(
        st.booleans(),
        st.fixed_dictionaries({"type": _KEYWORDS["type"]}),
        st.sampled_from(sorted(_KEYWORDS)).flatmap(lambda name: st.fixed_dictionaries({name: _KEYWORDS[name]})),
    ),
    _inside,
    max_leaves=4,
).filter(lambda schema: isinstance(schema, dict))

_OPEN: dict[str, st.SearchStrategy[Any]] = {
    "CreateChatCompletionRequest.model": st.sampled_from(
        ["embedded/omni-1"] * 6 + ["embedded/text-1", "embedded/mini-1", "x"]
    ),
    "CreateChatCompletionRequest.n": st.sampled_from([None, 1, 1, 1, 2, 3]),
    "CreateChatCompletionRequest.max_tokens": st.sampled_from([None, 1, 5, 10**30, 0, -1]),
    "CreateChatCompletionRequest.max_completion_tokens": st.sampled_from([None, 1, 5, 2**63]),
    "FunctionParameters": _SCHEMAS | st.just(WEATHER["function"]["parameters"]),
    "ResponseFormatJsonSchemaSchema": _SCHEMAS | st.just(TIME["function"]["parameters"]),
    "FunctionObject.name": _NAMES,
    "ResponseFormatJsonSchema.json_schema.name": _NAMES,
}
# The endpoint refuses what it cannot do. Drawn as often as anything else, these would leave few requests to answer;
# they come as fields that are added.
_RARE = {
    *(
        "web_search_options",
        "audio",
        "prediction",
        "functions",
        "function_call",
        "logprobs",
        "top_logprobs",
        "modalities",
    ),
    *("service_tier", "metadata", "user", "store", "logit_bias", "reasoning_effort", "stream_options"),
}
_REFUSED = {
    "ChatCompletionRequestFunctionMessage",
    *(f"ChatCompletionRequestMessageContentPart{kind}" for kind in ("Audio", "File", "Refusal")),
}


@functools.cache
def conforming(name: str) -> st.SearchStrategy[Any]:
    """Return a strategy of what conforms to a definition of the specification."""
    return _OPEN[name] if name in _OPEN else st.deferred(lambda: _of(definitions()[name], name))


def _of(schema: dict[str, Any], path: str) -> st.SearchStrategy[Any]:
    if path in _OPEN:
        return _OPEN[path]
    if "$ref" in schema:
        return conforming(schema["$ref"].rpartition("/")[2])
    if "allOf" in schema:
        return _object(_merged(schema), path)
    if branches := schema.get("anyOf") or schema.get("oneOf"):
        taken = [branch for branch in branches if branch.get("$ref", "").rpartition("/")[2] not in _REFUSED]
        return st.one_of([_of(branch, path) for branch in taken])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    return _BY_TYPE[schema["type"]](schema, path)


def _merged(schema: dict[str, Any]) -> dict[str, Any]:
    """Return one object schema for an `allOf` of object schemas."""
    merged: dict[str, Any] = {"properties": {}, "required": []}
    for part in schema.get("allOf", [schema]):
        part = definitions()[part["$ref"].rpartition("/")[2]] if "$ref" in part else part
        part = _merged(part) if "allOf" in part else part
        merged["properties"] |= part["properties"]
        merged["required"] += part.get("required", [])
    return merged


def _object(schema: dict[str, Any], path: str) -> st.SearchStrategy[Any]:
    if "properties" not in schema:
        return st.dictionaries(_TEXT, st.integers(-100, 100), max_size=2)
    made = {name: _of(part, f"{path}.{name}") for name, part in schema["properties"].items() if name not in _RARE}
    required = {name: made.pop(name) for name in schema.get("required", [])}
    return st.fixed_dictionaries(required, optional=made)


_BY_TYPE: dict[str, Callable[[dict[str, Any], str], st.SearchStrategy[Any]]] = {
    "object": _object,
    "array": lambda schema, path: st.lists(
        _of(schema["items"], path), min_size=schema.get("minItems", 0), max_size=max(3, schema.get("minItems", 0))
    ),
    "string": lambda schema, path: _URLS if path.endswith(".url") else _TEXT,
    "boolean": lambda schema, path: st.booleans(),
    "null": lambda schema, path: st.none(),
    "integer": lambda schema, path: st.integers(schema.get("minimum", -10), schema.get("maximum", 1000)),
    "number": lambda schema, path: st.floats(schema.get("minimum", -10), schema.get("maximum", 10)),
}


# What the specification does not allow

_NASTY: list[Any] = [
    *(None, True, False, 0, -1, 10**400, -(2**63) - 1, 1.5, 1e308, -0.0, float("nan"), float("inf")),
    *("", "\0", "\ud800", "é" * 3, "a" * 3000, "system", "text", "function", "1", "\u202e"),
    *([], [[]], [None], [{}], ["a", 1], {}, {"": None}, {"type": "text"}, {"type": []}, {"$ref": "#"}, {"\ud800": 1}),
]
_METHODS = ["GET", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "post", "SPAM"]
_PATHS = [
    *("/", "//", "/v1", "/v1/", "/v1/models", "/v1/models/", "/v1/models/x", "/v1/models/embedded%2Fomni-1", "*"),
    *("/v1/models/%00", "/v1/models/%ff%fe", "/v1/models/%F0%9F%8E%89", "/v1/models/../../etc/passwd", "/v1/models//"),
    *("/v1/chat/completions/", "/v1/chat/completions?x=%ff", "/v1/chat/completions#x", "/v1/chat%2Fcompletions"),
    *(
        "/v1/Chat/Completions",
        "/v1/completions",
        "/" + "a" * 9000,
        "/v1/models/" + "a" * 9000,
        "/%",
        "/;",
        "http://x/y",
    ),
]
_HEADERS = [
    *({"Content-Type": kind} for kind in ("", "text/plain", "application/xml", "multipart/form-data", "é", ";" * 99)),
    *(
        {"Authorization": key}
        for key in ("", "Bearer", "Bearer obviously-fake", "Basic Og==", "Bearer é\xff", "x" * 3000)
    ),
    *({"Accept": "text/html"}, {"Content-Encoding": "gzip"}, {"X-Forwarded-For": "é"}, {"Cookie": "a=b; c"}),
]
_JUNK = [
    b"\xff",
    b"\xed\xa0\x80",
    b"\xc3",
    b"\0",
    b",",
    b"}",
    b'"',
    b"\\",
    b"]",
    b"1e9999",
    b"\xef\xbb\xbf",
    b"//",
    b"'",
]


def spoilt(request: dict[str, Any], seed: int, count: int) -> list[Sent]:
    """Return the request as it was drawn, and spoilt in `count` ways that `seed` decides."""
    rng = random.Random(seed)
    ways = rng.choices(list(_WAYS), weights=list(_WAYS.values()), k=count)
    return [Sent(_dumped(request)), *(way(copy.deepcopy(request), rng) for way in ways)]


def _dumped(value: Any) -> bytes:
    return json.dumps(value).encode()


def _nasty(rng: random.Random) -> Any:
    return copy.deepcopy(rng.choice(_NASTY))  # the next change may be one inside it


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Return each place inside a JSON value, as the part that holds it and its key or index there."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [place for key in keys for place in ((value, key), *_places(value[key]))]


def _changed(request: Any, rng: random.Random) -> Sent:
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        holder, key = rng.choice(_places(request))
        holder[key] = _nasty(rng)
    return Sent(_dumped(request))


def _less(request: Any, rng: random.Random) -> Sent:
    holder, key = rng.choice(_places(request))
    del holder[key]
    return Sent(_dumped(request))


def _more(request: Any, rng: random.Random) -> Sent:
    holders = [request, *(holder[key] for holder, key in _places(request) if isinstance(holder[key], dict))]
    rng.choice(holders)[rng.choice([*_RARE, "refusal", "x", "", "__class__", "schema_"])] = _nasty(rng)
    return Sent(_dumped(request))


def _moved(request: Any, rng: random.Random) -> Sent:
    (source, name), (holder, key) = rng.choice(_places(request)), rng.choice(_places(request))
    holder[key] = copy.deepcopy(source[name])
    return Sent(_dumped(request))


def _streamed(request: Any, rng: random.Random) -> Sent:
    return Sent(_dumped(request | {"stream": True, "stream_options": {"include_usage": rng.random() < 0.5}}))


def _deep(request: Any, rng: random.Random) -> Sent:
    """Nest a value, as text: a value of that depth is beyond `json.dumps`."""
    levels, (opening, closing) = rng.choice([9, 95, 101, 990, 5000]), rng.choice([("[", "]"), ('{"a":', "}")])
    holder, key = rng.choice(_places(request))
    holder[key] = "<deep>"
    return Sent(_dumped(request).replace(b'"<deep>"', (opening * levels + "1" + closing * levels).encode(), 1))


def _twice(request: Any, rng: random.Random) -> Sent:
    """Name a key twice, which JSON leaves open."""
    again = json.dumps({rng.choice(list(request)): _nasty(rng)})
    return Sent((json.dumps(request)[:-1] + ", " + again[1:]).encode())


def _cut(request: Any, rng: random.Random) -> Sent:
    body = _dumped(request)
    return Sent(body[: rng.randrange(len(body))])


def _junk(request: Any, rng: random.Random) -> Sent:
    body = _dumped(request)
    at = rng.randrange(len(body) + 1)
    return Sent(body[:at] + rng.choice(_JUNK) + body[at + rng.randrange(2) :])


def _encoded(request: Any, rng: random.Random) -> Sent:
    text = json.dumps(request, ensure_ascii=False)
    return Sent(text.encode(rng.choice(["utf-16", "utf-32-le", "utf-8-sig", "utf-8"]), "surrogatepass"))


def _headed(request: Any, rng: random.Random) -> Sent:
    return Sent(_dumped(request), headers=JSON | rng.choice(_HEADERS))


def _elsewhere(request: Any, rng: random.Random) -> Sent:
    method = rng.choice(["POST", "GET", rng.choice(_METHODS)])
    return Sent(_dumped(request), method, rng.choice([CHAT, *_PATHS]))


# How often each is chosen.
_WAYS: dict[Callable[[Any, random.Random], Sent], int] = {
    **{_changed: 8, _moved: 4, _less: 2, _more: 2, _streamed: 2},
    **{_deep: 1, _twice: 1, _cut: 1, _junk: 1, _encoded: 1, _headed: 1, _elsewhere: 2},
}
