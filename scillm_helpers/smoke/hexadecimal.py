"""Secrets that are written in hexadecimal: with whatever between the digits, and as a dump of memory."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate

from .shown import Shown, Span

# At least four groups of digits: `63 61 6e`, `63:61:6e`, `0x63, 0x61`, `\\x63\\x61`, `6361 6e61`, `['63', '61']`.
_GROUP = "(?:0?[xX])?[0-9a-fA-F]{1,16}[hH]?"
_GROUPS = re.compile(rf"(?:{_GROUP}[^0-9A-Za-z]{{1,8}}){{3,}}{_GROUP}")
_BETWEEN = r"(?:^|[^0-9A-Za-z]+)(?:0?[xX])?|[hH]"
_PLAIN = re.compile(r"[0-9a-fA-F]{16,}")

# A line of xxd, hexdump or od: the offset, groups of digits, and perhaps the characters.
_DUMPED = re.compile(
    r"^[ \t]*[0-9a-fA-F]{4,16}:?[ \t]{1,3}((?:[0-9a-fA-F]{2,8}[ \t]{1,2})*[0-9a-fA-F]{2,8})(?:[ \t].*)?$", re.M
)
_NOT_DIGITS = re.compile(r"[^0-9a-fA-F]+")


def find(text: str, secrets: Mapping[str, str]) -> Iterator[Span]:
    """Yield where secrets are; these are given as digits in lower case, with their names."""
    for match in _PLAIN.finditer(text):
        yield from _in_digits(match[0], match.start(), secrets)
    for match in _GROUPS.finditer(text):
        shown = Shown.of(match[0], _BETWEEN, None)
        for start, end, name in shown.spans(_in_digits(shown.text, 0, secrets)):
            yield match.start() + start, match.start() + end, name
    yield from _dumps(text, secrets)


def _in_digits(digits: str, offset: int, secrets: Mapping[str, str]) -> Iterator[Span]:
    digits = digits.lower()
    for secret, name in secrets.items():
        start = digits.find(secret)
        while start >= 0:
            yield offset + start, offset + start + len(secret), name
            start = digits.find(secret, start + len(secret))


def _dumps(text: str, secrets: Mapping[str, str]) -> Iterator[Span]:
    """Yield the lines of dumps in which a secret stands: the characters beside the digits show it, too."""
    for lines in _runs(_DUMPED.finditer(text)):
        digits = [_NOT_DIGITS.sub("", line[1]) for line in lines]
        starts = [0, *accumulate(map(len, digits))]
        for start, end, name in _in_digits("".join(digits), 0, secrets):
            first, last = lines[bisect_right(starts, start) - 1], lines[bisect_right(starts, end - 1) - 1]
            yield first.start(), last.end(), name


def _runs(matches: Iterable[re.Match[str]]) -> Iterator[list[re.Match[str]]]:
    """Yield lines that follow each other."""
    run: list[re.Match[str]] = []
    for match in matches:
        if run and match.start() > run[-1].end() + 2:
            yield run
            run = []
        run.append(match)
    if run:
        yield run
