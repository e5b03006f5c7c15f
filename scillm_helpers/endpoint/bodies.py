"""Pure: what is said -> the objects of OpenAI's API, whole or in chunks.

They have the shape of `CreateChatCompletionResponse`, `CreateChatCompletionStreamResponse`, `ListModelsResponse` and
`Model` in OpenAI's API specification. Nothing here depends on the clock, the process or the machine.
"""

from collections.abc import Iterator
from typing import Any

from .catalogue import MODELS, find
from .replies import Reply

CREATED = 1_735_689_600  # 2025-01-01T00:00:00Z, for every object: a clock would make bytes differ


def models() -> dict[str, Any]:
    """Return the body of `GET /v1/models`."""
    return {"object": "list", "data": [model_body(model.id) for model in MODELS]}


def model_body(model: str) -> dict[str, Any]:
    """Return the body of `GET /v1/models/{model}`. Raises Problem (404) for an unknown one."""
    find(model)
    return {"id": model, "object": "model", "created": CREATED, "owned_by": "scillm-notebooks"}


def body(said: Reply) -> dict[str, Any]:
    """Return the body of a reply that is not streamed."""
    choices = [
        {"index": i, "message": _message(said, i), "logprobs": None, "finish_reason": choice.finish_reason}
        for i, choice in enumerate(said.choices)
    ]
    return {**_head(said, "chat.completion"), "choices": choices, "usage": said.usage}


def chunks(said: Reply, include_usage: bool) -> Iterator[dict[str, Any]]:
    """Yield the chunks of a streamed reply: role, a token each, finish reason, then the usage if asked."""
    head = _head(said, "chat.completion.chunk") | ({"usage": None} if include_usage else {})
    for i, choice in enumerate(said.choices):
        for delta in _deltas(said, i):
            yield {**head, "choices": [_delta(i, delta, None)]}
        yield {**head, "choices": [_delta(i, {}, choice.finish_reason)]}
    if include_usage:
        yield {**head, "choices": [], "usage": said.usage}


def _head(said: Reply, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{said.digest[:24]}",
        "object": kind,
        "created": CREATED,
        "model": said.model,
        "system_fingerprint": "fp_embedded",
    }


def _message(said: Reply, index: int) -> dict[str, Any]:
    choice = said.choices[index]
    message: dict[str, Any] = {"role": "assistant", "content": choice.text, "refusal": None, "annotations": []}
    if choice.tool is None:
        return message
    return message | {"content": None, "tool_calls": _calls(said, index)}


def _calls(said: Reply, index: int) -> list[dict[str, Any]]:
    made = []
    for i, call in enumerate(said.choices[index].calls):
        function = {"name": call.name, "arguments": "".join(call.pieces)}
        number = f"{index}_{i}" if i else index  # no two calls of a reply have the same
        made.append({"id": f"call_{said.digest[24:40]}{number}", "type": "function", "function": function})
    return made


def _deltas(said: Reply, index: int) -> Iterator[dict[str, Any]]:
    choice = said.choices[index]
    if choice.tool is None:
        yield {"role": "assistant", "content": "", "refusal": None}
        yield from ({"content": piece} for piece in choice.pieces if piece)
        return
    for i, call in enumerate(_calls(said, index)):
        call["function"]["arguments"] = ""
        role = {} if i else {"role": "assistant", "content": None}
        yield {**role, "tool_calls": [{"index": i, **call}]}
        yield from (
            {"tool_calls": [{"index": i, "function": {"arguments": piece}}]}
            for piece in choice.calls[i].pieces
            if piece
        )


def _delta(index: int, delta: dict[str, Any], finish_reason: str | None) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
