"""A reply -> validated JSON."""

import json
import re
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, overload

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from .errors import JsonReplyError

JSON_OBJECT = {"type": "json_object"}

Model = TypeVar("Model", bound=BaseModel)
Value = TypeVar("Value")

_FENCE = re.compile(r"```(?:json)?\s*\n(.*?)\n\s*```", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True)
class JsonReply(Generic[Value]):
    """Hold what a reply said. `mended` tells that its text (`raw`) was not valid JSON as it came."""

    value: Value
    mended: bool
    raw: str


def json_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return the `response_format` that asks for JSON which conforms to a pydantic model.

    It is the strict form: every field is required and no other is allowed, as OpenAI's guide
    to structured outputs demands. LiteLLM makes the same of `response_format=model`.
    """
    from litellm.llms.base_llm.base_utils import type_to_response_format_param

    made: dict[str, Any] | None = type_to_response_format_param(model)
    assert made is not None  # it returns None for None only
    return made


@overload
def parse_json(reply: Any) -> JsonReply[Any]: ...
@overload
def parse_json(reply: Any, model: type[Model]) -> JsonReply[Model]: ...


def parse_json(reply: Any, model: type[BaseModel] | None = None) -> JsonReply[Any]:
    """Return the JSON of a chat reply, or of its text, validated by `model` where one is given.

    JSON in a Markdown fence, or with slips like a trailing comma or single quotes, is mended and
    marked as `mended`. Raises JsonReplyError, with the text in `.raw`, for a reply that is empty,
    that is cut short, by `max_tokens` or otherwise (mending would invent its end), that holds no
    JSON, or that does not fit `model`.
    """
    raw = _text(reply)
    value, mended = _decode(raw)
    if model is not None:
        try:
            value = model.model_validate(value)
        except ValidationError as error:
            where = ".".join(str(part) for part in error.errors()[0]["loc"]) or "the whole"
            why = f"{where}: {error.errors()[0]['msg']}"
            raise JsonReplyError(f"The reply is JSON, but no {model.__name__} ({why}); see `.raw`.", raw) from error
    return JsonReply(value, mended, raw)


def _text(reply: Any) -> str:
    if isinstance(reply, str):
        return reply
    choice = reply.choices[0]
    text = choice.message.content or ""
    if choice.finish_reason == "length":
        raise JsonReplyError("The reply was cut at max_tokens; ask again with a higher limit.", text)
    return str(text)


def _decode(raw: str) -> tuple[Any, bool]:
    try:
        return json.loads(raw), False
    except (ValueError, RecursionError):
        pass
    fenced = _FENCE.search(raw)
    candidate = fenced[1] if fenced else raw
    start = re.search(r"[{\[]", candidate)
    if start is None:
        raise JsonReplyError("The reply holds no JSON; ask for it in the prompt too, and see `.raw`.", raw)
    if _ends_early(candidate[start.start() :]):
        raise JsonReplyError("The reply ends in the middle of its JSON; ask again, and see `.raw`.", raw)
    # Replies are valid nearly always, so the mender is loaded only for one that is not.
    import json_repair

    try:
        value = json_repair.loads(candidate)
    except (ValueError, RecursionError) as error:
        raise JsonReplyError("The reply is not JSON and cannot be mended; see `.raw`.", raw) from error
    if not isinstance(value, (dict, list)) or not value:
        raise JsonReplyError("The reply is not JSON and cannot be mended; see `.raw`.", raw)
    return value, True


def _ends_early(candidate: str) -> bool:
    """Tell whether a text is JSON up to its end, and goes on where it ends; pydantic's parser tells this from a slip."""
    try:
        from_json(candidate)
    except ValueError as error:
        return str(error).startswith("EOF while parsing")
    return False
