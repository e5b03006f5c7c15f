"""A request that was not recorded -> the recorded one that is nearest, and what differs."""

import difflib
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from .canonical import Asked
from .cassettes import Cassette

_SHOWN = 3  # differences
_LONG = 40  # characters of a value
_ABSENT = object()
# LiteLLM takes an error with these words for a rate limit, whatever its status, and calls again.
_MISREAD = re.compile(r"rate[\s_-]*limit|service tier capacity", re.IGNORECASE)


def explain(asked: Asked, cassettes: Sequence[Cassette]) -> str:
    """Return what to tell a client whose request was not recorded."""
    nearest = min(cassettes, key=lambda cassette: _distance(asked, cassette.asked))
    name = nearest.name if not _MISREAD.search(nearest.name) else f"*-{nearest.asked.key[:12]}.yaml"
    differences = list(_differences(_leaves(asked), _leaves(nearest.asked)))
    shown = [text if not _MISREAD.search(text) else f"{path} (another text)" for path, text in differences[:_SHOWN]]
    more = f"; and {len(differences) - _SHOWN} more" if len(differences) > _SHOWN else ""
    return (
        f"This request was not recorded. The nearest is {name}, which differs in {'; '.join(shown)}{more}. "
        "Record it with scillm-smoke serve --record."
    )


def _distance(asked: Asked, other: Asked) -> float:
    """Return how far two requests are apart: 1 for a value that only one has, less for values that are alike."""
    left, right = _leaves(asked), _leaves(other)
    return sum(_unlike(left.get(path), right.get(path)) for path in left.keys() | right.keys())


def _unlike(left: Any, right: Any) -> float:
    if left == right and type(left) is type(right):
        return 0.0
    if isinstance(left, str) and isinstance(right, str):
        # As long texts begin, so they mostly go on; to compare them whole takes seconds.
        return 1 - 0.9 * difflib.SequenceMatcher(None, left[:300], right[:300], autojunk=False).quick_ratio()
    return 1.0


def _leaves(asked: Asked) -> dict[str, Any]:
    """Return a request's values by where they are, such as `messages[0].content`."""
    return {"method": asked.method, "path": asked.path} | dict(_walk(asked.body, ""))


def _walk(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _walk(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and value:
        for place, inner in enumerate(value):
            yield from _walk(inner, f"{path}[{place}]")
    else:
        yield path or "body", value


def _differences(left: dict[str, Any], right: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield where two requests differ, and that with what each has there."""
    for path in dict.fromkeys([*left, *right]):
        asked, recorded = left.get(path, _ABSENT), right.get(path, _ABSENT)
        if asked is _ABSENT or recorded is _ABSENT or _unlike(asked, recorded):
            start = _parting(asked, recorded)
            yield path, f"{path} (asked {_cut(asked, start)}, recorded {_cut(recorded, start)})"


def _parting(left: Any, right: Any) -> int:
    """Return a place a little before two texts part."""
    if not (isinstance(left, str) and isinstance(right, str)):
        return 0
    pairs = enumerate(zip(left, right, strict=False))
    same = next((place for place, (one, other) in pairs if one != other), min(len(left), len(right)))
    return max(0, same - 10) if max(len(left), len(right)) > _LONG else 0


def _cut(value: Any, start: int) -> str:
    if value is _ABSENT:
        return "none"
    if not isinstance(value, str):
        text = json.dumps(value, ensure_ascii=False)
        return text if len(text) <= _LONG else f"{text[:_LONG]}…"
    cut = ("…" if start else "") + value[start : start + _LONG] + ("…" if len(value) > start + _LONG else "")
    return json.dumps(cut, ensure_ascii=False)
