"""The endpoint under load."""

import asyncio

import httpx

from scillm_helpers.endpoint import serve
from tests.polling import PATIENCE

STREAMS = 200
ASKED = {
    "model": "embedded/omni-1",
    "messages": [{"role": "user", "content": "Tell me a 10 word story."}],
    "stream": True,
}


def test_two_hundred_streams_at_once_are_whole_and_the_same() -> None:
    """None goes on before all of them have begun, so that they are all open together."""
    endpoint = serve.start()
    try:
        bodies = asyncio.run(_read_all(endpoint))
    finally:
        endpoint.stop()
    assert len(bodies) == STREAMS
    assert len(set(bodies)) == 1
    assert bodies[0].endswith(b"data: [DONE]\n\n")
    assert all(entry.whole for entry in endpoint.log.entries)


async def _read_all(endpoint: serve.Endpoint) -> list[bytes]:
    all_open = asyncio.Barrier(STREAMS)
    limits = httpx.Limits(max_connections=STREAMS)
    headers = {"Authorization": f"Bearer {endpoint.api_key}"}

    async with httpx.AsyncClient(limits=limits, headers=headers, timeout=PATIENCE) as client:

        async def read() -> bytes:
            async with client.stream("POST", f"{endpoint.api_base}/chat/completions", json=ASKED) as answer:
                assert answer.status_code == 200
                parts = answer.aiter_raw()
                first = await anext(parts)
                await all_open.wait()
                return first + b"".join([part async for part in parts])

        return await asyncio.gather(*(read() for _ in range(STREAMS)))
