"""What a prompt tells: the names and numbers in it."""

import itertools
import re

_NAME = re.compile(r"\b[A-Z]\w*[a-z]\w*(?:[ -][A-Z]\w*[a-z]\w*)*")
_NUMBER = re.compile(r"(?<![\w.])-?\d{1,15}(?:\.\d{1,15})?(?!\w)")
_SENTENCE = re.compile(r"(?:^|[.!?:\n])\s*$")
_COMMA = re.compile(r", ?")
_AND = re.compile(r",? and (?:in |of |for |to )?")
_MAX = 1_000  # of one prompt: more would keep a machine busy
_MAX_LISTED = 16


def names(prompt: str) -> list[str]:
    """Return the capitalised names of `prompt` in their order.

    An acronym (JSON) is none, nor is the lone first word of a sentence.
    """
    found = _NAME.finditer(prompt)
    few = itertools.islice(found, _MAX)
    return [m[0] for m in few if " " in m[0] or not _SENTENCE.search(prompt, max(0, m.start() - 20), m.start())]


def numbers(prompt: str) -> list[float]:
    """Return the numbers of `prompt` in their order."""
    return [float(number[0]) for number in itertools.islice(_NUMBER.finditer(prompt), _MAX)]


def each(prompt: str) -> list[str]:
    """Return the prompt once for each proper name that it lists, as in `Paris and London`; else as it is."""
    listed: list[re.Match[str]] = []
    for name in _NAME.finditer(prompt):
        between = prompt[listed[-1].end() : name.start()] if listed else ""
        if listed and _AND.fullmatch(between):
            head, tail = prompt[: listed[0].start()], prompt[name.end() :]
            return [head + named + tail for named in dict.fromkeys(match[0] for match in (*listed, name))]
        listed = [*listed, name][-_MAX_LISTED:] if listed and _COMMA.fullmatch(between) else [name]
    return [prompt]
