"""The requests with which conformance is tested: each thing that a chat request may ask for, once."""

import base64
import io
from typing import Any

from PIL import Image

Request = dict[str, Any]
MODEL = "embedded/omni-1"


def _asked(content: Any, **fields: Any) -> Request:
    return {"model": MODEL, "messages": [{"role": "user", "content": content}], **fields}


def _tool(name: str, description: str, **properties: Any) -> Any:
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


def _picture() -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


WEATHER = _tool("get_weather", "The weather in a city", city={"type": "string"})
TIME = _tool("get_time", "The time in a city", city={"type": "string"}, seconds={"type": "boolean"})
_PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "born": {"type": "integer"}},
    "required": ["name", "born"],
    "additionalProperties": False,
}
_CALL = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}

REQUESTS: dict[str, Request] = {
    "text": _asked("Tell me a 10 word story."),
    "instructions": {
        "model": MODEL,
        "messages": [
            {"role": "system", "content": "Be short."},
            {"role": "developer", "content": "Be kind.", "name": "dev"},
            {"role": "user", "content": "Say hello", "name": "ada"},
        ],
    },
    "conversation": {
        "model": MODEL,
        "messages": [
            {"role": "user", "content": "Say OK"},
            {"role": "assistant", "content": "OK", "refusal": None, "annotations": []},
            {"role": "user", "content": [{"type": "text", "text": "Now say"}, {"type": "text", "text": "YES"}]},
        ],
    },
    "several choices": _asked("Explain tides.", n=2),
    "stop": _asked("Tell me a 10 word story.", stop=["lamp", "never"]),
    "length": _asked("Tell me a 10 word story.", max_tokens=3),
    "length, as it is called now": _asked("Tell me a 10 word story.", max_completion_tokens=1),
    "nothing left to say": _asked("Say OK", stop="OK"),
    "knobs": _asked(
        "Explain tides.",
        temperature=0.5,
        top_p=0.9,
        frequency_penalty=-1,
        presence_penalty=1.5,
        logit_bias={"50256": -100},
        seed=7,
        user="ada",
        store=False,
        logprobs=False,
        service_tier="auto",
        reasoning_effort="low",
        modalities=["text"],
    ),
    "many bytes a character": _asked('Say "Grüße 你好 🎉🏔️"'),
    "tool chosen by the model": _asked("What is the weather in Paris?", tools=[WEATHER]),
    "tool required": _asked("Explain tides.", tools=[WEATHER, TIME], tool_choice="required"),
    "tool named": _asked(
        "Say OK", tools=[WEATHER, TIME], tool_choice={"type": "function", "function": {"name": "get_time"}}
    ),
    "tool forbidden": _asked("What is the weather in Paris?", tools=[WEATHER], tool_choice="none"),
    "tools in parallel": _asked(
        "What are the weather and the time in Paris?", tools=[WEATHER, TIME], parallel_tool_calls=True
    ),
    "one tool at a time": _asked(
        "What are the weather and the time in Paris?", tools=[WEATHER, TIME], parallel_tool_calls=False
    ),
    "tool has answered": {
        "model": MODEL,
        "tools": [WEATHER],
        "messages": [
            {"role": "user", "content": "What is the weather in Paris?"},
            {"role": "assistant", "content": None, "tool_calls": [_CALL]},
            {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
        ],
    },
    "any JSON": _asked("Explain tides as JSON.", response_format={"type": "json_object"}),
    "JSON of a schema": _asked(
        "Ada Lovelace was born in 1815.",
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "person", "schema": _PERSON, "strict": True},
        },
    ),
    "JSON of a pattern": _asked(
        "Make one up.",
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "word", "schema": {"type": "string", "pattern": "^[^a-c]{4}[\\w-]{4}$"}},
        },
    ),
    "text, said so": _asked("Say OK", response_format={"type": "text"}),
    "picture": _asked(
        [
            {"type": "text", "text": "Say OK and a color in the image."},
            {"type": "image_url", "image_url": {"url": _picture(), "detail": "low"}},
        ]
    ),
}
