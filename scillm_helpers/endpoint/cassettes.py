"""What was asked and answered, as text that a person can read.

A cassette is one YAML document for each distinct request, with its answers in the order in which they were asked
for. It ends with YAML's own end mark, so that half of one is never taken for a whole. It holds no header: of an
answer the media type is told from its body, and all else is lost.
"""

import json
import re
from dataclasses import dataclass
from typing import Any, Literal

import yaml

from ..errors import CassetteError
from .canonical import Asked

VERSION = 1

_END = "..."  # Source: YAML 1.2.2, section 9.1.2, document markers


@dataclass(frozen=True)
class Part:
    """Be one piece of a body, and the seconds since the one before it, or since the request."""

    after_s: float
    data: bytes


@dataclass(frozen=True)
class Recorded:
    """Be one answer. Its `end` is `reset` where the connection broke before the body had ended."""

    status: int
    parts: tuple[Part, ...]
    end: Literal["whole", "reset"]


@dataclass(frozen=True)
class Cassette:
    """Be a request and its answers."""

    asked: Asked
    answers: tuple[Recorded, ...]

    @property
    def name(self) -> str:
        """Return the name of its file."""
        return f"{self.asked.name}.yaml"


def media_type(body: bytes) -> str:
    """Return the media type that a body shows by itself. Source: the HTML standard, 9.2.5, for event streams."""
    start = body.lstrip()
    if start.startswith((b"{", b"[")):
        return "application/json"
    if start.startswith((b"data:", b"event:", b"id:", b"retry:", b":")):
        return "text/event-stream"
    if start.startswith(b"<"):
        return "text/html"
    try:
        body.decode()
        json.loads(body)
    except UnicodeDecodeError:
        return "application/octet-stream"
    except ValueError:
        return "text/plain"
    return "application/json"


def head(asked: Asked) -> str:
    """Return the text of a cassette up to its answers."""
    request = {"method": asked.method, "path": asked.path, "body": _sorted(asked.body)}
    return _dump({"version": VERSION, "request": request, "answers": []}).removesuffix(" []\n") + "\n"


def entry(answer: Recorded) -> str:
    """Return the text of one answer of a cassette."""
    parts = [{"after_s": round(part.after_s, 3), "text": _shown(part.data)} for part in answer.parts]
    return _dump([{"status": answer.status, "parts": parts, "end": answer.end}])


def end() -> str:
    """Return the text that ends a cassette."""
    return f"{_END}\n"


def parse(text: str, name: object) -> Cassette:
    """Read the text of a cassette. Raises CassetteError for what is none, or not whole, or of another version."""
    try:
        loaded = yaml.load(text, Loader=_LOADER)  # noqa: S506 - it is a safe one
    except (yaml.YAMLError, ValueError) as error:
        raise _broken(name, f"not YAML{_line(error)}") from error
    version = loaded.get("version") if isinstance(loaded, dict) else None
    if version is not None and version != VERSION:
        raise CassetteError(f"{name} is a cassette of version {version!r}, and {VERSION} is known; record it again.")
    if text.rstrip().rpartition("\n")[2] != _END:
        raise _broken(name, f"its last line is not '{_END}'")
    try:
        return _cassette(loaded)
    except _WrongError as error:
        raise _broken(name, str(error)) from error


class _Block(str):
    """Be a text that is written as it is, also where it is of one line."""


class _Dumper(yaml.SafeDumper):  # type: ignore[misc] # PyYAML has no types
    def ignore_aliases(self, data: Any) -> bool:
        """Write out what occurs twice (PyYAML calls this)."""
        return True


def _represent(dumper: _Dumper, text: str) -> Any:
    style = "|" if isinstance(text, _Block) or "\n" in text else None
    # PyYAML 6.0.3 writes these as they are, and reads them as the end of a line.
    style = '"' if re.search("[\x85\u2028\u2029]", text) else style
    return dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style=style)


_Dumper.add_representer(str, _represent)
_Dumper.add_representer(_Block, _represent)


def _dump(value: Any) -> str:
    # Not libyaml: it escapes an emoji, and all the text around it.
    text: str = yaml.dump(value, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=float("inf"))
    return text


def _shown(data: bytes) -> "_Block | bytes":
    try:
        return _Block(data.decode())
    except UnicodeDecodeError:
        return data


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _sorted(inner) for name, inner in sorted(value.items())}
    if isinstance(value, list):
        return [_sorted(inner) for inner in value]
    return value


_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is eight times as fast


class _WrongError(Exception):
    pass


def _broken(name: object, why: str) -> CassetteError:
    return CassetteError(f"{name} is not a whole cassette ({why}); record it again.")


def _line(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    return f", line {mark.line + 1}" if mark is not None else ""


def _cassette(loaded: Any) -> Cassette:
    if not isinstance(loaded, dict) or "version" not in loaded:
        raise _WrongError("it has no version")
    request = _field(loaded, "request", dict)
    asked = Asked(_field(request, "method", str), _field(request, "path", str), _json(request.get("body")))
    answers = _field(loaded, "answers", list)
    if not answers:
        raise _WrongError("it has no answers")
    return Cassette(asked, tuple(map(_recorded, answers)))


def _json(body: Any) -> Any:
    """Return a body that is JSON: YAML knows more, such as dates, and names that are numbers."""
    try:
        if json.loads(json.dumps(body)) == body:
            return body
    except (TypeError, ValueError, RecursionError):
        pass
    raise _WrongError("the body of its request is not JSON")


def _recorded(answer: Any) -> Recorded:
    status, end = _field(answer, "status", int), _field(answer, "end", str)
    if not 200 <= status <= 599:
        raise _WrongError(f"status is {status}")
    if end not in ("whole", "reset"):
        raise _WrongError(f"end is {end!r}")
    return Recorded(status, tuple(map(_part, _field(answer, "parts", list))), "whole" if end == "whole" else "reset")


def _part(part: Any) -> Part:
    text = _field(part, "text", (str, bytes))
    after_s = _field(part, "after_s", (int, float))
    if not 0 <= after_s <= 86_400:
        raise _WrongError(f"after_s is {after_s}")
    return Part(float(after_s), text if isinstance(text, bytes) else text.encode())


def _field(value: Any, name: str, kinds: Any) -> Any:
    """Return a field of a loaded document, which must be of these types."""
    if not isinstance(value, dict) or name not in value:
        raise _WrongError(f"{name} is missing")
    if not isinstance(value[name], kinds) or isinstance(value[name], bool):
        raise _WrongError(f"{name} is of the wrong type")
    return value[name]
