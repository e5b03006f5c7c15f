"""Secrets -> placeholders, in whatever form they appear: what a run writes is redacted first."""

import base64
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any, Self

from ..environment import env_file
from . import pictures
from .forms import forms
from .secrets import SHAPES, SHORTEST, not_redacted, secrets
from .shown import Shown, Span
from .words import TERMINAL

# What can stand inside a secret without being part of it: on a terminal, at the end of a line, and in markup.
_LINE_END = r"[ \t]*[│┃║|]?[ \t]*[\r\n]+[ \t]*[│┃║|]?[ \t]*"  # a box or an indent may be around it
_MARKUP = r"<[^<>]*>"
# What stands for something else, and for what.
_ENTITY = r"&(?:#\d+|#x[0-9a-fA-F]+|\w+);"
_PERCENT = r"(?:%[0-9a-fA-F]{2})+"
_ESCAPE = r"\\(?:u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|x[0-9a-fA-F]{2}|[^a-zA-Z0-9\s])"

_IS_MARKUP = re.compile(r"text/html|text/markdown|[/+]xml|svg")
_DATA_URL = re.compile(r"(data:image/[\w.+-]+;base64,)([A-Za-z0-9+/=\s]+)")
_DROPPED = re.compile(r"\n\[scillm-smoke dropped [\d,]+ characters (?:of output )?here\]\n")
_TELLING = 4  # characters of a secret that was cut by what was dropped


class Redactor:
    """Replace secrets by `[redacted NAME]`.

    A secret is found as it is, URL-encoded, base64-encoded (at any place inside longer data), in
    hexadecimal, escaped as JSON, Python or HTML have it, and cut by line ends, colours, markup or
    the border of two outputs. What looks like a key is found although nobody has named it.

    What a program has encrypted, compressed (outside a picture's metadata), or turned into
    something else is not found.
    """

    def __init__(self, secrets: Mapping[str, str]) -> None:
        """Prepare to replace `secrets`: values, at least eight characters each, with their names."""
        ordered = sorted(secrets.items(), key=lambda item: -len(item[0]))  # one may be part of another
        self._literals = {form: name for value, name in ordered for form in forms(value)}
        self._bytes = [form.encode(code) for form in self._literals for code in ("utf-8", "utf-16-le", "utf-16-be")]

    @classmethod
    def of_environment(cls, more: Mapping[str, str] | None = None) -> Self:
        """Return a redactor of what the environment holds, also where it overrides `.env`, and of `more`."""
        return cls(secrets(env_file(), os.environ) | dict(more or {}))

    def text(self, text: str) -> str:
        """Return a text without secrets."""
        return self.pieces([text])[0]

    def content(self, content: str) -> str:
        """Return the content of a file without secrets: a last look, at what was made of parts that are without."""
        return next(_without([content], _merged([*self._literal(content), *_shaped(content)])))

    def pieces(self, pieces: Sequence[str], markup: bool = False) -> list[str]:
        """Return texts, which are read one after the other, without the secrets in each and across them."""
        whole = "".join(pieces)
        if len(whole) < SHORTEST:
            return list(pieces)
        spans = _merged(self._find(whole, markup))
        return list(_without(pieces, spans)) if spans else list(pieces)

    def value(self, value: Any) -> Any:
        """Return a JSON value without secrets: in its texts, its lists of texts, its keys, its numbers."""
        if isinstance(value, str):
            return self.text(self._with_clean_pictures(value))
        if isinstance(value, dict):
            return type(value)((self.text(str(name)), self.value(inner)) for name, inner in value.items())
        if isinstance(value, (list, tuple)):
            if value and all(isinstance(item, str) for item in value):
                return type(value)(self.pieces(value))
            return type(value)(self.value(item) for item in value)
        if isinstance(value, (int, float)) and str(value) in self._literals:
            return self.text(str(value))
        return value

    def notebook(self, notebook: Any) -> Any:
        """Return a copy of a notebook without secrets: sources, outputs, metadata, attachments."""
        clean = deepcopy(notebook)
        for cell in clean.cells:
            outputs = cell.get("outputs", ())
            for output in outputs:
                if "data" in output:
                    output.data = type(output.data)(
                        (mime, self._data(mime, data)) for mime, data in output.data.items()
                    )
            for told in (_of_stream("stdout"), _of_stream("stderr"), _told_plain, _told_html):
                self._clean_together(outputs, told)
        return self.value(clean)

    def _clean_together(self, outputs: Sequence[Any], told: Callable[[Any], tuple[Any, str] | None]) -> None:
        """Clean what several outputs say one after the other: `told` says where in an output that is, if anywhere."""
        places = [place for output in outputs if (place := told(output)) is not None]
        texts = [holder[name] for holder, name in places]
        if len(texts) > 1:
            for (holder, name), text in zip(places, self.pieces(texts, markup=told is _told_html), strict=True):
                holder[name] = text

    def _data(self, mime: str, data: Any) -> Any:
        """Return what is displayed as one MIME type without secrets."""
        text = "".join(data) if isinstance(data, list) and all(isinstance(part, str) for part in data) else data
        if not isinstance(text, str):
            return data
        if mime.startswith("image/") and not _IS_MARKUP.search(mime):
            return self._clean_picture(text)
        text = self._with_clean_pictures(text)
        return self.pieces([text], markup=True)[0] if _IS_MARKUP.search(mime) else text

    def _with_clean_pictures(self, text: str) -> str:
        if "data:image/" not in text:
            return text
        return _DATA_URL.sub(lambda match: match[1] + self._clean_picture(match[2]), text)

    def _clean_picture(self, encoded: str) -> str:
        """Return a base64-encoded picture: as it is, or where it holds a secret, its pixels alone."""
        try:
            picture = base64.b64decode(encoded)
        except ValueError:
            return encoded
        try:
            texts = pictures.texts(picture)
            if not any(form in picture for form in self._bytes) and self.value(texts) == texts:
                return encoded
        except pictures.HiddenText:  # what cannot be read may be one
            pass
        return base64.b64encode(pictures.pixels(picture)).decode()

    def _find(self, text: str, markup: bool) -> Iterator[Span]:
        """Yield where secrets are, also through what is only shown as colour, markup or a new line, or is escaped."""
        yield from self._literal(text)
        yield from _shaped(text)
        ignored = f"{TERMINAL}|{_MARKUP}" if markup else TERMINAL
        if ("<" in text or "&" in text) if markup else "\x1b" in text or "\b" in text:
            shown = Shown.of(text, ignored, _ENTITY if markup else None)
            yield from shown.spans(self._literal(shown.text))
            yield from shown.spans(_shaped(shown.text))
        if "\n" in text or "\r" in text:
            shown = Shown.of(text, f"{ignored}|{_LINE_END}", _ENTITY if markup else None)
            yield from shown.spans(self._literal(shown.text))
        for mark, escaped in (("%", _PERCENT), ("\\", _ESCAPE)):
            if mark in text:
                shown = Shown.of(text, ignored, escaped)
                yield from shown.spans(self._literal(shown.text))
        if "[scillm-smoke dropped" in text:
            yield from self._cut(text)

    def _cut(self, text: str) -> Iterator[Span]:
        """Yield what is left of secrets that the bounds of a flood have cut in two."""
        for match in _DROPPED.finditer(text):
            for form, name in self._literals.items():
                for length in range(len(form) - 1, _TELLING - 1, -1):
                    if text.endswith(form[:length], 0, match.start()):
                        yield match.start() - length, match.start(), name
                        break
                for length in range(len(form) - 1, _TELLING - 1, -1):
                    if text.startswith(form[-length:], match.end()):
                        yield match.end(), match.end() + length, name
                        break

    def _literal(self, text: str) -> Iterator[Span]:
        for form, name in self._literals.items():
            start = text.find(form)
            while start >= 0:
                yield start, start + len(form), name
                start = text.find(form, start + len(form))


def tell_not_redacted() -> None:
    """Tell of each secret of the environment that cannot be found, on the standard error stream."""
    for name in not_redacted(env_file(), os.environ):
        print(f"scillm-smoke: {name} is too short, or an ordinary word: it is not redacted.", file=sys.stderr)


def _of_stream(name: str) -> Callable[[Any], tuple[Any, str] | None]:
    return lambda output: (output, "text") if output.get("name") == name and "text" in output else None


def _told_plain(output: Any) -> tuple[Any, str] | None:
    """Return where an output has its plain text."""
    holder, name = (output, "text") if output.output_type == "stream" else (output.get("data", {}), "text/plain")
    return (holder, name) if isinstance(holder.get(name), str) else None


def _told_html(output: Any) -> tuple[Any, str] | None:
    """Return where an output has its HTML."""
    data = output.get("data", {})
    return (data, "text/html") if isinstance(data.get("text/html"), str) else None


def _shaped(text: str) -> Iterator[Span]:
    for hint, shape, name in SHAPES:
        if hint in text:
            yield from ((*match.span("key"), name) for match in shape.finditer(text))


def _merged(spans: Iterable[Span]) -> list[Span]:
    """Return spans in order, those that overlap as one; the name is that of the longest."""
    merged: list[Span] = []
    for start, end, name in sorted(spans, key=lambda span: (span[0], -span[1])):
        if merged and start < merged[-1][1]:
            first, last, kept = merged[-1]
            merged[-1] = (first, max(last, end), kept)
        else:
            merged.append((start, end, name))
    return merged


def _without(pieces: Sequence[str], spans: list[Span]) -> Iterator[str]:
    """Yield the pieces with a placeholder where each span begins, and nothing in place of the rest of it."""
    offset = 0
    for piece in pieces:
        clean, done, end = "", offset, offset + len(piece)
        for first, last, name in spans:
            if last <= offset or first >= end:
                continue
            clean += piece[done - offset : max(first, offset) - offset]
            clean += f"[redacted {name}]" if first >= offset else ""
            done = min(last, end)
        yield clean + piece[done - offset :]
        offset = end
