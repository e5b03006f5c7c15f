"""The plan of a live run -> what it will ask for and can cost, by what earlier runs have measured."""

from collections.abc import Mapping, Sequence

from ..prices import Price
from .history import History
from .past import canonical
from .results import Case, Usage
from .words import dollars


def forecast(cases: Sequence[Case], history: History, prices: Mapping[str, Price | None]) -> str:
    """Return one line: the cases, their calls and tokens, and the most that all of it can cost.

    A notebook asks for what it has asked for when it last passed with these parameters, on any
    endpoint, also the embedded one. Its replies are counted as long as their calls let them be.
    """
    measured = history.usages()
    known = {case.id: (case, usage) for case in cases if (usage := measured.get(_key(case))) is not None}
    parts = ["1 case" if len(cases) == 1 else f"{len(cases)} cases"]
    if known:
        total = sum((usage for _, usage in known.values()), Usage())
        most = total.most_completion_tokens
        parts.append(
            f"{total.calls} {'call' if total.calls == 1 else 'calls'}, {total.prompt_tokens:,} tokens of prompts"
        )
        parts.append("replies without a limit of tokens" if most is None else f"at most {most:,} tokens of replies")
        parts.append(_cost(list(known.values()), prices))
    line = f"Plan: {', '.join(parts)}."
    if unknown := list(dict.fromkeys(case.notebook.name for case in cases if case.id not in known)):
        named = ", ".join(unknown[:3]) + (f" and {len(unknown) - 3} more" if len(unknown) > 3 else "")
        line += f" Not known before a first run, which may be one without a key: {named}."
    return line


def _cost(known: Sequence[tuple[Case, Usage]], prices: Mapping[str, Price | None]) -> str:
    """Return the most that the cases can cost, each call once."""
    most = 0.0
    for case, usage in known:
        price = prices.get(case.model)
        if price is None:
            return f"cost unknown (no price of {case.model})"
        if usage.most_completion_tokens is None:
            return "cost without a limit"
        most += price.of(usage.prompt_tokens, usage.most_completion_tokens)
    return f"at most {dollars(most)}, each call once"


def _key(case: Case) -> tuple[str, str]:
    return case.name, canonical(case.parameters)
