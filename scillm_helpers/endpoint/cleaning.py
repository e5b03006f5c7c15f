"""What is kept of an exchange -> the same without secrets."""

import codecs
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

# Texts that are read one after the other -> the same without the secrets in each and across them.
Clean = Callable[[Sequence[str]], list[str]]

_EVENT = re.compile(r"^data:[ \t]*(\{.*\})[ \t\r]*$", re.MULTILINE)


def clean_value(value: Any, clean: Clean) -> Any:
    """Return a JSON value without secrets: in its texts, its names and its numbers."""
    if isinstance(value, str):
        return clean([value])[0]
    if isinstance(value, dict):
        return {clean([name])[0]: clean_value(inner, clean) for name, inner in value.items()}
    if isinstance(value, list):
        return [clean_value(inner, clean) for inner in value]
    if isinstance(value, (int, float)) and (text := clean([str(value)])[0]) != str(value):
        return text
    return value


def clean_parts(parts: Sequence[bytes], clean: Clean) -> list[bytes]:
    """Return the parts of a body without secrets, also those that lie across parts, or across a stream's events.

    The boundaries stay where they are. Parts that hold nothing secret stay the same to the byte.
    """
    decode = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode
    texts = [decode(part, final=number == len(parts)) for number, part in enumerate(parts, 1)]
    cleaned = clean(_clean_events(texts, clean))
    if cleaned != texts:
        # Token by token, and byte by byte, they say the secret again.
        cleaned = clean(_clean_events(_without_logprobs(texts), clean))
    # A character across a boundary was put behind it: put back where nothing had to be taken out.
    return list(parts) if cleaned == texts else [text.encode("utf-8", "surrogateescape") for text in cleaned]


def _clean_events(texts: list[str], clean: Clean) -> list[str]:
    """Take out what a stream says in pieces, each in an event: the deltas of one text, one after the other."""
    whole = "".join(texts)
    found = list(_EVENT.finditer(whole))
    events = [_decoded(match[1]) for match in found]
    told: dict[tuple[Any, ...], list[tuple[int, Any, Any]]] = defaultdict(list)
    for number, event in enumerate(events):
        for path, holder, name in _texts(event):
            told[path].append((number, holder, name))
    changed: set[int] = set()
    for places in told.values():
        said = [holder[name] for _, holder, name in places]
        for (number, holder, name), text in zip(places, clean(said), strict=True):
            if holder[name] != text:
                holder[name] = text
                changed.add(number)
    edits = [(*found[number].span(1), _compact(events[number])) for number in sorted(changed)]
    return list(_edited(texts, edits))


def _without_logprobs(texts: list[str]) -> list[str]:
    whole = "".join(texts)
    spans = [match.span(1) for match in _EVENT.finditer(whole)] or [(0, len(whole))]
    told = [(first, last, _decoded(whole[first:last])) for first, last in spans]
    edits = [(first, last, _compact(value)) for first, last, value in told if _drop_logprobs(value)]
    return list(_edited(texts, edits))


def _drop_logprobs(value: Any) -> bool:
    """Empty the `logprobs` of each choice, and tell whether there were any."""
    choices = value.get("choices") if isinstance(value, dict) else None
    found = [choice for choice in choices or () if isinstance(choice, dict) and choice.get("logprobs")]
    for choice in found:
        choice["logprobs"] = None
    return bool(found)


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _texts(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any, Any]]:
    """Yield where the texts of an event are: as a path that is the same in each event, and as a holder and a name.

    Source: OpenAI's streaming reference: choices and tool calls of an event have an `index`, wherever they stand.
    """
    if isinstance(value, dict):
        inner = [(name, name, item) for name, item in value.items()]
    elif isinstance(value, list):
        inner = [
            (item.get("index", place) if isinstance(item, dict) else place, place, item)
            for place, item in enumerate(value)
        ]
    else:
        return
    for step, name, item in inner:
        if isinstance(item, str):
            yield (*path, step), value, name
        else:
            yield from _texts(item, (*path, step))


def _edited(texts: Sequence[str], edits: Sequence[tuple[int, int, str]]) -> Iterator[str]:
    """Yield the texts with each span of the whole replaced: the new text stands where the span begins."""
    offset = 0
    for text in texts:
        made, done, end = "", offset, offset + len(text)
        for first, last, new in edits:
            if last <= offset or first >= end:
                continue
            made += text[done - offset : max(first, offset) - offset]
            made += new if first >= offset else ""
            done = min(last, end)
        yield made + text[done - offset :]
        offset = end
