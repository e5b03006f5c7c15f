"""What becomes of a call that meets each fault, found by making the calls; a program, so that it runs under any `openai`.

    python -m tests.fault_outcomes

prints one JSON object: call -> fault -> what became of it. Each call is told to try once more where that may help,
and each fault is met once, by the first request. `SCILLM_FORCE_HTTPX_STREAM` chooses the HTTP transport.
"""

import asyncio
import json
import logging
import os
import re
import sys
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

from scillm_helpers.client import Client, connect
from scillm_helpers.endpoint import serve
from scillm_helpers.endpoint.faults import CONTENTS, NAMES, STREAMS
from scillm_helpers.errors import JsonReplyError
from scillm_helpers.json_mode import JSON_OBJECT, parse_json
from scillm_helpers.kinds import chain, kind_of
from scillm_helpers.settings import Settings
from scillm_helpers.streaming import TextStream
from tests.polling import PATIENCE

TIMED = {
    "429": "429=1",
    "429-date": "429-date=2",
    "slow-headers": "slow-headers=60",
    "slow-first-token": "slow-first-token=60",
}
FAULTS = ["ok", "refused", *NAMES, "slow-headers=0.01", "slow-first-token=0.01", "x-api-key sent"]
NOT_STREAMED = [name for name in FAULTS if name.partition("=")[0] not in STREAMS]
ASKED = {"messages": [{"role": "user", "content": "Tell me a 10 word story."}], "temperature": 0}
STREAMED = {"stream": True, "stream_options": {"include_usage": True}}
SLICES = 4  # of a call's faults, met side by side: some wait for a timeout
TEXT = "The old lighthouse keeper lit the lamp and smiled softly."


@dataclass
class Outcome:
    """Be what became of a call: `waits` are those before each further try, as the provider `told` them, or `own`."""

    text: str = ""  # whole, part, other, or nothing
    raised: str = ""  # the exception, and that of LiteLLM behind it
    kind: str = ""
    waits: list[str] = field(default_factory=list)
    requests: int = 0  # for a reply that the endpoint has seen


class Waits(logging.Handler):
    """Keep the waits that the helpers announce, of the thread that waits."""

    def __init__(self) -> None:
        super().__init__()
        self._of: dict[int, list[str]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        (seconds,) = re.findall(r" in ([\d.e-]+) seconds", record.getMessage())
        self._of.setdefault(threading.get_ident(), []).append("told" if float(seconds) >= 0.5 else "own")

    def taken(self) -> list[str]:
        return self._of.pop(threading.get_ident(), [])


async def completion(llm: Client, outcome: Outcome, asked: dict[str, Any]) -> None:
    outcome.text = _part(llm.completion(**asked).choices[0].message.content)


async def acompletion(llm: Client, outcome: Outcome, asked: dict[str, Any]) -> None:
    outcome.text = _part((await llm.acompletion(**asked)).choices[0].message.content)


async def stream(llm: Client, outcome: Outcome, asked: dict[str, Any]) -> None:
    reading = TextStream(lambda: llm.completion(**asked, **STREAMED))
    try:
        with reading:
            for _ in reading:
                pass
    finally:
        outcome.text = _part(reading.text)


async def astream(llm: Client, outcome: Outcome, asked: dict[str, Any]) -> None:
    reading = TextStream(lambda: llm.acompletion(**asked, **STREAMED))
    try:
        async with reading:
            async for _ in reading:
                pass
    finally:
        outcome.text = _part(reading.text)


async def parsed(llm: Client, outcome: Outcome, asked: dict[str, Any]) -> None:
    messages = [{"role": "user", "content": 'Return only {"ok": true} as JSON.'}]
    reply = parse_json(llm.completion(**asked | {"messages": messages}, response_format=JSON_OBJECT))
    outcome.text = ("mended " if reply.mended else "") + json.dumps(reply.value)


Call = Callable[[Client, Outcome, dict[str, Any]], Awaitable[None]]
CALLS: dict[Call, list[str]] = {
    completion: NOT_STREAMED,
    acompletion: NOT_STREAMED,
    stream: FAULTS,
    astream: FAULTS,
    parsed: ["ok", *CONTENTS],
}


def _part(text: str | None) -> str:
    text = text or ""
    return "whole" if text == TEXT else "" if not text else "part" if TEXT.startswith(text) else "other"


def _meet(endpoint: serve.Endpoint, fault: str) -> Any:
    """Return the block in which the first request meets a fault."""
    if fault == "refused":
        return endpoint.refusing()
    return endpoint.faults.scripted(TIMED.get(fault, fault.removesuffix(" sent")))


async def _outcome(call: Call, endpoint: serve.Endpoint, llm: Client, fault: str, waits: Waits) -> Outcome:
    outcome, before = Outcome(), len(endpoint.log.entries)
    sent = {"extra_headers": {"x-api-key": endpoint.api_key}} if fault.endswith(" sent") else {}
    try:
        with _meet(endpoint, fault):
            await call(llm, outcome, ASKED | sent)
    except Exception as error:  # noqa: BLE001 - what is raised is what is looked for
        outcome.raised, outcome.kind = _named(error), kind_of(error)
    outcome.waits = waits.taken()
    # A request is logged when its answer has ended: the client may see that a little earlier, and its loop must run.
    expected = before + (1 + len(outcome.waits) if fault != "refused" else 0)
    entries = await asyncio.to_thread(endpoint.log.wait_for, expected, timeout=PATIENCE)
    outcome.requests = len([entry for entry in entries[before:] if entry.method == "POST"])
    return outcome


def _named(error: BaseException) -> str:
    if isinstance(error, JsonReplyError):
        return f"JsonReplyError: {error}"
    behind = [type(one).__name__ for one in chain(error) if "litellm" in type(one).__module__]
    return " < ".join(dict.fromkeys([type(error).__name__, *behind[:1]]))


async def _outcomes(call: Call, faults: list[str], waits: Waits) -> dict[str, Any]:
    endpoint = serve.start(chunk_seconds=0)
    told = {"LITELLM_RETRY_AFTER": "0.01", "LITELLM_MAX_RETRIES": "1", "LITELLM_TIMEOUT": "3"}
    llm = connect(settings=Settings.from_env({**os.environ, **endpoint.environ, **told}))
    try:
        await call(llm, Outcome(), ASKED | {"timeout": 60})  # the first call imports half of LiteLLM
        return {fault: asdict(await _outcome(call, endpoint, llm, fault, waits)) for fault in faults}
    finally:
        endpoint.stop()


def _stack() -> dict[str, str]:
    """Return the version of openai, and the transport that LiteLLM has given the clients that it keeps."""
    import litellm
    import openai

    clients = litellm.in_memory_llm_clients_cache.cache_dict.values()
    sending = {type(c._client._transport).__name__ for c in clients if isinstance(c, openai.AsyncOpenAI)}
    names = {"AsyncHTTPTransport": "httpx", "LiteLLMAiohttpTransport": "aiohttp"}
    return {"openai": openai.__version__, "transport": " ".join(names.get(name, name) for name in sorted(sending))}


def main() -> int:
    """Print what became of each call."""
    waits = Waits()
    log = logging.getLogger("scillm_helpers.retries")
    log.setLevel(logging.INFO)
    log.addHandler(waits)
    slices = [(call, faults[n::SLICES]) for call, faults in CALLS.items() for n in range(SLICES) if faults[n::SLICES]]
    calls: dict[str, dict[str, Any]] = {call.__name__: {} for call in CALLS}
    with ThreadPoolExecutor(len(slices)) as threads:
        found = threads.map(lambda part: asyncio.run(_outcomes(*part, waits)), slices)
        for (call, _), outcomes in zip(slices, found, strict=True):
            calls[call.__name__] |= outcomes
    json.dump({"stack": _stack(), "calls": calls}, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
