"""The panel as a picture, for where no widgets are shown: a page, a headless run."""

import re
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..figures import figure
from .conversation import Figures, Turn
from .form import Form
from .looks import figures

if TYPE_CHECKING:
    from IPython.display import Markdown

_WIDTH, _HEIGHT = 900, 470  # of the drawing, in units of its own: its axes count from the upper left
_EDGE, _FILL, _INK, _QUIET, _BLUE = "#c8c8c8", "#f2f2f2", "#222222", "#555555", "#1769c4"
_LINES = 11  # of text that the conversation has room for, from its end


def draw(form: Form, turns: Sequence[Turn]) -> "Markdown":
    """Return the picture of a panel that has this form and has had these turns."""
    from matplotlib.figure import Figure

    fig = Figure(figsize=(_WIDTH / 100, _HEIGHT / 100), facecolor="white")
    axes = fig.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, _WIDTH), ylim=(_HEIGHT, 0))
    axes.axis("off")
    _box(axes, 8, 8, _WIDTH - 16, _HEIGHT - 16)
    _form(axes, form)
    _conversation(axes, turns)
    _beside(axes, turns[-1].figures if turns else Figures())
    _box(axes, 260, 346, 624, 54)
    _text(axes, 272, 362, form.prompt or "What to ask", colour=_INK if form.prompt else _QUIET)
    for left, label in ((260, "Send"), (344, "Stop"), (428, "New conversation")):
        wide = 72 if len(label) < 5 else 150
        _box(axes, left, 414, wide, 32, fill=_BLUE if label == "Send" else _FILL, edge="none")
        _text(axes, left + wide / 2, 430, label, colour="white" if label == "Send" else _INK, align="center")
    return figure(fig, _alternative(turns))


def _form(axes: Any, form: Form) -> None:
    fields = [
        ("Model", form.model),
        ("System prompt", form.system or "none"),
        ("Temperature", f"{form.temperature:.1f}"),
        ("Max tokens", f"{form.max_tokens}"),
        ("JSON mode", "on" if form.json_mode else "off"),
        ("Picture", form.picture.name if form.picture else "none"),
    ]
    for number, (name, value) in enumerate(fields):
        top = 22 + number * 70
        _text(axes, 24, top + 6, name, size=9, colour=_QUIET)
        _box(axes, 24, top + 18, 216, 32)
        _text(axes, 34, top + 34, textwrap.shorten(value, 28, placeholder="..."))


def _conversation(axes: Any, turns: Sequence[Turn]) -> None:
    _box(axes, 260, 24, 480, 310)
    lines = [line for turn in turns for line in _lines(turn)][-_LINES:]
    for number, (text, colour, size) in enumerate(lines):
        _text(axes, 274, 44 + number * 26, text, size=size, colour=colour)


def _lines(turn: Turn) -> list[tuple[str, str, int]]:
    """Return the lines of a turn, each with its colour and its size."""
    return [
        ("You", _QUIET, 9),
        *((line, _INK, 11) for line in textwrap.wrap(turn.prompt, 62)),
        (turn.model, _QUIET, 9),
        *((line, _INK, 11) for line in textwrap.wrap(turn.answer, 62)),
        *((line, _QUIET, 9) for line in textwrap.wrap(turn.remark, 74)),
    ]


def _beside(axes: Any, seen: Figures) -> None:
    for number, (name, value) in enumerate(figures(seen)):
        _text(axes, 756, 38 + number * 54, name, size=9, colour=_QUIET)
        _text(axes, 756, 58 + number * 54, value, bold=True)


def _box(
    axes: Any, left: float, top: float, width: float, height: float, fill: str = "white", edge: str = _EDGE
) -> None:
    from matplotlib.patches import FancyBboxPatch

    style = "round,pad=0,rounding_size=6"
    axes.add_patch(FancyBboxPatch((left, top), width, height, boxstyle=style, facecolor=fill, edgecolor=edge))


def _text(
    axes: Any,
    left: float,
    middle: float,
    text: str,
    size: int = 11,
    colour: str = _INK,
    align: str = "left",
    bold: bool = False,
) -> None:
    # A dollar sign would begin a formula.
    weight = "bold" if bold else "normal"
    axes.text(
        left, middle, text.replace("$", r"\$"), fontsize=size * 0.82, color=colour, va="center", ha=align, weight=weight
    )


def _alternative(turns: Sequence[Turn]) -> str:
    """Return what the picture shows, in a line. Its times vary, so stored outputs are compared by this."""
    if not turns:
        return "The playground before its first turn: the form, and an empty conversation"
    turn = turns[-1]
    used = ", ".join(f"{name.lower()} {value}" for name, value in figures(turn.figures)[2:])
    said = f"Measured: the playground. {turn.model} was asked: {turn.prompt} It answered: {turn.answer} ({used})"
    return re.sub(r"[\[\]\s]+", " ", said).strip()
