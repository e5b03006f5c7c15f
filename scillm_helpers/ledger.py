"""What calls have used: counted where the harness asks for it, and nowhere else."""

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .streaming import field_of


@dataclass(frozen=True)
class Call:
    """Be a call that was answered; `used` returns its tokens so far: of the prompt, and of the reply."""

    most_completion_tokens: int | None
    used: Callable[[], tuple[int, int]]


class Ledger:
    """Count the calls of a process and their tokens, as the provider reports them.

    A stream that ended without a report is estimated: its pieces of text count as tokens, and
    LiteLLM counts those of the prompt.
    """

    def __init__(self) -> None:
        """Begin with counting switched off: a session by hand would keep every stream in memory."""
        self.counting = False
        self._calls: list[Call] = []
        self._watched: list[Any] = []

    def watch(self, library: Any) -> None:
        """Count the calls of a library from now on, whoever makes them, where counting is switched on."""
        if not self.counting or any(library is watched for watched in self._watched):
            return
        self._watched.append(library)
        completion, acompletion = library.completion, library.acompletion

        @functools.wraps(completion)
        def counted(*arguments: Any, **call: Any) -> Any:
            reply = completion(*arguments, **call)
            self._note(library, call, reply)
            return reply

        @functools.wraps(acompletion)
        async def acounted(*arguments: Any, **call: Any) -> Any:
            reply = await acompletion(*arguments, **call)
            self._note(library, call, reply)
            return reply

        library.completion, library.acompletion = counted, acounted

    def _note(self, library: Any, call: dict[str, Any], reply: Any) -> None:
        """Count a call with its reply, or with its stream as far as that will be read."""
        if _is_practice(call):
            return
        most = call.get("max_completion_tokens") or call.get("max_tokens")
        used = _of_stream(library, call, reply) if call.get("stream") else _of_reply(reply)
        self._calls.append(Call(most, used))

    def totals(self) -> dict[str, int | None]:
        """Return the calls so far, their tokens, and the most that their replies could have had (None: no limit)."""
        used = [call.used() for call in self._calls]
        most = [call.most_completion_tokens for call in self._calls]
        return {
            "calls": len(self._calls),
            "prompt_tokens": sum(prompt for prompt, _ in used),
            "completion_tokens": sum(completion for _, completion in used),
            "most_completion_tokens": None if None in most else sum(filter(None, most)),
        }


LEDGER = Ledger()


def _is_practice(call: dict[str, Any]) -> bool:
    """Tell whether a call went to an endpoint that a notebook has started for itself: nobody is paid for it."""
    base = str(call.get("api_base") or "").rstrip("/")
    return base.startswith("http://127.0.0.1:") and base != os.environ.get("CHUTES_API_BASE", base).rstrip("/")


def _of_reply(reply: Any) -> Callable[[], tuple[int, int]]:
    tokens = _reported(field_of(reply, "usage")) or (0, 0)
    return lambda: tokens


def _of_stream(library: Any, call: dict[str, Any], stream: Any) -> Callable[[], tuple[int, int]]:
    prompt: int | None = None

    def used() -> tuple[int, int]:
        nonlocal prompt
        chunks = list(getattr(stream, "chunks", ()))
        for chunk in reversed(chunks):
            if reported := _reported(field_of(chunk, "usage")):
                return reported
        if prompt is None:
            prompt = library.token_counter(model=call.get("model") or "", messages=call.get("messages") or [])
        return prompt, sum(1 for chunk in chunks if _has_text(chunk))

    return used


def _reported(usage: Any) -> tuple[int, int] | None:
    if usage is None:
        return None
    return int(field_of(usage, "prompt_tokens") or 0), int(field_of(usage, "completion_tokens") or 0)


def _has_text(chunk: Any) -> bool:
    choices = field_of(chunk, "choices")
    return bool(choices) and bool(field_of(field_of(choices[0], "delta"), "content"))
