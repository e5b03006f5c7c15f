"""An exception -> the kind of failure it is."""

import json
import re
import sys
from collections.abc import Iterator
from typing import Literal

from .errors import AuthError, EndpointError, JsonReplyError, StreamCutError, StreamError, UnknownModelError

Kind = Literal[
    "auth",
    "rate_limit",
    "capacity",
    "timeout",
    "connection",
    "bad_request",
    "bad_reply",
    "assertion",
    "notebook",
    "kernel",
    "harness",
]

# In these words endpoints refuse: OpenAI, vLLM, SGLang, llama.cpp, Ollama, DeepSeek, OpenRouter, and this
# project's own. There is no standard for it.
_REFUSED = re.compile(
    r"not support|n't support|unsupported|only supported by|not a multi-?modal|unavailable now|at most 0 image"
    r"|no endpoints found that support|requires --enable-auto-tool-choice|not a chat model|no chat template",
    re.IGNORECASE,
)
# And by these it is told what they refuse: "max_tokens is not supported with this model" says nothing of chat.
CAPABILITIES = {
    "chat": re.compile(r"chat model|chat/completions|chat completions|chat template", re.IGNORECASE),
    "streaming": re.compile(r"\bstream", re.IGNORECASE),
    "json_object": re.compile(r"response_format|json_object|json mode|json output", re.IGNORECASE),
    "json_schema": re.compile(r"response_format|json_schema|structured output|guided", re.IGNORECASE),
    "vision": re.compile(r"image|vision|multi-?modal", re.IGNORECASE),
    "tools": re.compile(r"\btools?\b|tool_choice|function call", re.IGNORECASE),
}

_CUT = "Stream ended before a finish_reason was received"  # in LiteLLM's `streaming_handler.py`

TRANSIENT: frozenset[Kind] = frozenset({"rate_limit", "capacity", "timeout", "connection"})
# What was asked has not been looked at, whatever it was: such a failure tells of the provider, or of the key.
UNANSWERED: frozenset[Kind] = TRANSIENT | {"auth"}


def kind_of(error: BaseException) -> Kind:
    """Return the kind of failure: the provider's fault, the request's, or the notebook's own.

    LiteLLM reports a refused connection as an InternalServerError (500), so the exceptions
    behind an error are asked before its own status is.
    """
    if isinstance(error, AssertionError):
        return "assertion"
    if isinstance(error, AuthError):
        return "auth"
    if isinstance(error, UnknownModelError):
        return "bad_request"
    if isinstance(error, StreamCutError) or is_cut(error):
        return "bad_reply"
    if isinstance(error, (StreamError, EndpointError)):
        return kind_of(error.__cause__) if error.__cause__ is not None else "bad_reply"
    if isinstance(error, JsonReplyError):
        return "bad_reply"
    if isinstance(error, BaseExceptionGroup):
        kinds = {kind_of(one) for one in error.exceptions}
        return kinds.pop() if len(kinds) == 1 else "notebook"
    return _reading_kind(error) or _status_kind(error) or "notebook"


def is_transient(error: BaseException) -> bool:
    """Tell whether the same call may succeed a little later."""
    return kind_of(error) in TRANSIENT


def is_cut(error: BaseException) -> bool:
    """Tell whether LiteLLM says that a stream has ended without a finish reason; up to 1.108 it says nothing."""
    return _is_of(sys.modules.get("openai"), "OpenAIError", error) and _CUT in str(error)


def is_unsupported(error: BaseException, capability: str) -> bool:
    """Tell whether an endpoint answers that it lacks a capability: that is no failure of the call.

    `capability` is one of `chat`, `streaming`, `json_object`, `json_schema`, `vision`, `tools`. There is
    no standard for such an answer: it is told by its HTTP status and its words.
    """
    refused = getattr(error, "status_code", None) in (400, 404, 415, 422, 500, 501)
    said = str(error)
    return refused and _REFUSED.search(said) is not None and CAPABILITIES[capability].search(said) is not None


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and those it was raised from, the outermost first."""
    seen: set[int] = set()
    behind: BaseException | None = error
    while behind is not None and id(behind) not in seen:
        yield behind
        seen.add(id(behind))
        behind = getattr(behind, "original_exception", None) or behind.__cause__ or behind.__context__


def _reading_kind(error: BaseException) -> Kind | None:
    """Look for a failure of the network, or of reading what came: no HTTP status can tell of these.

    httpx and openai are looked up, not imported: where they raised, they are loaded already,
    and this module stays quick to import.
    """
    httpx, openai, requests = (sys.modules.get(name) for name in ("httpx", "openai", "requests"))
    reason = getattr(error, "reason", None)  # urllib's URLError has one
    alone = [error, reason] if isinstance(reason, Exception) else [error]
    for behind in chain(error) if _is_of(openai, "OpenAIError", error) else alone:
        if isinstance(behind, TimeoutError) or _is_of(httpx, "TimeoutException", behind):
            return "timeout"
        if _is_of(openai, "APITimeoutError", behind) or _is_of(requests, "Timeout", behind):
            return "timeout"
        if isinstance(behind, ConnectionError) or _is_of(httpx, "TransportError", behind):
            return "connection"
        if _is_of(requests, "ConnectionError", behind):
            return "connection"
        if behind is not error and isinstance(behind, (json.JSONDecodeError, UnicodeDecodeError)):
            return "bad_reply"
    return None


def _status_kind(error: BaseException) -> Kind | None:
    status = getattr(error, "status_code", None)
    if not isinstance(status, int):
        return "connection" if _is_of(sys.modules.get("openai"), "APIConnectionError", error) else None
    named: dict[int, Kind] = {401: "auth", 403: "auth", 408: "timeout", 429: "rate_limit", 504: "timeout"}
    return named.get(status, "capacity" if status >= 500 else "bad_request")


def _is_of(module: object, name: str, error: BaseException) -> bool:
    return module is not None and isinstance(error, getattr(module, name))
