"""What the form asks for -> the request that LiteLLM is called with."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema_rs

from ..errors import FormError, ImageError
from ..images import MAX_BYTES, image_part
from ..json_mode import JSON_OBJECT

Message = dict[str, Any]


@dataclass(frozen=True)
class Picture:
    """Be a picture to send: the name it came with, and its URL, which is a data URL where it was a file."""

    name: str
    url: str

    @classmethod
    def of(cls, source: str | bytes, name: str = "") -> "Picture":
        """Read a picture from the bytes of an upload, an http(s) or data URL, or a path. Raises ImageError."""
        if isinstance(source, bytes) and len(source) > MAX_BYTES:
            raise ImageError(too_large(name, len(source)))
        url = image_part(source)["image_url"]["url"]
        if not name:
            name = "picture." + url[11:].partition(";")[0] if source[:5] == "data:" else Path(str(source)).name
        return cls(name, url)


@dataclass(frozen=True)
class Form:
    """Be what the form holds when Send is pressed."""

    model: str
    prompt: str
    system: str = ""
    picture: Picture | None = None
    temperature: float = 1.0
    max_tokens: int = 512
    json_mode: bool = False
    schema: str = ""

    def request(self, before: Sequence[Message] = ()) -> dict[str, Any]:
        """Return the arguments of the call but for the connection; `before` is the conversation so far.

        Raises FormError for an empty prompt, and for a schema that is not JSON or no JSON schema.
        """
        if not self.prompt.strip():
            raise FormError("The prompt is empty; write what to ask.")
        system = [{"role": "system", "content": self.system}] if self.system.strip() else []
        messages = [*system, *before, asked(self.prompt, self.picture)]
        request = {
            "model": self.model,
            "messages": messages,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
        }
        if self.json_mode:
            request["response_format"] = self._response_format()
        return request | {"stream": True, "stream_options": {"include_usage": True}}

    def _response_format(self) -> dict[str, Any]:
        schema = parse_schema(self.schema)
        if schema is None:
            return JSON_OBJECT
        return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}


def asked(prompt: str, picture: Picture | None) -> Message:
    """Return the message of a user, with a picture where there is one."""
    if picture is None:
        return {"role": "user", "content": prompt}
    image = {"type": "image_url", "image_url": {"url": picture.url}}
    return {"role": "user", "content": [{"type": "text", "text": prompt}, image]}


def parse_schema(text: str) -> dict[str, Any] | None:
    """Return the JSON schema that `text` is; None for no text: any JSON. Raises FormError."""
    if not text.strip():
        return None
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormError(f"The schema is not JSON ({_place(error)}); mend it, or empty the box for any JSON.") from error
    if not isinstance(schema, dict):
        raise FormError('The schema is JSON, but no object; write one like {"type": "object", ...}.')
    try:
        validator(schema)
    except (ValueError, jsonschema_rs.ValidationError) as error:
        why = str(error).splitlines()[0].rpartition("ValueError: ")[2]
        raise FormError(f"The schema is JSON, but no JSON schema ({why}); mend it, or empty the box.") from error
    return schema


def validator(schema: dict[str, Any]) -> Any:
    """Return what validates by a schema; it asks nobody, and opens no file. Raises ValueError, ValidationError."""
    return jsonschema_rs.validator_for(schema, retriever=_refuse)


def _refuse(uri: str) -> Any:
    raise ValueError(f"{uri} is elsewhere: only references within the schema are followed")


def too_large(name: str, size: int) -> str:
    """Return the line that says that a file of `size` bytes is too large to send."""
    return f"{name} has {size / 2**20:.1f} MB, and the limit is {MAX_BYTES // 2**20} MB; make it smaller. Nothing was sent."


def _place(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"line {error.lineno}, column {error.colno}: {error.msg}"
    return "it is nested too deeply"
