import asyncio

import httpx
import litellm
import openai
import pytest

from scillm_helpers.client import Client
from scillm_helpers.errors import (
    AuthError,
    EndpointError,
    JsonReplyError,
    StreamCutError,
    StreamError,
    UnknownModelError,
)
from scillm_helpers.kinds import is_transient, is_unsupported, kind_of
from tests.scripted import ScriptedServer, error

SAY_OK = [{"role": "user", "content": "Say OK"}]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "bad_request"),
        (401, "auth"),
        (403, "auth"),
        (404, "bad_request"),
        (408, "timeout"),
        (413, "bad_request"),
        (422, "bad_request"),
        (429, "rate_limit"),
        (500, "capacity"),
        (502, "capacity"),
        (503, "capacity"),
        (504, "timeout"),
        (529, "capacity"),
    ],
)
def test_kind_of_each_status_through_litellm(scripted: ScriptedServer, status: int, kind: str) -> None:
    """What a provider answers is told apart, whatever LiteLLM wraps it in."""
    scripted.answers.append(error(status))
    with pytest.raises(openai.APIError) as caught:
        litellm.completion(**scripted.client().kwargs, messages=SAY_OK)
    assert kind_of(caught.value) == kind


@pytest.mark.parametrize("httpx_transport", [True, False])
def test_refused_connection_is_not_taken_for_a_500(llm: Client, httpx_transport: bool) -> None:
    """LiteLLM reports it as InternalServerError (500), on both transports."""
    litellm.disable_aiohttp_transport = httpx_transport
    call = {**llm.kwargs, "messages": SAY_OK, "api_base": "http://127.0.0.1:9/v1"}
    with pytest.raises(litellm.InternalServerError) as caught:
        litellm.completion(**call)
    assert kind_of(caught.value) == "connection"
    with pytest.raises(litellm.InternalServerError) as caught:
        asyncio.run(litellm.acompletion(**call))
    assert kind_of(caught.value) == "connection"


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (AssertionError("x"), "assertion"),
        (KeyError("x"), "notebook"),
        (TimeoutError(), "timeout"),
        (ConnectionResetError(), "connection"),
        (httpx.ReadTimeout("x"), "timeout"),
        (httpx.ConnectError("x"), "connection"),
        (AuthError("x"), "auth"),
        (UnknownModelError("x"), "bad_request"),
        (EndpointError("x"), "bad_reply"),
        (StreamCutError("x", "text"), "bad_reply"),
        (JsonReplyError("x", "raw"), "bad_reply"),
    ],
)
def test_kind_of_what_is_raised_here(failure: Exception, kind: str) -> None:
    """The package's own exceptions and the common ones have a kind."""
    assert kind_of(failure) == kind
    assert is_transient(failure) == (kind in {"timeout", "connection"})


def test_cause_decides_for_a_broken_stream() -> None:
    """A stream that broke for a timeout is a timeout."""
    broken = StreamError("x", "text")
    broken.__cause__ = httpx.ReadTimeout("x")
    assert kind_of(broken) == "timeout"


def test_assertion_while_handling_a_timeout_is_an_assertion() -> None:
    """What came before does not excuse the notebook."""
    failure = AssertionError("x")
    failure.__context__ = TimeoutError()
    assert kind_of(failure) == "assertion"


def test_missing_capability_is_told_from_a_bad_request(llm: Client) -> None:
    """A model without vision is unsupported; a broken picture is not."""
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    messages = [{"role": "user", "content": [picture]}]
    seen = []
    for model in ("embedded/text-1", "embedded/omni-1"):
        with pytest.raises(litellm.BadRequestError) as caught:
            llm.completion(model=model, messages=messages)
        seen.append(is_unsupported(caught.value, "vision"))
    assert seen == [True, False]
