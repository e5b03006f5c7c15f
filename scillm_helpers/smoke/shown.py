"""A text -> what is seen of it, and where that stands in the text."""

import html
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Self
from urllib.parse import unquote

from .invisible import INVISIBLE

_INVISIBLE = re.compile(INVISIBLE)

Span = tuple[int, int, str]  # where something begins and ends, and its name


class Shown:
    """Be a text as it is shown, and know where each part of it stands in the original."""

    def __init__(self, kept: Iterable[tuple[str, int, int]]) -> None:
        """Join the parts that are kept: what each shows, and where it begins and ends in the original."""
        self._parts = [part for part in kept if part[0]]
        self.text = "".join(shown for shown, _, _ in self._parts)
        self._starts = [0]
        for shown, _, _ in self._parts:
            self._starts.append(self._starts[-1] + len(shown))

    @classmethod
    def of(cls, text: str, ignored: str, escaped: str | None) -> Self:
        """Return `text` without what is `ignored`, and with what is `escaped` as what it stands for."""
        pattern = re.compile(f"{ignored}|({escaped})" if escaped else ignored)

        def kept() -> Iterator[tuple[str, int, int]]:
            done = 0
            for match in pattern.finditer(text):
                yield text[done : match.start()], done, match.start()
                yield (_unescaped(match[1]) if escaped and match[1] else ""), match.start(), match.end()
                done = match.end()
            yield text[done:], done, len(text)

        return cls(kept())

    def spans(self, found: Iterable[Span]) -> Iterator[Span]:
        """Yield what was found in the shown text as places in the original."""
        for start, end, name in found:
            yield self._original(start, 0), self._original(end - 1, 1), name

    def _original(self, place: int, after: int) -> int:
        """Return where the shown character at `place` begins in the original, or where it ends."""
        number = bisect_right(self._starts, place) - 1
        shown, start, end = self._parts[number]
        if len(shown) == end - start:
            return start + place - self._starts[number] + after
        return end if after else start


def _unescaped(text: str) -> str:
    """Return what an HTML entity, a percent-encoding or a backslash stands for."""
    if text.startswith("&"):
        shown = html.unescape(text)
    elif text.startswith("%"):
        shown = unquote(text)
    else:
        shown = chr(int(text[2:], 16)) if len(text) > 2 else text[1:]
    return _INVISIBLE.sub("", shown)
