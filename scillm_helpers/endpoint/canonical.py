"""A request -> what of it decides the answer, in one form however it was sent."""

import base64
import binascii
import hashlib
import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import unquote_to_bytes

from .cleaning import Clean, clean_value

_DATA_URL = re.compile(
    r"data:(?P<type>[\w.+-]+/[\w.+-]+)(?:;[\w.+-]+=[^;,]*)*(?P<base64>;base64)?,(?P<data>.*)", re.DOTALL
)


@dataclass(frozen=True)
class Asked:
    """Be a request: its method, its path under the base with the query, and its body as JSON, text or None."""

    method: str
    path: str
    body: Any

    @classmethod
    def of(cls, method: str, path: str, body: bytes, clean: Clean) -> "Asked":
        """Return the canonical form of a request: without secrets, and with digests for its pictures and sounds."""
        return cls(method, clean([path])[0], clean_value(_with_digests(_readable(body)), clean))

    @cached_property
    def key(self) -> str:
        """Return what is the same for the same request alone."""
        text = json.dumps([self.method, self.path, self.body], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def name(self) -> str:
        """Return a name that a person recognises, and that is no other request's."""
        words = [self.path.partition("?")[0], self.model, _last_words(self.body)]
        return "-".join([*filter(None, map(_slug, words)), self.key[:12]])

    @property
    def model(self) -> str:
        """Return the model that is asked for, or an empty text."""
        return _text_of(self.body, "model")


def _readable(body: bytes) -> Any:
    if not body:
        return None
    try:
        # A lone surrogate ("\ud800") is legal JSON and cannot be written as UTF-8.
        return _map_texts(json.loads(body), lambda text: text.encode(errors="replace").decode())
    except (ValueError, RecursionError):
        pass
    try:
        return body.decode()
    except ValueError:
        return _digest(body, "binary")


def _with_digests(value: Any) -> Any:
    """Replace pictures, sounds and files, which nobody can read, by what tells them apart."""
    if isinstance(value, dict):
        return {name: _with_digests(_sound(inner) if name == "input_audio" else inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_with_digests(inner) for inner in value]
    if isinstance(value, str) and value.startswith("data:") and (url := _DATA_URL.fullmatch(value)):
        return _digest(_content(url["data"], bool(url["base64"])), url["type"])
    return value


def _sound(value: Any) -> Any:
    """Source: OpenAI's API reference, chat, input_audio: `data` is base64, `format` is wav or mp3."""
    if not isinstance(value, dict) or not isinstance(value.get("data"), str):
        return value
    return value | {"data": _digest(_content(value["data"], True), f"audio/{_text_of(value, 'format') or '?'}")}


def _content(data: str, is_base64: bool) -> bytes:
    if not is_base64:
        return unquote_to_bytes(data)
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error:
        return data.encode()  # what an endpoint refuses is recorded, too


def _digest(data: bytes, kind: str) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()} ({kind}, {len(data)} bytes)"


def _map_texts(value: Any, change: Any) -> Any:
    if isinstance(value, dict):
        return {change(name): _map_texts(inner, change) for name, inner in value.items()}
    if isinstance(value, list):
        return [_map_texts(inner, change) for inner in value]
    return change(value) if isinstance(value, str) else value


def _text_of(value: Any, name: str) -> str:
    text = value.get(name) if isinstance(value, dict) else None
    return text if isinstance(text, str) else ""


def _last_words(body: Any) -> str:
    """Return the text of the last message that is a user's."""
    messages = body.get("messages") if isinstance(body, dict) else None
    for message in reversed(messages if isinstance(messages, list) else []):
        if _text_of(message, "role") == "user":
            content = message.get("content")
            parts = content if isinstance(content, list) else [message]
            return " ".join(filter(None, (_text_of(part, "text") or _text_of(part, "content") for part in parts)))
    return ""


def _slug(text: str) -> str:
    """Return the first words of a text as part of a file's name."""
    return "-".join(re.findall(r"[a-z0-9]+", text.lower())[:6])[:40].strip("-")
