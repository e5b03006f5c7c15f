"""What is stored, beside what is made again: measured values may differ, all else is compared to the letter.

nbval (through `conftest.py`), `make tutorials`, the test that replays the suite and the pictures of `docs/` all compare
with this module, and with nothing else.
"""

import re
from typing import Any

MEASURED = "MEASURED"

_NUMBER = r"\d+(?:\.\d+)?(?:e[+-]?\d+)?"
_ANSI = re.compile(r"\x1b\[[\d;]*m")

# A field is named for its unit: `ttft_s` is in seconds, `tokens_per_s` per second.
_FIELD = re.compile(r"\w+_s")
# The column of a table is as wide as its longest value, so the spaces beside a measured one vary, too.
_PROSE = (
    (re.compile(rf"""\b({_FIELD.pattern})(["']?[:=]?) ?{_NUMBER}\b"""), rf"\1\2 {MEASURED}"),
    (re.compile(r" *\b\d+\.\d+ s\b(?: +(?=\|))?"), f" {MEASURED} s"),
    (re.compile(r" *\b\d+ tokens/s(?: +(?=\|))?"), f" {MEASURED} tokens/s"),
    (re.compile(r"(!\[Measured: [^\]]*\]\(data:image/png;base64,)[A-Za-z0-9+/=]+"), rf"\1{MEASURED}"),
)

# tqdm fills the width with blocks, pads a line to the length of the one before, and cuts what is too long.
_END = r"(?:\x1b\[0m)* *$"
_TIMES = r"[^],\n]*, *[^],\n]*(?P<postfix>,[^\n]*)?"
_BAR = re.compile(
    rf"%(?:\|(?P<blocks>[^|\n]*)\|)?(?P<count> ?\d\S*/\S+ )\[(?:-?\d[\d:]*<{_TIMES}\]{_END}|[^]\n]*$)", re.MULTILINE
)
_COUNT = re.compile(
    rf"(?<!\S)(?P<count>\d\S*(?: [^\s[]+)? )\[(?:\d+:{_TIMES}\]{_END}|\d[\d:]*(?:,[^]\n]*)?$)", re.MULTILINE
)
_FULL = ({"█"}, {"#"})

_OVERWRITTEN = re.compile(r"[^\n]*\r(?=[^\r\n])")
_LINE_END = re.compile(r" *\r+$", re.MULTILINE)

_DIGITS = re.compile(r"(?:\d[\d.,:]*|#)+(?: m?s\b)?")  # a time, with its unit: a slow machine's is another one


def same(stored: list[Any], fresh: list[Any]) -> bool:
    """Return whether two lists of outputs differ only in measured values, and in how the kernel sent their text."""
    return bool(masked(_merged(stored)) == masked(_merged(fresh)))


def masked(value: Any) -> Any:
    """Return an output, or a part of one, with every measured value replaced."""
    if isinstance(value, dict):
        return {name: MEASURED if _is_measured(name, item) else masked(item) for name, item in value.items()}
    if isinstance(value, list):
        return [masked(item) for item in value]
    return _masked_text(value) if isinstance(value, str) else value


def numberless(text: str) -> str:
    """Return the words of a page's text, with each number, and the unit of each time, as `#`."""
    return " ".join(_DIGITS.sub("#", text).split())


def _is_measured(name: str, item: Any) -> bool:
    return bool(_FIELD.fullmatch(name)) and isinstance(item, int | float) and not isinstance(item, bool)


def _masked_text(text: str) -> str:
    if "\r" in text:
        text = _LINE_END.sub("", _OVERWRITTEN.sub("", text))
    text = _COUNT.sub(_count, _BAR.sub(_bar, text))
    for pattern, replacement in _PROSE:
        text = pattern.sub(replacement, text)
    return text


def _bar(match: re.Match[str]) -> str:
    """Return a progress bar of no width: whether it is full, its count and its postfix."""
    blocks = match["blocks"]
    drawn = "" if blocks is None else f"|{'full' if _is_full(blocks) else 'part'}|"
    return f"%{drawn}{_count(match)}"


def _count(match: re.Match[str]) -> str:
    return f"{match['count']}[{MEASURED}{match['postfix'] or ''}]"


def _is_full(blocks: str) -> bool:
    return set(_ANSI.sub("", blocks)) in _FULL


def _merged(outputs: list[Any]) -> list[Any]:
    """Return the outputs with text that was printed in several pieces as one."""
    merged: list[Any] = []
    for output in outputs:
        last = merged[-1] if merged else {}
        if output.get("output_type") == last.get("output_type") == "stream" and output["name"] == last["name"]:
            merged[-1] = {**last, "text": last["text"] + output["text"]}
        else:
            merged.append(output)
    return merged
