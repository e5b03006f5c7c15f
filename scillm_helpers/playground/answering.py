"""A call -> its answer, as it comes in."""

from collections.abc import Callable
from typing import Any

from ..client import Client
from ..prices import FREE, Price, known_price
from ..streaming import TextStream
from .conversation import Figures, Turn


async def stream(call: Any, turn: Turn, price: Price | None, changed: Callable[[], None]) -> TextStream:
    """Read the answer of an un-awaited call into `turn`, and call `changed` after each piece of it.

    What had arrived is kept on every way out, and the connection is closed. Raises what TextStream raises.
    """
    answer = TextStream(call)
    try:
        async for _ in answer:
            turn.answer, turn.figures = answer.text, figures(answer, price)
            changed()
    finally:
        turn.answer, turn.figures = answer.text, figures(answer, price)
    return answer


def figures(answer: TextStream, price: Price | None) -> Figures:
    """Return what an answer has taken and used so far."""
    prompt = answer.usage.prompt_tokens if answer.usage else None
    cost = None if price is None or prompt is None else price.of(prompt, answer.completion_tokens)
    return Figures(answer.ttft_s, answer.tokens_per_s, prompt, answer.completion_tokens, not answer.is_counted, cost)


def price_of(llm: Client, model: str) -> Price | None:
    """Return what a model costs, or None where nobody has said. The embedded endpoint is free."""
    return FREE if llm.settings.api_base is None else known_price(model, llm.api_base)
