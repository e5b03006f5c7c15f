"""Pure: a chat request -> what is said to it.

Nothing here depends on the clock, the process or the machine: equal requests get equal replies.
"""

import hashlib
import itertools
import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from . import facts, pictures, prose, samples, tokens
from .catalogue import Model, find
from .problems import bad_request
from .requests import (
    ChatRequest,
    ImagePart,
    JsonObjectFormat,
    JsonSchemaFormat,
    NamedTool,
    Tool,
    ToolMessage,
    UserMessage,
)

# The same is said whether it is streamed or not, and whoever asks.
_SAYS_NOTHING = {
    *("stream", "stream_options", "user", "safety_identifier"),
    *("metadata", "store", "service_tier", "prompt_cache_key"),
}
# What takes seconds to read is refused, as what is beyond a model's context window is. The number of images is OpenAI's.
_MAX_CHARACTERS = 1_048_576
_MAX_PICTURES = 500
_MAX_PIXELS = 100_000_000


@dataclass(frozen=True)
class Call:
    """Hold one call of a tool: the function's name, and its arguments as the strings of their tokens."""

    name: str
    pieces: list[str]


@dataclass(frozen=True)
class Choice:
    """Hold one answer: the strings of its tokens, or calls of tools."""

    pieces: list[str]
    finish_reason: str
    calls: tuple[Call, ...] = ()

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def tool(self) -> str | None:
        """Return the name of the function that is called first, if any is."""
        return self.calls[0].name if self.calls else None

    @property
    def tokens(self) -> int:
        return len(self.pieces) + sum(len(call.pieces) for call in self.calls)


@dataclass(frozen=True)
class Reply:
    """Hold all that is said to one request, before it is cut into chunks or not."""

    digest: str
    model: str
    choices: list[Choice]
    prompt_tokens: int

    @property
    def usage(self) -> dict[str, Any]:
        """Return the `usage` object: tokens of the prompt, of all choices, and both together."""
        completion = sum(choice.tokens for choice in self.choices)
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": completion,
            "total_tokens": self.prompt_tokens + completion,
        }


def reply(request: ChatRequest) -> Reply:
    """Answer a request. Raises Problem (400 or 404) for what the model cannot do."""
    model = find(request.model)
    _refuse_too_long(request)
    seen = _look(request, model)
    _refuse_missing_skills(request, model)
    canonical = request.model_dump_json(exclude_unset=True, exclude_none=True, exclude=_SAYS_NOTHING)
    said = _Answer(request, seen, hashlib.sha256(canonical.encode()).hexdigest())
    return Reply(
        digest=said.digest,
        model=model.id,
        choices=[said.choice(i) for i in range(request.n or 1)],
        prompt_tokens=_prompt_tokens(request, seen),
    )


class _Answer:
    """Say the same thing to the same request; `digest` stands for all of it."""

    def __init__(self, request: ChatRequest, seen: list[pictures.Picture], digest: str) -> None:
        self.request = request
        self.colours = list(dict.fromkeys(picture.colour for picture in seen))
        self.digest = digest
        self.prompt = _last_prompt(request)

    def choice(self, index: int) -> Choice:
        rng = random.Random(f"{self.digest}{index}")
        if tool := _wanted_tool(self.request, self.prompt):
            # A tool call is never cut: half of its arguments would be of no use to anyone.
            return Choice([], "tool_calls", tuple(self._call(tool, prompt, rng) for prompt in self._prompts()))
        return _cut(self._text(rng), self.request)

    def _prompts(self) -> list[str]:
        """Return what each parallel call is about; where one tool is demanded, one call is."""
        if self.request.parallel_tool_calls is False or isinstance(self.request.tool_choice, NamedTool):
            return [self.prompt]
        return facts.each(self.prompt)

    def _call(self, tool: Tool, prompt: str, rng: random.Random) -> Call:
        arguments = samples.sample(_parameters(tool), prompt, rng, "tools")
        return Call(tool.function.name, tokens.pieces(_dump(arguments)))

    def _text(self, rng: random.Random) -> str:
        shape = self.request.response_format
        if isinstance(shape, JsonSchemaFormat):
            schema = shape.json_schema.schema_
            return _dump(samples.sample(schema, self.prompt, rng, "response_format.json_schema.schema"))
        if isinstance(shape, JsonObjectFormat):
            return prose.literal_json(self.prompt) or _dump(self._object(rng))
        if results := _results(self.request):
            return prose.told(results)
        return prose.answer(self.prompt, self.colours, rng)

    def _object(self, rng: random.Random) -> dict[str, Any]:
        """Return an object with the keys that the prompt quotes, or with one answer."""
        found = re.finditer(r"[\"'`](\w+)[\"'`]", self.prompt)
        keys = dict.fromkeys(match[1] for match in itertools.islice(found, 100))
        if keys:
            schema = {"properties": {key: {} for key in keys}, "required": list(keys)}
            return dict(samples.sample(schema, self.prompt, rng, "messages"))
        return {"answer": prose.answer(self.prompt, self.colours, rng)}


def _refuse_too_long(request: ChatRequest) -> None:
    characters = sum(len(text) for text in _texts(request))
    if characters > _MAX_CHARACTERS:
        message = f"The messages and tools have {characters} characters; this endpoint takes {_MAX_CHARACTERS}."
        raise bad_request(message, "messages", "context_length_exceeded")


def _look(request: ChatRequest, model: Model) -> list[pictures.Picture]:
    """Decode every picture of the conversation, in order."""
    seen: list[pictures.Picture] = []
    for i, message in enumerate(request.messages):
        content = getattr(message, "content", None)
        for j, part in enumerate(content if isinstance(content, list) else ()):
            if not isinstance(part, ImagePart):
                continue
            param = f"messages[{i}].content[{j}].image_url.url"
            if not isinstance(message, UserMessage):
                raise bad_request("Images are allowed in user messages only.", param)
            if not model.vision:
                raise bad_request(f"The model `{model.id}` does not support image input.", param, "unsupported_input")
            _refuse_too_many(seen, param)
            seen.append(pictures.look(part.image_url.url, param))
    return seen


def _refuse_too_many(seen: list[pictures.Picture], param: str) -> None:
    if len(seen) == _MAX_PICTURES or sum(picture.width * picture.height for picture in seen) > _MAX_PIXELS:
        message = f"The messages have more than {_MAX_PICTURES} images, or than {_MAX_PIXELS} pixels before this one."
        raise bad_request(message, param, "too_many_images")


def _refuse_missing_skills(request: ChatRequest, model: Model) -> None:
    tools = {tool.function.name for tool in request.tools or ()}
    if tools and not model.tools:
        raise bad_request(f"The model `{model.id}` does not support tools.", "tools", "unsupported_parameter")
    if request.tool_choice not in (None, "none") and not tools:
        raise bad_request("'tool_choice' is only allowed when 'tools' are given.", "tool_choice")
    if isinstance(request.tool_choice, NamedTool) and request.tool_choice.function.name not in tools:
        raise bad_request(f"Tool '{request.tool_choice.function.name}' is not among 'tools'.", "tool_choice")
    if request.stream_options is not None and not request.stream:
        raise bad_request("'stream_options' is only allowed when 'stream' is true.", "stream_options")
    for i, tool in enumerate(request.tools or ()):
        samples.check(_parameters(tool), f"tools[{i}].function.parameters")


def _parameters(tool: Tool) -> dict[str, Any]:
    return tool.function.parameters or {"type": "object", "properties": {}}


def _wanted_tool(request: ChatRequest, prompt: str) -> Tool | None:
    """Choose a tool the way a model would: the one asked for, or the one that the prompt is about."""
    if not request.tools or request.tool_choice == "none":
        return None
    # Once the tools have answered, the model does; what went wrong it tries again.
    if (results := _results(request)) and not prose.is_error(results[-1]):
        return None
    if isinstance(request.tool_choice, NamedTool):
        name = request.tool_choice.function.name
        return next(tool for tool in request.tools if tool.function.name == name)
    best = max(request.tools, key=lambda tool: _overlap(tool, prompt))
    return best if request.tool_choice == "required" or _overlap(best, prompt) else None


def _results(request: ChatRequest) -> list[str]:
    """Return what the tools have answered since the model called them."""
    asked = itertools.takewhile(lambda message: isinstance(message, ToolMessage), reversed(request.messages))
    return [message.text() for message in asked][::-1]


def _overlap(tool: Tool, prompt: str) -> int:
    about = _long_words(f"{tool.function.name} {tool.function.description or ''}".replace("_", " "))
    return len(about & _long_words(prompt))


def _long_words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]{4,}", text.lower()))


def _last_prompt(request: ChatRequest) -> str:
    texts = [message.text() for message in request.messages if isinstance(message, UserMessage)]
    return texts[-1] if texts else request.messages[-1].text()


def _cut(text: str, request: ChatRequest) -> Choice:
    """End the text at the first stop string, then at the token limit."""
    stops = [request.stop] if isinstance(request.stop, str) else request.stop or []
    text = text[: min((text.find(stop) for stop in stops if stop and stop in text), default=len(text))]
    pieces = tokens.pieces(text)
    limit = request.max_completion_tokens or request.max_tokens
    if limit is None or len(pieces) <= limit:
        return Choice(pieces, "stop")
    return Choice(pieces[:limit], "length")


def _prompt_tokens(request: ChatRequest, seen: list[pictures.Picture]) -> int:
    """Count the prompt: 3 tokens frame each message and 3 more prime the reply.

    Source: OpenAI's cookbook, "How to count tokens with tiktoken".
    """
    total = 3 + sum(picture.tokens for picture in seen)
    total += sum(3 + tokens.count(message.role) for message in request.messages)
    return total + sum(tokens.count(text) for text in _texts(request))


def _texts(request: ChatRequest) -> Iterator[str]:
    """Yield what the model reads: the text of each message, and each tool."""
    yield from (message.text() for message in request.messages)
    yield from (tool.model_dump_json(exclude_unset=True) for tool in request.tools or ())


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
