"""What a run may use, and what tokens cost."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .results import CaseResult, Usage

_MILLION = 1_000_000


@dataclass(frozen=True)
class Price:
    """Be the price of a model, in US dollars for a million tokens of prompts and of replies."""

    prompt: float
    completion: float

    def of(self, usage: Usage) -> float:
        """Return what a usage costs, in US dollars."""
        return (usage.prompt_tokens * self.prompt + usage.completion_tokens * self.completion) / _MILLION


FREE = Price(0, 0)


@dataclass(frozen=True)
class Budget:
    """Be the most that a run may use before no further case is started: tokens, and US dollars."""

    max_tokens: int | None = None
    max_cost: float | None = None

    def used_up(self, results: Iterable[CaseResult]) -> str | None:
        """Return why no further case is to be started, or None while there is something left."""
        tokens, cost = 0, 0.0
        for result in results:
            tokens += result.usage.tokens
            cost += result.cost_usd or 0.0
        if self.max_tokens is not None and tokens >= self.max_tokens:
            return f"the run has used {tokens:,} tokens; raise --max-tokens {self.max_tokens}, and --resume it."
        if self.max_cost is not None and cost >= self.max_cost:
            return f"the run has cost ${cost:.4g}; raise --max-cost {self.max_cost:g}, and --resume it."
        return None


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
