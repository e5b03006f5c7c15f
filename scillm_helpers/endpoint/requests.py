"""The body of a chat request, validated.

The fields and their bounds are those of `CreateChatCompletionRequest` in OpenAI's API
specification. What the endpoint cannot do is refused, never ignored; what changes nothing
about a text (`user`, `metadata`, ...) is accepted.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError

from .problems import Problem, bad_request


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class TextPart(_Strict):
    type: Literal["text"]
    text: str


class ImageUrl(_Strict):
    url: str
    detail: Literal["auto", "low", "high"] = "auto"


class ImagePart(_Strict):
    type: Literal["image_url"]
    image_url: ImageUrl


def _content_tag(content: object) -> str:
    return "<parts>" if isinstance(content, list) else "<str>"


# Tags stand in angle brackets, so that `_param` can tell them from the names of fields.
Part = Annotated[TextPart | ImagePart, Field(discriminator="type")]
Content = Annotated[
    Annotated[str, Tag("<str>")] | Annotated[list[Part], Tag("<parts>"), Field(min_length=1)],
    Discriminator(_content_tag),
]


class FunctionCall(_Strict):
    name: str
    arguments: str


class ToolCall(_Strict):
    id: str
    type: Literal["function"]
    function: FunctionCall


class _Message(_Strict):
    name: str | None = None

    def text(self) -> str:
        """Return the message's text, its text parts joined by line ends."""
        content = getattr(self, "content", None)
        if isinstance(content, str):
            return content
        return "\n".join(part.text for part in content or () if isinstance(part, TextPart))


class InstructionMessage(_Message):
    role: Literal["system", "developer"]
    content: Content


class UserMessage(_Message):
    role: Literal["user"]
    content: Content


class AssistantMessage(_Message):
    role: Literal["assistant"]
    content: Content | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None
    # A client sends back what it got, and no reply has anything in these. The last is LiteLLM's own.
    annotations: Annotated[list[Any], Field(max_length=0)] | None = Field(default=None, exclude=True)
    audio: None = Field(default=None, exclude=True)
    function_call: None = Field(default=None, exclude=True)
    provider_specific_fields: dict[str, Any] | None = Field(default=None, exclude=True)


class ToolMessage(_Message):
    role: Literal["tool"]
    content: Content
    tool_call_id: str


Message = Annotated[InstructionMessage | UserMessage | AssistantMessage | ToolMessage, Field(discriminator="role")]


class Function(_Strict):
    name: str = Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")
    description: str | None = None
    parameters: dict[str, Any] = {}
    strict: bool | None = None


class Tool(_Strict):
    type: Literal["function"]
    function: Function


class FunctionName(_Strict):
    name: str


class NamedTool(_Strict):
    type: Literal["function"]
    function: FunctionName


class JsonSchema(_Strict):
    name: str = Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")
    description: str | None = None
    schema_: dict[str, Any] = Field(default={}, alias="schema")
    strict: bool | None = None


class TextFormat(_Strict):
    type: Literal["text"]


class JsonObjectFormat(_Strict):
    type: Literal["json_object"]


class JsonSchemaFormat(_Strict):
    type: Literal["json_schema"]
    json_schema: JsonSchema


ResponseFormat = Annotated[TextFormat | JsonObjectFormat | JsonSchemaFormat, Field(discriminator="type")]


class StreamOptions(_Strict):
    include_usage: bool = False
    include_obfuscation: bool = False


def _stop_tag(stop: object) -> str:
    return "<list>" if isinstance(stop, list) else "<str>"


Stop = Annotated[
    Annotated[str, Tag("<str>")] | Annotated[list[str], Tag("<list>"), Field(max_length=4)],
    Discriminator(_stop_tag),
]


def _choice_tag(choice: object) -> str:
    return "<word>" if isinstance(choice, str) else "<tool>"


ToolChoice = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("<word>")] | Annotated[NamedTool, Tag("<tool>")],
    Discriminator(_choice_tag),
]


class ChatRequest(_Strict):
    model: str
    messages: list[Message] = Field(min_length=1, max_length=2048)  # so many does OpenAI take
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    response_format: ResponseFormat | None = None
    tools: list[Tool] | None = Field(default=None, max_length=128)
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    stop: Stop | None = None
    n: int | None = Field(default=None, ge=1, le=128)
    seed: int | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    logit_bias: dict[str, float] | None = None
    logprobs: Literal[False] | None = None
    metadata: dict[str, str] | None = Field(default=None, max_length=16)
    modalities: list[Literal["text"]] | None = None
    prompt_cache_key: str | None = None
    reasoning_effort: str | None = None
    safety_identifier: str | None = None
    service_tier: str | None = None
    store: bool | None = None
    user: str | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


def parse(payload: object) -> ChatRequest:
    """Validate a decoded JSON body. Raises Problem (400) that names the first field at fault."""
    if not isinstance(payload, dict):
        raise bad_request(f"The body must be a JSON object, not {_kind(payload)}.")
    try:
        return ChatRequest.model_validate(payload)
    except ValidationError as error:
        raise _problem(error) from error


def _problem(error: ValidationError) -> Problem:
    first = error.errors(include_url=False)[0]
    param = _param(first["loc"])
    if first["type"] == "extra_forbidden":
        return bad_request(f"Unrecognized request argument supplied: {param}", param, "unknown_parameter")
    if first["type"] == "missing":
        return bad_request(f"Missing required parameter: '{param}'.", param, "missing_required_parameter")
    return bad_request(f"Invalid value for '{param}': {first['msg']}.", param, "invalid_value")


_UNION_BRANCHES = {
    "system",
    "developer",
    "user",
    "assistant",
    "tool",
    "text",
    "image_url",
    "json_object",
    "json_schema",
}


def _param(loc: tuple[int | str, ...]) -> str:
    """Write a pydantic location the way OpenAI does, `messages[0].content`.

    Pydantic puts the branch of a tagged union into the location; that is no field.
    """
    written = ""
    previous: int | str = ""
    for part in loc:
        if isinstance(part, int):
            written += f"[{part}]"
        elif not part.startswith("<") and not _is_branch(part, previous):
            written += f".{part}" if written else part
        previous = part
    return written


def _is_branch(part: str, previous: int | str) -> bool:
    return part in _UNION_BRANCHES and (isinstance(previous, int) or previous == "response_format")


def _kind(payload: object) -> str:
    names = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(payload), "a number")
