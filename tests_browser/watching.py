"""What the page has shown of a cell, as `watch.js` has seen it; and what is wrong with that."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Shown:
    """Be what a cell's output was at a time: seconds since the epoch, its text, height and scroll position in pixels."""

    at: float
    text: str
    height: float
    scroll: float


def growth(series: Sequence[Shown], end: float) -> list[str]:
    """Return the texts that were longer than each before them, and were on the page before `end`."""
    grown: list[str] = []
    for shown in series:
        if shown.at < end and len(shown.text) > len(grown[-1] if grown else ""):
            grown.append(shown.text)
    return grown


def unsteady(series: Sequence[Shown]) -> list[str]:
    """Return how an output that only grows has flickered or jumped, from its first text on."""
    begun = next((place for place, shown in enumerate(series) if shown.text), len(series))
    faults = []
    for before, after in pairwise(series[begun:]):
        if len(after.text) < len(before.text):
            faults.append(f"text: {before.text!r} became {after.text!r}")
        if after.height < before.height:
            faults.append(f"height: {before.height} became {after.height}")
        if after.scroll != before.scroll:
            faults.append(f"scroll: {before.scroll} became {after.scroll}")
    return faults
