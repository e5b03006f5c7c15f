"""What a run may use."""

from collections.abc import Iterable
from dataclasses import dataclass

from .results import CaseResult


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
