"""What tokens cost, as LiteLLM's price map says."""

import json
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_MILLION = 1_000_000


@dataclass(frozen=True)
class Price:
    """Be the price of a model, in US dollars for a million tokens of prompts and of replies."""

    prompt: float
    completion: float

    def of(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Return what so many tokens cost, in US dollars."""
        return (prompt_tokens * self.prompt + completion_tokens * self.completion) / _MILLION


FREE = Price(0, 0)


def known_price(model: str, api_base: str) -> Price | None:
    """Return what LiteLLM's price map, as it is installed, says of a model; None where it does not know it.

    A model is known by its name, or by that of the provider in the endpoint's address and its own:
    `chutes/deepseek-ai/DeepSeek-V3` on `llm.chutes.ai`.
    """
    prices = _price_map()
    host = urlsplit(api_base).hostname or ""
    providers = {str(entry.get("litellm_provider", "")) for entry in prices.values()}
    named = [provider for provider in providers if provider and provider.removesuffix("_ai") in host.split(".")]
    for name in (model, *(f"{provider}/{model}" for provider in sorted(named))):
        entry = prices.get(name, {})
        if entry.get("mode") in ("chat", "responses") and "input_cost_per_token" in entry:
            per_token = entry["input_cost_per_token"], entry.get("output_cost_per_token", 0.0)
            return Price(*(value * _MILLION for value in per_token))
    return None


@cache
def _price_map() -> dict[str, dict[str, Any]]:
    """Read the map from its file: importing LiteLLM takes seconds."""
    litellm = find_spec("litellm")
    assert litellm is not None
    assert litellm.origin is not None
    path = Path(litellm.origin).with_name("model_prices_and_context_window_backup.json")
    return dict(json.loads(path.read_bytes()))
