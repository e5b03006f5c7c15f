"""A secret -> the forms in which it may be written."""

import base64
import html
import json
import re
import unicodedata
from collections.abc import Callable, Iterator
from urllib.parse import quote, quote_plus

_TWO_HYPHENS = re.compile("-(?=-)")  # a comment of XML may hold none: matplotlib puts a space between


def forms(value: str) -> Iterator[str]:
    """Yield the forms in which a secret may be written."""
    data = value.encode(errors="surrogatepass")
    yield value
    if not value.isascii():
        yield from (unicodedata.normalize(form, value) for form in ("NFC", "NFD"))
    for form in (
        quote(value, safe="", errors="replace"),
        quote(value, errors="replace"),
        quote_plus(value, errors="replace"),
    ):
        yield form
        yield re.sub("%..", lambda match: match[0].lower(), form)
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield from (_inner_base64(encode, data, before) for before in range(3))
    yield from (data.hex(), data.hex().upper())
    yield from (html.escape(value), html.escape(value, quote=False), html.escape(value).replace("&#x27;", "&#39;"))
    yield from (_TWO_HYPHENS.sub("- ", text) for text in (value, html.escape(value, quote=False)))
    unicode = (
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        repr(value)[1:-1],
        ascii(value)[1:-1],
    )
    for escaped in (*unicode, repr(data)[2:-1]):
        yield from (escaped, json.dumps(escaped)[1:-1])


def _inner_base64(encode: Callable[[bytes], bytes], data: bytes, before: int) -> str:
    """Return the characters that tell of `data` alone, `before` bytes after a border of three bytes."""
    text = encode(b"\0" * before + data).decode().rstrip("=")
    whole = (before + len(data)) * 8 // 6  # those that hold no bit of what follows
    return str(text[-(-before * 8 // 6) : whole])
