"""The conversation: its turns, and the messages that they are to the next call."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from .form import Message, Picture, asked

State = Literal["streaming", "whole", "stopped", "failed"]


@dataclass
class Figures:
    """Be what a call took and used; None is for what is not known.

    Tokens that the endpoint has not counted itself are `estimated`. Cost is in US dollars.
    """

    ttft_s: float | None = None
    tokens_per_s: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int = 0
    estimated: bool = True
    cost_usd: float | None = None


@dataclass
class Turn:
    """Be one question and its answer, as far as it has come.

    `remark` says what there is to know of the answer: that it was cut or stopped, that it is no JSON.
    """

    model: str
    prompt: str
    picture: Picture | None = None
    as_json: bool = False
    answer: str = ""
    state: State = "streaming"
    remark: str = ""
    figures: Figures = field(default_factory=Figures)


def messages(turns: Iterable[Turn]) -> list[Message]:
    """Return what a next call is told of the turns; one that failed has asked nothing."""
    told: list[Message] = []
    for turn in turns:
        if turn.answer and turn.state in ("whole", "stopped"):
            told += [asked(turn.prompt, turn.picture), {"role": "assistant", "content": turn.answer}]
    return told
