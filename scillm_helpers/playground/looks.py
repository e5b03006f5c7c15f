"""Turns, figures and notices -> the HTML that the panel shows."""

import base64
import io
from collections.abc import Sequence
from functools import lru_cache
from html import escape
from pathlib import Path

from .conversation import Figures, State, Turn
from .explaining import Notice
from .form import Picture
from .markdown import to_html

STYLE = f"<style>{(Path(__file__).parent / 'style.css').read_text(encoding='utf-8')}</style>"
LOST = "The kernel has restarted: run all cells to go on; the conversation is kept."
_THUMBNAIL = (320, 160)  # pixels
_STATES: dict[State, str] = {"streaming": "", "whole": "", "stopped": "Stopped.", "failed": "Not whole."}


def notice(told: Notice | None) -> str:
    """Return a notice, which is read aloud as it appears; and the line that is seen once the kernel is lost."""
    lost = f'<p class="scillm-lost">{LOST}</p>'
    if told is None:
        return f'<div role="alert"></div>{lost}'
    kind = f' <span class="scillm-kind">{escape(told.kind)}</span>' if told.kind else ""
    said = f'<p class="scillm-said">{escape(told.said)}</p>' if told.said else ""
    return f'<div role="alert" class="scillm-notice"><p><b>{escape(told.what)}</b>{kind} {escape(told.todo)}</p>{said}</div>{lost}'


def history(turns: Sequence[Turn]) -> str:
    """Return the turns that are over, each with a line of its figures."""
    if not turns:
        return ""
    return "".join(
        f"{question(turn)}{answer(turn)}<p class='scillm-foot'>{escape(turn.model)} &middot; {foot(turn.figures)}</p>"
        for turn in turns
    )


def question(turn: Turn) -> str:
    """Return what was asked."""
    picture = _picture(turn.picture) if turn.picture else ""
    return (
        f'<div class="scillm-question"><span class="scillm-who">You</span>{picture}<p>{escape(turn.prompt)}</p></div>'
    )


def answer(turn: Turn) -> str:
    """Return the answer as far as it has come."""
    # Four backticks: an answer may hold three.
    text = f"````json\n{turn.answer}\n````" if turn.as_json and turn.answer else turn.answer
    waiting = '<p class="scillm-waiting">Waiting for the first token</p>' if turn.state == "streaming" else ""
    said = " ".join(filter(None, (_STATES[turn.state], turn.remark)))
    remark = f'<p class="scillm-remark scillm-{turn.state}">{escape(said)}</p>' if said else ""
    busy = "true" if turn.state == "streaming" else "false"
    return f'<div class="scillm-answer" aria-busy="{busy}"><span class="scillm-who">{escape(turn.model)}</span>{to_html(text) or waiting}{remark}</div>'


def figures(seen: Figures) -> list[tuple[str, str]]:
    """Return what stands beside an answer: names and values."""
    about = "about " if seen.estimated and seen.completion_tokens else ""
    return [
        ("First token", "-" if seen.ttft_s is None else f"{seen.ttft_s:.2f} s"),
        ("Speed", "-" if seen.tokens_per_s is None else f"{about}{seen.tokens_per_s:.0f} tokens/s"),
        ("Prompt", "-" if seen.prompt_tokens is None else f"{about}{seen.prompt_tokens:,} tokens"),
        ("Answer", f"{about}{seen.completion_tokens:,} tokens" if seen.completion_tokens else "-"),
        ("Cost", _cost(seen)),
    ]


def beside(turn: Turn) -> str:
    """Return the figures of a turn as a list of terms."""
    seen = turn.figures
    rows = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in figures(seen))
    when = " so far" if turn.state == "streaming" else ""
    estimated = f"<p>Estimated: the endpoint has not counted the tokens{when}.</p>" if seen.estimated else ""
    return f'<dl class="scillm-figures">{rows}</dl>{estimated if seen.completion_tokens else ""}'


def foot(seen: Figures) -> str:
    """Return the figures in a line."""
    return " &middot; ".join(f"{name.lower()} {value}" for name, value in figures(seen) if value != "-")


def _cost(seen: Figures) -> str:
    if seen.cost_usd is None:
        return "unknown"
    return f"{'about ' if seen.estimated else ''}${seen.cost_usd:.2g}" if seen.cost_usd else "none"


def _picture(picture: Picture) -> str:
    name = escape(picture.name)
    if not picture.url.startswith("data:"):
        return f'<p class="scillm-picture">{escape(picture.url)}</p>'
    return f'<img class="scillm-picture" src="{thumbnail(picture.url)}" alt="{name}">'


@lru_cache(maxsize=32)
def thumbnail(data_url: str) -> str:
    """Return a small copy of a picture, as a data URL: the page is not sent megabytes after each turn."""
    from PIL import Image

    with Image.open(io.BytesIO(base64.b64decode(data_url.partition(",")[2]))) as image:
        image.thumbnail(_THUMBNAIL)
        small = io.BytesIO()
        image.convert("RGBA").save(small, "PNG")
    return f"data:image/png;base64,{base64.b64encode(small.getvalue()).decode()}"
