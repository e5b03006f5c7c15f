"""Secrets -> placeholders, in whatever form they appear: what a run writes is redacted first."""

import base64
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any, Self

from ..environment import env_file
from . import hexadecimal, pictures
from .forms import forms
from .invisible import INVISIBLE
from .key_shapes import SHAPES
from .secrets import SHORTEST, not_redacted, secrets
from .shown import Shown, Span
from .words import TERMINAL

# What can stand inside a secret without being part of it: on a terminal, at the end of a line, and in markup.
_LINE_END = r"[ \t]*[│┃║|]?[ \t]*[\r\n]+[ \t]*[│┃║|]?[ \t]*"  # a box or an indent may be around it
_MARKUP = r"<[^<>]*>"
# What stands for something else, and for what.
_ENTITY = r"&(?:#\d+|#x[0-9a-fA-F]+|\w+);"
_PERCENT = r"(?:%[0-9a-fA-F]{2})+"
_ESCAPE = r"\\(?:u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|x[0-9a-fA-F]{2}|[^a-zA-Z0-9\s])"

_NOISE = f"{TERMINAL}|{INVISIBLE}"  # a terminal, or a browser, shows nothing of it
_ANY_NOISE = re.compile(_NOISE)

Find = Callable[[str], Iterator[Span]]
Place = tuple[Any, str]  # what holds a text, and the text's name there
_PLAIN = "text/plain"
_RICHEST = ("text/html", "text/markdown", "image/svg+xml", "text/latex", _PLAIN)  # what a page shows, the first that is

_IS_MARKUP = re.compile(r"text/html|text/markdown|[/+]xml|svg")
_DATA_URL = re.compile(r"(data:image/[\w.+-]+;base64,)([A-Za-z0-9+/=\s]+)")
_DROPPED = re.compile(r"\n\[scillm-smoke dropped [\d,]+ characters (?:of output )?here\]\n")
_TELLING = 4  # characters of a secret that was cut by what was dropped


class Redactor:
    """Replace secrets by `[redacted NAME]`.

    A secret is found as it is, URL-encoded, base64-encoded (at any place inside longer data), in
    hexadecimal whatever stands between the digits, escaped as JSON, Python or HTML have it, and cut by line ends,
    colours, markup, invisible characters or the border of two outputs. What looks like a key is found although
    nobody has named it.

    What a program has encrypted, compressed (outside a picture's metadata), or turned into
    something else is not found.
    """

    def __init__(self, secrets: Mapping[str, str]) -> None:
        """Prepare to replace `secrets`: values, at least eight characters each, with their names."""
        ordered = sorted(secrets.items(), key=lambda item: -len(item[0]))  # one may be part of another
        self._literals = {form: name for value, name in ordered for form in forms(value)}
        self._digits = {value.encode(errors="surrogatepass").hex(): name for value, name in ordered}
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
        return self._pieces(pieces, markup, self._any)

    def _pieces(self, pieces: Sequence[str], markup: bool, find: Find) -> list[str]:
        whole = "".join(pieces)
        if len(whole) < SHORTEST:
            return list(pieces)
        spans = _merged(self._find(whole, markup, find))
        return list(_without(pieces, spans)) if spans else list(pieces)

    def value(self, value: Any) -> Any:
        """Return a JSON value without secrets: in its texts, its lists of texts, its keys, its numbers."""
        if isinstance(value, str):
            return self.text(self._with_clean_pictures(value))
        if isinstance(value, dict):
            return type(value)((self.text(str(name)), self._named_value(name, inner)) for name, inner in value.items())
        if isinstance(value, (list, tuple)):
            if value and all(isinstance(item, str) for item in value):
                return type(value)(self.pieces(value))
            return type(value)(self.value(item) for item in value)
        if isinstance(value, (int, float)) and str(value) in self._literals:
            return self.text(str(value))
        return value

    def _named_value(self, name: Any, value: Any) -> Any:
        """Return a value of an object; of a picture no letters are replaced that only look like a key."""
        if isinstance(value, str) and _is_picture(str(name)):
            return self._pieces([self._clean_picture(value)], False, self._known)[0]
        return self.value(value)

    def notebook(self, notebook: Any) -> Any:
        """Return a copy of a notebook without secrets: sources, outputs, widgets, metadata, attachments."""
        clean = deepcopy(notebook)
        self._clean_outputs([output for cell in clean.cells for output in cell.get("outputs", ())])
        widgets = list(_widgets(clean))
        for widget in widgets:
            self._clean_outputs(_outputs_of(widget))
        values = [(widget, "value") for widget in widgets if isinstance(widget.get("value"), str)]
        self._clean_together(values, True, self._any)
        return self.value(clean)

    def _clean_outputs(self, outputs: Sequence[Any]) -> None:
        """Clean outputs, each by itself and as they are read one after the other."""
        shown = [output["data"] for output in outputs if isinstance(output.get("data"), dict)]
        for data in shown:
            data.update({mime: self._with_clean_picture(mime, content) for mime, content in data.items()})
        # Known secrets first: a half of one may look like a key, and replaced it hides the other half.
        self._clean_sequences(outputs, self._known)
        for data in shown:
            data.update({mime: self._clean_markup(mime, content) for mime, content in data.items()})
        self._clean_sequences(outputs, _shaped)

    def _clean_sequences(self, outputs: Sequence[Any], find: Find) -> None:
        kinds = {mime for output in outputs for mime in _texts(output)}
        for kind in sorted(kinds):
            places = [place for output in outputs if (place := _texts(output).get(kind))]
            self._clean_together(places, bool(_IS_MARKUP.search(kind)), find)
        if len(kinds) > 1:
            self._clean_together([place for output in outputs if (place := _seen(output))], True, find)

    def _clean_together(self, places: Sequence[Place], markup: bool, find: Find) -> None:
        """Clean texts that are read one after the other; a place is what holds a text, and its name there."""
        texts = [holder[name] for holder, name in places]
        if len(texts) > 1:
            for (holder, name), text in zip(places, self._pieces(texts, markup, find), strict=True):
                holder[name] = text

    def _with_clean_picture(self, mime: str, data: Any) -> Any:
        """Return what is displayed as one MIME type, as one text where it is one, with its pictures cleaned."""
        text = "".join(data) if isinstance(data, list) and all(isinstance(part, str) for part in data) else data
        if not isinstance(text, str):
            return data
        return self._clean_picture(text) if _is_picture(mime) else self._with_clean_pictures(text)

    def _clean_markup(self, mime: str, data: Any) -> Any:
        """Return what is displayed as one MIME type without what its markup hides; `value` cleans plain texts."""
        return self.pieces([data], markup=True)[0] if isinstance(data, str) and _IS_MARKUP.search(mime) else data

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

    def _find(self, text: str, markup: bool, find: Find) -> Iterator[Span]:
        """Yield what `find` finds: in the text, and in what is seen of it."""
        yield from find(text)
        for ignored, escaped in _views(text, markup):
            shown = Shown.of(text, ignored, escaped)
            yield from shown.spans(find(shown.text))
        if find != _shaped and ("\n" in text or "\r" in text):
            # Not what looks like a key: two lines together often do.
            for ignored, escaped in [(_NOISE, None), *_views(text, markup)]:
                shown = Shown.of(text, f"{ignored}|{_LINE_END}", escaped)
                yield from shown.spans(self._literal(shown.text))
        if "[scillm-smoke dropped" in text:
            yield from self._cut(text)

    def _any(self, text: str) -> Iterator[Span]:
        yield from self._known(text)
        yield from _shaped(text)

    def _known(self, text: str) -> Iterator[Span]:
        yield from self._literal(text)
        yield from hexadecimal.find(text, self._digits)

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


def _views(text: str, markup: bool) -> Iterator[tuple[str, str | None]]:
    """Yield what to ignore in a text, and which escapes to resolve, so that what is left is what is seen of it."""
    if _is_noisy(text) and not markup:
        yield _NOISE, None
    if markup and ("<" in text or "&" in text or _is_noisy(text)):
        yield f"{_NOISE}|{_MARKUP}", _ENTITY
        yield _NOISE, _ENTITY  # in an attribute, or in a comment
    for mark, escaped in (("%", _PERCENT), ("\\", _ESCAPE)):
        if mark in text:
            yield _NOISE, escaped
            if markup:
                yield f"{_NOISE}|{_MARKUP}", escaped


def _is_noisy(text: str) -> bool:
    return not (text.isascii() and text.isprintable()) and bool(_ANY_NOISE.search(text))


def _texts(output: Any) -> dict[str, Place]:
    """Return where an output has its texts, by their kind: a MIME type, or a stream."""
    if isinstance(output.get("text"), str):
        return {str(output.get("name")): (output, "text"), _PLAIN: (output, "text")}
    data = output.get("data")
    shown = data.items() if isinstance(data, dict) else ()
    return {mime: (data, mime) for mime, text in shown if isinstance(text, str) and not _is_picture(mime)}


def _is_picture(mime: str) -> bool:
    return mime.startswith("image/") and not _IS_MARKUP.search(mime)


def _seen(output: Any) -> Place | None:
    """Return where an output has the text that a page shows of it."""
    texts = _texts(output)
    return next((texts[kind] for kind in _RICHEST if kind in texts), None)


def _widgets(notebook: Any) -> Iterator[Any]:
    """Yield the state of each widget that the notebook keeps, in the order in which they were made."""
    saved = notebook.metadata.get("widgets")
    content = saved.get("application/vnd.jupyter.widget-state+json") if isinstance(saved, dict) else None
    states = content.get("state") if isinstance(content, dict) else None
    for model in states.values() if isinstance(states, dict) else ():
        if isinstance(model, dict) and isinstance(model.get("state"), dict):
            yield model["state"]


def _outputs_of(widget: Any) -> list[Any]:
    """Return what an `Output` widget has caught."""
    outputs = widget.get("outputs")
    return [output for output in outputs if isinstance(output, dict)] if isinstance(outputs, list) else []


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
