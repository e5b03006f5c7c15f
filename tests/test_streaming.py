import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from scillm_helpers import loops
from scillm_helpers.client import Client
from scillm_helpers.endpoint import serve
from scillm_helpers.errors import StreamCutError, StreamError
from scillm_helpers.streaming import TextStream
from tests.polling import PATIENCE
from tests.scripted import ScriptedServer, answer, chunk, error, events

STORY = [{"role": "user", "content": "Tell me a 10 word story."}]
TEXT = "The old lighthouse keeper lit the lamp and smiled softly."


async def _read(call: Any, max_chunks: int | None = None) -> TextStream:
    async with TextStream(call, max_chunks) as stream:
        async for _ in stream:
            pass
    return stream


def test_text_usage_and_times_of_a_whole_stream(llm: Client) -> None:
    """Everything that a reader wants to know is there at the end."""
    call = llm.acompletion(messages=STORY, stream=True, stream_options={"include_usage": True})
    stream = asyncio.run(_read(call))
    assert stream.text == TEXT
    assert (stream.chunks, stream.completion_tokens, stream.finish_reason) == (12, 12, "stop")
    assert stream.usage.prompt_tokens == 15
    assert stream.ttft_s is not None
    assert stream.ttft_s > 0
    assert stream.tokens_per_s is not None
    assert stream.tokens_per_s > 0


def test_plain_for_reads_a_plain_completion(llm: Client) -> None:
    """Code that cannot await has the same."""
    with TextStream(lambda: llm.completion(messages=STORY, stream=True)) as stream:
        assert "".join(stream) == TEXT
    assert stream.finish_reason == "stop"


def test_reason_length_is_no_cut(llm: Client) -> None:
    """max_tokens ends a stream with a reason, and that is not an error."""
    stream = asyncio.run(_read(llm.acompletion(messages=STORY, stream=True, max_tokens=3)))
    assert (stream.text, stream.finish_reason) == ("The old l", "length")


@pytest.fixture
def paced() -> Any:
    """Serve an endpoint whose streams take a while, so that leaving early can be seen."""
    endpoint = serve.start(chunk_seconds=0.05)
    yield endpoint
    endpoint.stop()


def _client(endpoint: serve.Endpoint) -> Client:
    from scillm_helpers.client import connect
    from scillm_helpers.settings import Settings

    return connect(settings=Settings.from_env(endpoint.environ))


def test_throttle_closes_the_connection(paced: serve.Endpoint) -> None:
    """After max_chunks the server sees the client leave: nothing is generated unread."""
    stream = asyncio.run(_read(_client(paced).acompletion(messages=STORY, stream=True), max_chunks=2))
    assert (stream.text, stream.chunks, stream.finish_reason) == ("The old", 2, None)
    assert not paced.log.wait_for(1, timeout=PATIENCE)[-1].whole


def test_early_break_closes_the_connection(paced: serve.Endpoint) -> None:
    """Leaving the loop closes at the end of the block, not when the garbage collector comes."""

    async def leave() -> None:
        async with TextStream(_client(paced).acompletion(messages=STORY, stream=True)) as stream:
            async for _ in stream:
                break
        await asyncio.to_thread(paced.log.wait_for, 1, 10)

    asyncio.run(leave())
    assert not paced.log.entries[-1].whole


def test_early_break_of_a_plain_loop_closes_the_connection(paced: serve.Endpoint) -> None:
    """The same without await."""
    with TextStream(lambda: _client(paced).completion(messages=STORY, stream=True)) as stream:
        for _ in stream:
            break
    assert not paced.log.wait_for(1, timeout=PATIENCE)[-1].whole


def test_error_in_the_loop_closes_the_connection(paced: serve.Endpoint) -> None:
    """The reader's own mistake passes through as it is, and leaves nothing open."""

    async def fail() -> None:
        async with TextStream(_client(paced).acompletion(messages=STORY, stream=True)) as stream:
            async for _ in stream:
                raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        asyncio.run(fail())
    assert not paced.log.wait_for(1, timeout=PATIENCE)[-1].whole


def test_cancelling_closes_the_connection(paced: serve.Endpoint) -> None:
    """A cancelled reader (Interrupt in Jupyter) leaves nothing open."""

    async def cancel() -> None:
        started = asyncio.Event()

        async def read() -> None:
            async with TextStream(_client(paced).acompletion(messages=STORY, stream=True)) as stream:
                async for _ in stream:
                    started.set()

        task = asyncio.create_task(read())
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(paced.log.wait_for, 1, 10)

    asyncio.run(cancel())
    assert not paced.log.entries[-1].whole


@pytest.mark.parametrize("httpx", ["1", "0"])
def test_stream_without_a_finish_reason_is_cut(scripted: ScriptedServer, httpx: str) -> None:
    """LiteLLM makes up a "stop" for such a stream; here it raises, with what had arrived."""
    scripted.answers.append(events(chunk(role="assistant", content=""), chunk(content="Once "), chunk(content="upon")))
    llm = scripted.client(SCILLM_FORCE_HTTPX_STREAM=httpx)
    with pytest.raises(StreamCutError, match="ended after 2 chunks without a finish reason") as caught:
        asyncio.run(_read(llm.acompletion(messages=STORY, stream=True)))
    assert caught.value.text == "Once upon"


def test_plain_stream_without_a_finish_reason_is_cut(scripted: ScriptedServer) -> None:
    """The same without await."""
    scripted.answers.append(events(chunk(content="Once "), chunk(content="upon"), done=False))
    with (
        pytest.raises(StreamCutError) as caught,
        TextStream(lambda: scripted.client().completion(messages=STORY, stream=True)) as stream,
    ):
        list(stream)
    assert caught.value.text == "Once upon"


def test_broken_stream_keeps_the_text(scripted: ScriptedServer) -> None:
    """An error inside a stream is raised with what had arrived, and is not tried again."""
    scripted.answers.append(events(chunk(content="Once "), {"error": {"message": "out of luck", "code": 500}}))
    with pytest.raises(StreamError, match="broke after 1 chunks") as caught:
        asyncio.run(_read(scripted.client().acompletion(messages=STORY, stream=True)))
    assert caught.value.text == "Once "
    assert len(scripted.bodies) == 1


def test_opening_a_stream_is_tried_again(scripted: ScriptedServer) -> None:
    """A stream that never opened has shown nothing: it may be asked for again."""
    scripted.answers += [error(503), events(chunk(content="OK"), chunk("stop"))]
    assert asyncio.run(_read(scripted.client().acompletion(messages=STORY, stream=True))).text == "OK"


def test_refused_stream_raises_the_refusal(scripted: ScriptedServer) -> None:
    """What fails before the first chunk is the call's own error."""
    scripted.answers.append(answer(400, {"error": {"message": "no streams here"}}))
    with pytest.raises(Exception, match="no streams here"):
        asyncio.run(_read(scripted.client().acompletion(messages=STORY, stream=True)))


class _Stream:
    """Be a stream of given chunks that counts how often it is closed."""

    def __init__(self, *chunks: Any) -> None:
        self.chunks = chunks
        self.closed = 0

    async def __aiter__(self) -> AsyncIterator[Any]:
        for each in self.chunks:
            yield each

    async def aclose(self) -> None:
        self.closed += 1


def _object(data: Any) -> Any:
    """Return chunk data as objects with attributes, the way LiteLLM gives them."""
    if isinstance(data, dict):
        return SimpleNamespace(**{name: _object(value) for name, value in data.items()})
    return [_object(item) for item in data] if isinstance(data, list) else data


SHAPES = [
    {"choices": []},
    {"choices": [{"delta": {"role": "assistant"}, "finish_reason": None}]},
    {"choices": [{"delta": {"content": None}, "finish_reason": None}]},
    {"choices": [{"delta": {"content": "Hi"}}]},
    {"choices": [{"delta": {"content": " you"}, "finish_reason": "stop"}]},
    {"choices": [], "usage": {"completion_tokens": 5, "prompt_tokens": 2}},
]


def test_stream_of_a_router_is_read_to_its_end(llm: Client) -> None:
    """Its wrapper knows no finish reason, though the chunks have one."""
    arguments = {**llm.kwargs, "model": f"custom_openai/{llm.model}"}
    arguments.pop("custom_llm_provider")
    router = llm.library.Router(model_list=[{"model_name": "story", "litellm_params": arguments}])
    routed = asyncio.run(_read(lambda: router.acompletion(model="story", messages=STORY, stream=True)))
    assert (routed.text, routed.finish_reason) == (TEXT, "stop")
    with TextStream(lambda: router.completion(model="story", messages=STORY, stream=True)) as plain:
        assert "".join(plain) == TEXT


@pytest.mark.parametrize("shape", ["dict", "object"])
def test_chunks_of_every_shape(shape: str) -> None:
    """Empty choices, role only, no content, the reason with the last text, usage only."""
    chunks = SHAPES if shape == "dict" else [_object(each) for each in SHAPES]
    source = _Stream(*chunks)
    stream = loops.run(_read(source))
    assert (stream.text, stream.chunks, stream.completion_tokens, stream.finish_reason) == ("Hi you", 2, 5, "stop")
    assert source.closed > 0


def test_plain_for_over_an_awaitable_says_what_to_write(llm: Client) -> None:
    """A coroutine is no stream; the message has the right words to use."""
    coroutine = llm.acompletion(messages=STORY, stream=True)
    with pytest.raises(TypeError, match="use `async with` and `async for`"):
        TextStream(coroutine).__enter__()
    coroutine.close()
    with pytest.raises(TypeError, match="stream=True"):
        asyncio.run(_read(llm.acompletion(messages=STORY)))
    with pytest.raises(ValueError, match="max_chunks is 0"):
        TextStream(coroutine, max_chunks=0)


def test_stream_without_text_has_no_times() -> None:
    """Nothing came, so nothing was measured; an empty reply with a reason is whole."""
    stream = loops.run(_read(_Stream(SHAPES[1], {"choices": [{"delta": {}, "finish_reason": "stop"}]})))
    assert (stream.text, stream.ttft_s, stream.tokens_per_s) == ("", None, None)
